"""Error answers: RFC 9457 problem details with the cause and the remedy, or a page for a person with a browser."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from alerts import TocsinError, clean
from gateway.templates import render
from gateway.traces import trace

MEDIA_TYPE = "application/problem+json"
RETRY_LATER = {"Retry-After": "5"}
MAX_REASONS = 20
_REASON_CHARS = 300
_PAGES = ("/incidents/", "/codec")
"""The paths of pages: a person reads them, whatever the Accept header says."""
_APIS = ("/api/", "/webhooks/", "/codec/")
_log = structlog.get_logger()


class ProblemDetails(BaseModel):
    """The body of every error answer."""

    type: str = "about:blank"
    title: str = Field(description="HTTP's phrase for the status.")
    status: int
    detail: str
    code: str = Field(default="", description="Stable, for programs; empty if the status says everything.")
    reasons: list[str] = []


class Problem(TocsinError):  # noqa: N818  # RFC 9457 calls it a problem
    """An error answer. Endpoints and their dependencies raise it."""

    def __init__(
        self, status: int, detail: str, *reasons: str, code: str = "", headers: dict[str, str] | None = None
    ) -> None:
        """
        Args:
            status: the HTTP status.
            detail: one sentence for the client.
            reasons: each of the faults, if there are several.
            code: the ``code`` of the exception behind it.
            headers: of the answer.
        """
        super().__init__(detail)
        self.status, self.detail, self.reasons = status, detail, list(reasons)
        self.error_code, self.headers = code, headers


def title_of(status: int) -> str:
    """HTTP's phrase for a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for the OpenAPI document."""
    # With FastAPI's ``model`` the document would also promise application/json.
    content = {MEDIA_TYPE: {"schema": ProblemDetails.model_json_schema()}}
    return {status: {"description": title_of(status), "content": content} for status in statuses}


class Problems:
    """Turns every error of an application into a problem, FastAPI's own and unexpected ones included."""

    def __init__(self, count_refusal: Callable[[Request], Awaitable[None]]) -> None:
        """
        Args:
            count_refusal: called for every 401 and 500; may raise a Problem that is answered instead.
        """
        self._count_refusal = count_refusal

    def install(self, app: FastAPI) -> None:
        app.add_exception_handler(Problem, self._on_problem)
        app.add_exception_handler(ClientDisconnect, self._on_disconnect)
        app.add_exception_handler(HTTPException, self._on_http_exception)
        app.add_exception_handler(RequestValidationError, self._on_invalid_request)
        app.add_exception_handler(Exception, self.on_failure)

    async def answer(self, request: Request, problem: Problem) -> Response:
        if problem.status == 401:
            try:
                await self._count_refusal(request)
            except Problem as limited:
                problem = limited
        return _response(request, problem)

    async def on_failure(self, request: Request, error: Exception) -> Response:
        """For an error of the gateway's own: 500, and one bounded log line without what the request contained.

        A source that causes many of them is limited like one that is refused often, and is not logged then: neither a
        full disk nor a slow log may follow from what anyone sends.
        """
        try:
            await self._count_refusal(request)
        except Problem as limited:
            return _response(request, limited)
        path = clean(request.scope["path"], 200)
        _log.error("request_failed", method=request.method, path=path, error=type(error).__name__, trace=trace(error))
        return _response(request, Problem(500, "the gateway failed on this request; its log has the details"))

    async def _on_problem(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return await self.answer(request, error)

    async def _on_disconnect(self, request: Request, error: Exception) -> Response:
        """The client closed the connection, or was cut off, before its request was complete: nobody reads this."""
        del error
        return _response(request, Problem(400, "the request ended before it was complete"))

    async def _on_http_exception(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = str(error.detail)
        if error.status_code == 404:
            detail = "there is nothing at this address; /openapi.json describes the API"
        headers = dict(error.headers or {})
        if error.status_code == 405:
            headers["Allow"] = ", ".join(_allowed(request)) or headers.get("Allow", "")
        return _response(request, Problem(error.status_code, detail, headers=headers))

    async def _on_invalid_request(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        detail = "the request does not have the form that this endpoint accepts"
        return _response(request, Problem(422, detail, *_reasons(error.errors())))


def _allowed(request: Request) -> list[str]:
    """The methods of all routes at the request's path: Starlette names those of the first one only."""
    asked = request.url.path
    named = [one for one in iter_route_contexts(request.app.routes) if one.path and one.methods]
    exact = [one for one in named if one.path == asked]
    matching = exact or [one for one in named if compile_path(one.path or "")[0].match(asked)]
    return sorted({method for one in matching for method in one.methods or ()})


def _reasons(errors: Sequence[Any]) -> list[str]:
    """One for each field. The words that a field may be are those of all the forms that it may have."""
    words: dict[str, list[str]] = {}
    others: list[str] = []
    for one in errors:
        place = [str(part) for part in one["loc"]]
        if one["type"] == "literal_error":
            words.setdefault(".".join(place[:2]), []).append(str(one["ctx"]["expected"]))
        else:
            others.append(f"{'.'.join(place)}: {one['msg']}")
    return [f"{place} must be {' or '.join(expected)}" for place, expected in words.items()] + others


def wants_page(request: Request) -> bool:
    """Whether a person with a browser reads the answer, not a program."""
    path = request.scope["path"]
    if path.startswith(_APIS):
        return False
    return path.startswith(_PAGES) or "text/html" in request.headers.get("accept", "")


def _response(request: Request, problem: Problem) -> Response:
    title = title_of(problem.status)
    detail = clean(problem.detail, 2_000)
    # What a request named may be text that UTF-8 cannot encode, and as long as the request.
    reasons = [clean(reason, _REASON_CHARS) for reason in problem.reasons[:MAX_REASONS]]
    if len(problem.reasons) > MAX_REASONS:
        reasons.append(f"and {len(problem.reasons) - MAX_REASONS} more")
    if wants_page(request):
        page = render("problem.html", problem.status, title=title, detail=detail, reasons=reasons)
        page.headers.update(problem.headers or {})
        return page
    body = ProblemDetails(title=title, status=problem.status, detail=detail, code=problem.error_code, reasons=reasons)
    return JSONResponse(body.model_dump(), problem.status, headers=problem.headers, media_type=MEDIA_TYPE)
