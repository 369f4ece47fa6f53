"""The HTTP server of every stand-in: real sockets, its own thread, scripted faults."""

import asyncio
import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from tests.vendors.specs import answer_faults
from tests.waiting import wait_for


@dataclass(frozen=True)
class Fault:
    """What happens to the next request instead of the vendor's response, or before it."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    delay: float = 0.0
    reset: bool = False
    """Close the connection without a response."""
    cut: bool = False
    """Close the connection in the middle of the response."""
    after: bool = False
    """Process the request first: the sender cannot know that it succeeded."""


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    at: float
    raw: bytes = b""
    parameters: tuple[tuple[str, str], ...] = ()
    """The query with its repeated parameters, in their order."""


async def _cancel_others() -> None:
    """End the handlers of requests whose sender was killed; a loop that is closed would complain of them at exit."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Vendor:
    """The base of stand-ins, a context manager. A subclass responds in ``answer``."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.violations: list[str] = []
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.choose: Callable[[Request], Fault | None] = lambda request: None
        """The fault of a request by its content, if none is scripted."""
        self.done: list[Request] = []
        """The requests that the vendor processed, whatever it responded."""
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._runner: web.AppRunner | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def script(self, *faults: Fault) -> None:
        """The faults of the next requests, one each."""
        self.faults.extend(faults)

    def on_request(self, request: Request) -> None:
        """Called for each request, in the server's thread. Does nothing unless a test replaces it."""

    def answer(self, request: Request) -> tuple[int, Any]:
        """The vendor's response: status and JSON. Runs in the server's thread."""
        raise NotImplementedError

    def described(self, request: Request) -> tuple[str, str] | None:
        """The API description, and the path in it, that specifies the response to a request."""
        del request
        return None

    def wait_for(self, wanted: Any, seconds: float = 20.0) -> Any:
        """The value of ``wanted()``, as soon as it is true."""
        return wait_for(wanted, seconds, 0.02, lambda: f"{len(self.requests)} requests: {self.requests[-5:]}")

    def __enter__(self) -> Any:
        ready = threading.Event()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._start())
            ready.set()
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise RuntimeError("the stand-in did not start")
        return self

    def __exit__(self, *exception: object) -> None:
        assert self._runner is not None
        assert self._thread is not None
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.5, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        received = await incoming.read()
        raw = received.decode()
        content_type = incoming.headers.get("Content-Type", "")
        body: Any = raw
        if "json" in content_type and raw:
            with contextlib.suppress(json.JSONDecodeError):  # a body that is none is kept as it came
                body = json.loads(raw)
        elif "form-urlencoded" in content_type:
            body = dict(parse_qsl(raw))
        request = Request(
            incoming.method,
            incoming.path,
            dict(incoming.query),
            dict(incoming.headers),
            body,
            time.time(),
            received,
            tuple(incoming.query.items()),
        )
        self.requests.append(request)
        self.on_request(request)
        fault = self.faults.popleft() if self.faults else self.always or self.choose(request)
        if fault is None:
            status, answer = await self._do(request)
            return self.response(status, answer)
        done = await self._do(request) if fault.after else None
        if fault.delay:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(fault.delay)
        if fault.reset and incoming.transport is not None:
            incoming.transport.abort()
            return web.Response()
        if fault.cut:
            return await _half(incoming, fault)
        if fault.status:
            return web.Response(status=fault.status, headers=fault.headers, text=fault.body)
        status, answer = done or await self._do(request)
        return self.response(status, answer)

    def response(self, status: int, answer: Any) -> web.Response:
        return web.json_response(answer, status=status)

    async def respond(self, request: Request) -> tuple[int, Any]:
        """As ``answer``, for a stand-in that itself sends requests before it responds."""
        return self.answer(request)

    async def _do(self, request: Request) -> tuple[int, Any]:
        status, answer = await self.respond(request)
        if status < 300:
            self.done.append(request)
            described = self.described(request)
            if described is not None and not (isinstance(answer, dict) and answer.get("ok") is False):
                spec, path = described
                self.violations += [
                    f"{path}: {fault}" for fault in answer_faults(spec, path, request.method.lower(), status, answer)
                ]
        return status, answer


async def _half(incoming: web.Request, fault: Fault) -> web.StreamResponse:
    """The beginning of a response, before the connection is closed."""
    response = web.StreamResponse(status=fault.status or 200, headers={"Content-Length": "500", **fault.headers})
    await response.prepare(incoming)
    await response.write(fault.body.encode())
    if incoming.transport is not None:
        incoming.transport.abort()
    return response
