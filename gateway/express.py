"""The way around the framework for the one endpoint that storms reach.

Routing, dependencies, telemetry and checking answers against their model are half of what a request costs the gateway.
The endpoint is declared to FastAPI like every other, which is where its documentation comes from; what reaches it here
is the same function.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from gateway.problems import Problem, Problems

Endpoint = Callable[[Request], Awaitable[Response]]
_log = structlog.get_logger()


class Express(FastAPI):
    """A FastAPI whose ``express`` endpoints, by method and path, are called without it."""

    def __init__(self, problems: Problems, **more: Any) -> None:
        super().__init__(**more)
        self.express: MutableMapping[tuple[str, str], Endpoint] = {}
        self._problems = problems
        problems.install(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self.express.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await super().__call__(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            answer = await endpoint(request)
        except Problem as problem:
            answer = await self._problems.answer(request, problem)
        except ClientDisconnect:
            return
        except Exception:  # noqa: BLE001  # whatever it is, the sender hears of it, and sends again
            _log.exception("an endpoint failed", path=scope["path"])
            answer = await self._problems.answer(request, Problem(500, "this is a fault of the gateway's; see its log"))
        await answer(scope, receive, send)
