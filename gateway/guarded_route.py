"""Routes that authenticate before they read a body, and that refuse query parameters that they do not know."""

import difflib
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, runtime_checkable

from fastapi import Request, Response
from fastapi.routing import APIRoute

from gateway.problems import Problem


@runtime_checkable
class Guard(Protocol):
    """A dependency that decides by the request's headers whether the caller is admitted."""

    async def admit(self, request: Request) -> object:
        """Raises Problem: 401, 403 or 429."""
        ...


class GuardedRoute(APIRoute):
    """FastAPI's route reads the whole body first, then calls the dependencies: anyone could fill the memory."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        guards = [one.call for one in self.dependant.dependencies if isinstance(one.call, Guard)]
        known = [one.alias for one in self.dependant.query_params]

        async def handle_guarded(request: Request) -> Response:
            for guard in guards:
                await guard.admit(request)
            _refuse_unknown_parameters(request, known)
            return await handle(request)

        return handle_guarded


def _refuse_unknown_parameters(request: Request, known: list[str]) -> None:
    """A misspelt filter that is ignored answers another question than the one that was asked.

    Raises Problem 422.
    """
    if not request.url.query:
        return
    given = Counter(name for name, _ in request.query_params.multi_items())
    reasons = [_unknown(name, known) for name in given if name not in known]
    reasons += [f"query.{name}: it appears {count} times" for name, count in given.items() if count > 1]
    if reasons:
        raise Problem(422, "this endpoint does not accept these query parameters", *reasons, code="unknown_parameter")


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return f"query.{name[:60]}: it is unknown; this endpoint has no parameters"
    closest = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {closest[0]}?" if closest else f"known are {', '.join(known)}"
    return f"query.{name[:60]}: it is unknown; {hint}"
