"""Rate limits by source, and limits for slow clients."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn

from gateway.app import create_app
from gateway.security.rates import RateError, Rates
from gateway.security.slow_client_protocol import SlowClientProtocol
from tests.gateway.conftest import TOKEN, GatewayHarness
from tests.ports import unused_port

pytestmark = pytest.mark.asyncio(loop_scope="session")


def client(gateway: GatewayHarness, rates: Rates, address: str = "192.0.2.1") -> httpx.AsyncClient:
    app = create_app(gateway.settings(rates=rates), gateway.client)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://gateway")


async def send(http: httpx.AsyncClient, gateway: GatewayHarness, token: str = TOKEN) -> httpx.Response:
    return await http.post("/webhooks/arize", json=gateway.alert(), headers={"Authorization": token})


async def test_guessing_a_secret_is_limited(gateway: GatewayHarness) -> None:
    """Authentic webhooks from the same address pass: both may come through one proxy."""
    async with client(gateway, Rates(refused="3/minute")) as http:
        assert [(await send(http, gateway, "wrong")).status_code for _ in range(5)] == [401] * 3 + [429] * 2
        limited = await send(http, gateway, "wrong")
        assert 1 <= int(limited.headers["retry-after"]) <= 60
        assert limited.headers["content-type"] == "application/problem+json"
        assert (limited.json()["title"], limited.json()["code"]) == ("Too Many Requests", "rate_limited")
        for path in ("/api/incidents", "/webhooks/slack"):
            assert (await http.request("GET" if "api" in path else "POST", path)).status_code == 429
        assert (await send(http, gateway)).status_code == 202


async def test_webhooks_are_limited_by_address(gateway: GatewayHarness) -> None:
    app = create_app(gateway.settings(rates=Rates(webhooks="2/minute")), gateway.client)

    async def from_(address: str) -> int:
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            return (await send(http, gateway)).status_code

    assert [await from_("192.0.2.1") for _ in range(3)] == [202, 202, 429]
    assert await from_("192.0.2.2") == 202


async def test_api_calls_are_limited_by_token(gateway: GatewayHarness) -> None:
    async with client(gateway, Rates(api="2/minute")) as http:

        async def read(token: str) -> int:
            return (await http.get("/api/incidents?limit=1", headers={"Authorization": f"Bearer {token}"})).status_code

        assert [await read("v-token") for _ in range(3)] == [200, 200, 429]
        assert await read("r-token") == 200


async def test_invalid_rate_names_itself() -> None:
    with pytest.raises(RateError, match=r"'often' is not a rate: write 6000/minute"):
        Rates(api="often")


# ── Slow clients, on real sockets ───────────────────────────────────────────────────────────────────────


class ImpatientProtocol(SlowClientProtocol):
    request_timeout = 0.5


class FewConnectionsProtocol(SlowClientProtocol):
    request_timeout = 300.0  # however slow the machine is, no connection of the test is cut off for being idle
    max_connections = 50


@asynccontextmanager
async def served(
    gateway: GatewayHarness, protocol: type[SlowClientProtocol] = ImpatientProtocol
) -> AsyncGenerator[int]:
    """The port of a gateway on a real socket."""
    port = unused_port()
    app = create_app(gateway.settings(), gateway.client)
    config = uvicorn.Config(app, "127.0.0.1", port, http=protocol, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await running


HEAD = b"POST /webhooks/arize HTTP/1.1\r\nHost: gateway\r\n"


@pytest.mark.parametrize(
    ("begun", "answer"),
    [
        (b"", b"408"),
        (HEAD, b"408"),
        (HEAD + b"Content-Length: 100000\r\n\r\n{", b"408"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n", b"408"),
        (HEAD + b"X-Long: " + b"x" * 100_000, b"431"),
        (HEAD + b"X-Many: x\r\n" * 10_000, b"431"),
    ],
    ids=["silent", "slow head", "slow body", "slow chunks", "endless header", "endless headers"],
)
async def test_endless_request_is_cut_off(gateway: GatewayHarness, begun: bytes, answer: bytes) -> None:
    async with served(gateway) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        response = await asyncio.wait_for(reader.read(), 60)
        assert response.split(b" ")[1:2] == [answer]
        writer.close()
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200


async def test_dripping_request_is_cut_off(gateway: GatewayHarness) -> None:
    """Single bytes do not extend the deadline: it holds for the whole request."""
    async with served(gateway) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ended = asyncio.create_task(reader.read())
        for byte in HEAD * 3:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
            if ended.done():
                break
        assert b" 408 " in await asyncio.wait_for(ended, 60)
        writer.close()


async def test_keep_alive_connection_may_idle(gateway: GatewayHarness) -> None:
    async with served(gateway) as port, httpx.AsyncClient() as http:
        for _ in range(2):
            assert (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
            await asyncio.sleep(0.8)


async def test_one_address_cannot_take_every_connection(gateway: GatewayHarness) -> None:
    async with served(gateway, FewConnectionsProtocol) as port:
        limit = FewConnectionsProtocol.max_connections
        accepted = [await asyncio.open_connection("127.0.0.1", port) for _ in range(limit)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 60) == b"", "closed at once"
        for _, each in [*accepted, (reader, writer)]:
            each.close()
        async with asyncio.timeout(60), httpx.AsyncClient() as http:
            while not await answers(http, port):
                await asyncio.sleep(0.05)


async def answers(http: httpx.AsyncClient, port: int) -> bool:
    """False while the server still counts the closed connections."""
    try:
        return (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
    except httpx.TransportError:
        return False
