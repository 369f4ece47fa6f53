"""One source's storm, and slow clients, are nobody else's trouble."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn

from gateway.app import create_app
from gateway.patience import CONNECTIONS_EACH, PatientProtocol
from gateway.rates import RateError, Rates
from tests.gateway.conftest import TOKEN, House
from tests.ports import unused_port

pytestmark = pytest.mark.asyncio(loop_scope="session")


def client(house: House, rates: Rates, address: str = "192.0.2.1") -> httpx.AsyncClient:
    app = create_app(house.settings(rates=rates), house.client)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(address, 1)), base_url="http://gateway")


async def send(http: httpx.AsyncClient, house: House, token: str = TOKEN) -> httpx.Response:
    return await http.post("/webhooks/arize", json=house.alert(), headers={"Authorization": token})


async def test_who_guesses_is_told_to_wait_and_who_is_authentic_is_not(house: House) -> None:
    """Both may come through one proxy: what a guesser does must not cost an alert."""
    async with client(house, Rates(refused="3/minute")) as http:
        assert [(await send(http, house, "wrong")).status_code for _ in range(5)] == [401] * 3 + [429] * 2
        told = await send(http, house, "wrong")
        assert 1 <= int(told.headers["retry-after"]) <= 60
        assert told.headers["content-type"] == "application/problem+json"
        assert told.json()["title"] == "Too often"
        for path in ("/api/incidents", "/webhooks/slack"):
            assert (await http.request("GET" if "api" in path else "POST", path)).status_code == 429
        assert (await send(http, house)).status_code == 202


async def test_a_source_that_sends_too_often_is_told_when_to_come_again(house: House) -> None:
    app = create_app(house.settings(rates=Rates(webhooks="2/minute")), house.client)

    async def from_(address: str) -> int:
        transport = httpx.ASGITransport(app, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
            return (await send(http, house)).status_code

    assert [await from_("192.0.2.1") for _ in range(3)] == [202, 202, 429]
    assert await from_("192.0.2.2") == 202


async def test_an_api_token_has_its_own_measure(house: House) -> None:
    async with client(house, Rates(api="2/minute")) as http:

        async def read(token: str) -> int:
            return (await http.get("/api/incidents?limit=1", headers={"Authorization": f"Bearer {token}"})).status_code

        assert [await read("v-token") for _ in range(3)] == [200, 200, 429]
        assert await read("r-token") == 200


async def test_a_rate_that_is_none_is_named() -> None:
    with pytest.raises(RateError, match=r"'often' is not one: 6000/minute"):
        Rates(api="often")


# ── Slow clients, on real sockets ───────────────────────────────────────────────────────────────────────


class Hasty(PatientProtocol):
    within = 0.5


@asynccontextmanager
async def served(house: House) -> AsyncGenerator[int]:
    port = unused_port()
    app = create_app(house.settings(), house.client)
    config = uvicorn.Config(app, "127.0.0.1", port, http=Hasty, log_level="warning", lifespan="off")
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
async def test_a_client_that_does_not_come_to_an_end_is_cut_off(house: House, begun: bytes, answer: bytes) -> None:
    async with served(house) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        said = await asyncio.wait_for(reader.read(), 10)
        assert said.split(b" ")[1:2] == [answer]
        writer.close()
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200


async def test_dripping_does_not_help(house: House) -> None:
    """A byte now and then keeps nothing open: the whole request has one deadline."""
    async with served(house) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ended = asyncio.create_task(reader.read())
        for byte in HEAD * 3:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
            if ended.done():
                break
        assert ended.done()
        assert b" 408 " in await ended
        writer.close()


async def test_a_kept_connection_may_rest_between_requests(house: House) -> None:
    async with served(house) as port, httpx.AsyncClient() as http:
        for _ in range(2):
            assert (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
            await asyncio.sleep(0.8)


async def test_one_address_cannot_take_every_connection(house: House) -> None:
    async with served(house) as port:
        open_ = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_EACH)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 5) == b"", "closed at once"
        for _, each in [*open_, (reader, writer)]:
            each.close()
        async with httpx.AsyncClient() as http:
            await asyncio.sleep(0.2)
            assert (await http.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
