"""Error answers: RFC 9457 problem details with the cause and the remedy."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from alerts import TocsinError

MEDIA_TYPE = "application/problem+json"
RETRY_LATER = {"Retry-After": "5"}


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
    """Turns every error of an application into a problem, FastAPI's own included."""

    def __init__(self, count_refusal: Callable[[Request], Awaitable[None]]) -> None:
        """
        Args:
            count_refusal: called for every 401; may raise a Problem that is answered instead.
        """
        self._count_refusal = count_refusal

    def install(self, app: FastAPI) -> None:
        app.add_exception_handler(Problem, self._on_problem)
        app.add_exception_handler(ClientDisconnect, self._on_disconnect)
        app.add_exception_handler(HTTPException, self._on_http_exception)
        app.add_exception_handler(RequestValidationError, self._on_invalid_request)

    async def answer(self, request: Request, problem: Problem) -> JSONResponse:
        if problem.status == 401:
            try:
                await self._count_refusal(request)
            except Problem as limited:
                problem = limited
        return _response(
            problem.status, problem.detail, problem.reasons, code=problem.error_code, headers=problem.headers
        )

    async def _on_problem(self, request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return await self.answer(request, error)

    async def _on_disconnect(self, request: Request, error: Exception) -> JSONResponse:
        """The client closed the connection, or was cut off, before its request was complete: nobody reads this."""
        del request, error
        return _response(400, "the request ended before it was complete")

    async def _on_http_exception(self, request: Request, error: Exception) -> JSONResponse:
        del request
        assert isinstance(error, HTTPException)
        return _response(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    async def _on_invalid_request(self, request: Request, error: Exception) -> JSONResponse:
        del request
        assert isinstance(error, RequestValidationError)
        reasons = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
        return _response(422, "the request does not have the form that this endpoint accepts", reasons)


def _response(
    status: int,
    detail: str,
    reasons: list[str] | None = None,
    *,
    code: str = "",
    headers: dict[str, str] | None = None,
) -> JSONResponse:
    body = ProblemDetails(title=title_of(status), status=status, detail=detail, code=code, reasons=reasons or [])
    return JSONResponse(body.model_dump(), status, headers=headers, media_type=MEDIA_TYPE)
