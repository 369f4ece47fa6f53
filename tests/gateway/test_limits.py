"""What anyone may send without a token: it is answered before it is read, bounded, and counted for its true source."""

import socket
from collections.abc import Generator

import pytest

from tests.gateway.real_gateway import RealGateway, running_gateway
from tests.waiting import SLOW_MACHINE

MIB = 2**20
API_POSTS = [
    "/api/drills",
    "/api/quarantine/replay",
    "/api/quarantine/q-1/replay",
    *(f"/api/incidents/incident-x-0123456789ab/{verb}" for verb in ("acknowledge", "resolve", "annotate")),
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Generator[RealGateway]:
    folder = tmp_path_factory.mktemp("limits")
    with running_gateway(folder, TOCSIN_RATE_REFUSED="1000000/minute") as gateway:
        yield gateway


@pytest.mark.parametrize("path", API_POSTS)
@pytest.mark.parametrize(("token", "status"), [("", 401), ("wrong", 401), ("v-token", 403)])
def test_caller_is_refused_before_the_body(gateway: RealGateway, path: str, token: str, status: int) -> None:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Type: application/json\r\n"
    assert gateway.raw(f"{head}Content-Length: 200000\r\n\r\n".encode())[0] == status, "no byte of the body was sent"


@pytest.mark.parametrize("path", ["/webhooks/arize", "/webhooks/slack", *API_POSTS, "/incidents/abc", "/nowhere"])
def test_endless_body_is_cut_off(gateway: RealGateway, path: str) -> None:
    before = gateway.memory
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    _flood(gateway, head, b"10000\r\n" + b"x" * 65_536 + b"\r\n", connections=10)
    assert gateway.memory - before < 64 * MIB


def test_endless_trailers_are_cut_off(gateway: RealGateway) -> None:
    """They arrive after the body, when the head's size has been counted."""
    before = gateway.memory
    head = b"POST /api/drills HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    _flood(gateway, head, b"X-Trailer: " + b"x" * 60_000 + b"\r\n", connections=10)
    assert gateway.memory - before < 64 * MIB


def _flood(gateway: RealGateway, head: bytes, chunk: bytes, *, connections: int) -> None:
    """Send up to 20 MiB on each connection, until the gateway closes it."""
    opened = [gateway.connect() for _ in range(connections)]
    for connection in opened:
        connection.sendall(head)
    for _ in range(20 * MIB // len(chunk)):
        for connection in list(opened):
            try:
                connection.settimeout(SLOW_MACHINE)
                connection.sendall(chunk)
            except OSError:  # closed by the gateway
                opened.remove(connection)
                connection.close()
    for connection in opened:
        connection.close()


@pytest.mark.parametrize("size", [66_000, 70_000, 200_000])
def test_long_head_in_one_read_is_refused(gateway: RealGateway, size: int) -> None:
    for head in (b"X-Long: " + b"x" * size, b"X: y\r\n" * (size // 6) + b"Z: z"):
        assert gateway.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n\r\n")[0] == 431
    assert gateway.raw(b"GET /healthz?" + b"x" * size + b" HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 431
    assert gateway.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 60_000 + b"\r\n\r\n")[0] == 200


def test_upgrades_do_not_use_up_connections(gateway: RealGateway) -> None:
    upgrade = (
        b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    logged = len(gateway.tocsin.printed())
    for _ in range(520):  # more than one address may have open
        status, answer = gateway.raw(upgrade)
        assert status == 200, answer
    assert len(gateway.tocsin.printed()) == logged, "an unauthenticated request writes no log line"


# ── The source of a request ─────────────────────────────────────────────────────────────────────────────


def _refusals(gateway: RealGateway, *heads: str, trailer: str = "") -> list[int]:
    """The statuses of requests with a wrong token."""
    statuses: list[int] = []
    for head in heads:
        body = f"Transfer-Encoding: chunked\r\n\r\n0\r\n{trailer}\r\n" if trailer else "Content-Length: 0\r\n\r\n"
        sent = f"POST /api/drills HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n{head}{body}"
        statuses.append(gateway.raw(sent.encode())[0])
    return statuses


def _forwarded(addresses: str) -> str:
    return f"X-Forwarded-For: {addresses}\r\n"


@pytest.mark.parametrize("trusted", ["127.0.0.1,10.0.0.0/8", "*"])
def test_right_most_untrusted_address_counts(tmp_path_factory: pytest.TempPathFactory, trusted: str) -> None:
    folder = tmp_path_factory.mktemp("proxies")
    own = "" if trusted == "*" else ", 10.1.2.3"
    with running_gateway(folder, TOCSIN_RATE_REFUSED="3/minute", FORWARDED_ALLOW_IPS=trusted) as gateway:
        invented = [_forwarded(f"198.51.100.{number}, 203.0.113.7{own}") for number in range(4)]
        assert _refusals(gateway, *invented) == [401, 401, 401, 429]
        two_lines = _forwarded("198.51.100.9") + _forwarded(f"203.0.113.7{own}")
        assert _refusals(gateway, two_lines) == [429], "a header in two lines is one list"
        assert _refusals(gateway, _forwarded(f"203.0.113.8{own}")) == [401], "another client"
        late = _forwarded("198.51.100.200")
        assert _refusals(gateway, _forwarded(f"203.0.113.7{own}"), trailer=late) == [429], "a trailer names nobody"


def test_untrusted_peer_names_no_address(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("direct")
    with running_gateway(folder, TOCSIN_RATE_REFUSED="3/minute", FORWARDED_ALLOW_IPS="10.0.0.0/8") as gateway:
        assert _refusals(gateway, *(_forwarded(f"198.51.100.{n}") for n in range(4))) == [401, 401, 401, 429]


def test_ipv6_client_is_one_source(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A client has 2**64 addresses of its own."""
    folder = tmp_path_factory.mktemp("ipv6")
    with running_gateway(folder, TOCSIN_RATE_REFUSED="3/minute") as gateway:
        assert _refusals(gateway, *(_forwarded(f"2001:db8::{n:x}") for n in range(4))) == [401, 401, 401, 429]
        assert _refusals(gateway, _forwarded("2001:db8:0:1::1"), _forwarded("not an address")) == [401, 401]


def test_closed_socket_is_forgotten(gateway: RealGateway) -> None:
    for _ in range(20):
        connection = gateway.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.close()
    assert gateway.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")[0] == 200
