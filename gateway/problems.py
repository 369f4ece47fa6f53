"""Errors as RFC 9457 problem details: what is wrong, where, and what helps."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    400: "Not readable",
    401: "Not authentic",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Not possible any more",
    413: "Too large",
    422: "Not understood",
    429: "Too often",
    500: "Faulty",
    503: "Not available",
}


class ProblemDetails(BaseModel):
    """The body of every answer that is an error."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    reasons: list[str] = []


class Problem(Exception):  # noqa: N818  # RFC 9457 calls it a problem
    def __init__(self, status: int, detail: str, *reasons: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.reasons, self.headers = status, detail, list(reasons), headers


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its OpenAPI description."""
    # Not as FastAPI's model: that would promise application/json beside it.
    content = {MEDIA_TYPE: {"schema": ProblemDetails.model_json_schema()}}
    return {status: {"description": _TITLES[status], "content": content} for status in statuses}


class Problems:
    """Makes every error of an app a problem, the framework's own included.

    ``count_refusal`` hears of every 401, and may raise a Problem that is answered instead.
    """

    def __init__(self, count_refusal: Callable[[Request], Awaitable[None]]) -> None:
        self._count_refusal = count_refusal

    def install(self, app: FastAPI) -> None:
        async def problem(request: Request, error: Exception) -> JSONResponse:
            assert isinstance(error, Problem)
            return await self.answer(request, error)

        async def gone(request: Request, error: Exception) -> JSONResponse:
            """The client hung up, or was cut off, before its request was whole: nobody reads this."""
            del request, error
            return _answer(400, "the request ended before it was whole", [], None)

        async def http(request: Request, error: Exception) -> JSONResponse:
            del request
            assert isinstance(error, HTTPException)
            return _answer(error.status_code, str(error.detail), [], dict(error.headers or {}))

        async def invalid(request: Request, error: Exception) -> JSONResponse:
            del request
            assert isinstance(error, RequestValidationError)
            reasons = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
            return _answer(422, "the request does not have the form that this endpoint takes", reasons, None)

        app.add_exception_handler(Problem, problem)
        app.add_exception_handler(ClientDisconnect, gone)
        app.add_exception_handler(HTTPException, http)
        app.add_exception_handler(RequestValidationError, invalid)

    async def answer(self, request: Request, problem: Problem) -> JSONResponse:
        if problem.status == 401:
            try:
                await self._count_refusal(request)
            except Problem as instead:
                problem = instead
        return _answer(problem.status, problem.detail, problem.reasons, problem.headers)


def _answer(status: int, detail: str, reasons: list[str], headers: dict[str, str] | None) -> JSONResponse:
    body = ProblemDetails(title=_TITLES.get(status, "Error"), status=status, detail=detail, reasons=reasons)
    return JSONResponse(body.model_dump(), status, headers=headers, media_type=MEDIA_TYPE)
