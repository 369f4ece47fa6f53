"""Serves the hottest endpoints without FastAPI.

Routing, dependencies and the validation of answers take half of the gateway's CPU time for a request. The endpoints
are declared to FastAPI like every other, for the OpenAPI document and for other methods; the same function is called
here directly.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from gateway.ingest.bodies import body_limit, bounded_receive
from gateway.problems import Problem, Problems
from gateway.request_id import bound_request_id, read_request_id, send_with_request_id
from gateway.services import Services

Endpoint = Callable[[Request, Services], Awaitable[Response]]


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
        if scope["path"].startswith("/webhooks/"):
            scope = {**scope, "path": scope["path"].rstrip("/")}  # senders do not follow a redirect of a POST
        with bound_request_id(request_id):
            endpoint = self._fast_routes.get((scope["method"], scope["path"]))
            if endpoint is None:
                await self._call_framework(scope, receive, send)
            else:
                await self._call_endpoint(endpoint, scope, receive, send)

    async def _call_framework(self, scope: Scope, receive: Receive, send: Send) -> None:
        bounded = bounded_receive(receive, body_limit(scope["path"]))
        # ``Problems.on_failure`` has answered and logged the error. Starlette raises it again for the server, whose log
        # line would have the message, and with it what the request contained. If the answer had begun already, the
        # server notices that it is not complete, and closes the connection.
        with suppress(Exception):
            await super().__call__(scope, bounded, send)

    async def _call_endpoint(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await endpoint(request, self._services)
        except Problem as problem:
            response = await self._problems.answer(request, problem)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001  # the sender must get an answer, and sends again after a 500
            response = await self._problems.on_failure(request, error)
        await response(scope, receive, send)
