"""REST v2 of the tenant: authentication, routing, paging, problems (RFC 9457)."""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from tests.vendors.arize.ids import kind_of
from tests.vendors.arize.state import BadCursorError, Row, Table, TenantState
from tests.vendors.server import Request

Answer = tuple[int, Any]


class ProblemError(Exception):
    """A refusal: its status, and the detail of the problem that is answered."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail

    @property
    def answer(self) -> Answer:
        title = HTTPStatus(self.status).phrase
        place = title.lower().replace(" ", "-")
        kind = f"https://arize.com/docs/ax/rest-reference/errors#{place}"
        return self.status, {"type": kind, "title": title, "status": self.status, "detail": self.detail}


@dataclass(frozen=True)
class Call:
    """One request, as a handler sees it."""

    query: dict[str, str]
    body: Any
    largest_page: int
    """The most rows in one page, whatever limit is requested."""
    parameters: tuple[tuple[str, str], ...]

    def all_of(self, name: str) -> list[str]:
        """Every value of a parameter that may be repeated."""
        return [value for key, value in self.parameters if key == name]

    def page(self, table: Table, rows: Iterable[Row], key: str) -> Answer:
        """A page of rows, which must be the newest first, under its key."""
        try:
            limit = int(self.query.get("limit", "50"))
        except ValueError:
            raise ProblemError(400, "limit must be an integer") from None
        if not 1 <= limit <= 100:
            raise ProblemError(400, "limit must be between 1 and 100")
        try:
            found, cursor = table.page(rows, min(limit, self.largest_page), self.query.get("cursor"))
        except BadCursorError:
            raise ProblemError(400, "cursor is not valid") from None
        pagination: Row = {"has_more": cursor is not None}
        if cursor:
            pagination["next_cursor"] = cursor
        return 200, {key: found, "pagination": pagination}


Handler = Callable[..., Answer | Awaitable[Answer]]
"""Takes the call, and the ids in the path."""


def found(table: Table, identifier: str) -> Row:
    """The row of an id that a client sent.

    Raises:
        ProblemError: 400 if it is not an id of that type, 404 if there is no such row.
    """
    row = table.get(identifier)
    if row is None:
        if kind_of(identifier) != table.kind:
            raise ProblemError(400, f"{identifier!r} is not a valid {table.kind} id")
        raise ProblemError(404, f"no {table.kind} with the id {identifier}")
    return row


def contains(row: Row, field: str, wanted: str | None) -> bool:
    """A case-insensitive substring filter."""
    return wanted is None or wanted.casefold() in row[field].casefold()


def in_space(state: TenantState, row: Row, query: dict[str, str]) -> bool:
    """The filters ``space_id`` and ``space_name`` of most lists."""
    space = state.spaces.get(row["space_id"])
    if query.get("space_id", row["space_id"]) != row["space_id"]:
        return False
    return space is not None and contains(space, "name", query.get("space_name"))


class RestApi:
    """Finds the handler of a request."""

    def __init__(self, state: TenantState, routes: dict[tuple[str, str], Handler]) -> None:
        self.state = state
        self.largest_page = 100
        self._routes = [
            (method, re.compile(re.sub(r"\{\}", "([^/]+)", path)), handler)
            for (method, path), handler in routes.items()
        ]

    async def respond(self, request: Request) -> Answer:
        """The response. A handler that itself sends requests is a coroutine, so that the server can answer meanwhile.

        Raises:
            LookupError: The tenant has no such endpoint.
        """
        call = Call(request.query, request.body, self.largest_page, request.parameters)
        for method, pattern, handler in self._routes:
            ids = pattern.fullmatch(request.path)
            if ids is None or method != request.method:
                continue
            try:
                with self.state.lock:
                    answer = handler(call, *ids.groups())
                return answer if isinstance(answer, tuple) else await answer
            except ProblemError as problem:
                return problem.answer
        raise LookupError(f"the stand-in has no {request.method} {request.path}")
