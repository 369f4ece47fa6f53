"""Serves the hottest endpoints without FastAPI.

Routing, dependencies and the validation of answers take half of the gateway's CPU time for a request. The endpoints
are declared to FastAPI like every other, for the OpenAPI document and for other methods; the same function is called
here directly.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from gateway.ingest.bodies import bounded_receive
from gateway.problems import Problem, Problems
from gateway.request_id import bound_request_id, read_request_id, send_with_request_id
from gateway.services import Services

Endpoint = Callable[[Request, Services], Awaitable[Response]]
_log = structlog.get_logger()


class FastRouteApp(FastAPI):
    """A FastAPI application with a request id for every request, and with endpoints that bypass the framework."""

    def __init__(self, services: Services, problems: Problems, **options: Any) -> None:
        """
        Args:
            services: what the endpoints depend on; stored as ``state.services``.
            problems: turns exceptions into answers.
            options: those of ``FastAPI``.
        """
        super().__init__(**options)
        self.state.services = services
        self._services, self._problems = services, problems
        self._fast_routes: dict[tuple[str, str], Endpoint] = {}
        problems.install(self)

    def add_fast_route(self, method: str, path: str, endpoint: Endpoint) -> None:
        """Call the endpoint for this method and path, without FastAPI."""
        self._fast_routes[method, path] = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        request_id = read_request_id(scope)
        send = send_with_request_id(send, request_id)
        with bound_request_id(request_id):
            endpoint = self._fast_routes.get((scope["method"], scope["path"]))
            if endpoint is None:
                bounded = bounded_receive(receive) if scope["path"].startswith("/api/") else receive
                await super().__call__(scope, bounded, send)
            else:
                await self._call_endpoint(endpoint, scope, receive, send)

    async def _call_endpoint(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await endpoint(request, self._services)
        except Problem as problem:
            response = await self._problems.answer(request, problem)
        except ClientDisconnect:
            return
        except Exception:  # noqa: BLE001  # the sender must get an answer, and sends again after a 500
            _log.exception("request_failed", path=scope["path"])
            problem = Problem(500, "the gateway failed on this request; its log has the details")
            response = await self._problems.answer(request, problem)
        await response(scope, receive, send)
