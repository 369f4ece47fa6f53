"""No request is answered 500, whatever it holds, on any route of the gateway; over real sockets."""

import base64
import json
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.docs.sources import endpoints
from tests.gateway.real_gateway import RealGateway, running_gateway
from tests.processes import ARIZE_SECRET
from tests.signing import signed

KEY = base64.b64encode(bytes(range(32))).decode()
ROUTES = [
    *("POST /webhooks/arize", "POST /webhooks/changes", "POST /webhooks/jira", "POST /webhooks/opsgenie"),
    *("POST /webhooks/pagerduty", "POST /webhooks/servicenow", "POST /webhooks/slack", "POST /webhooks/splunk-oncall"),
    *("GET /api/changes", "GET /api/quarantine", "GET /api/quarantine/{id}", "POST /api/quarantine/replay"),
    *("POST /api/quarantine/{id}/replay", "GET /api/incidents", "GET /api/incidents/{id}", "POST /api/drills"),
    *("POST /api/incidents/{id}/acknowledge", "POST /api/incidents/{id}/annotate"),
    *("POST /api/incidents/{id}/resolve", "GET /incidents/{token}", "POST /incidents/{token}", "GET /healthz"),
    *("GET /readyz", "GET /metrics", "GET /openapi.json", "GET /codec", "POST /codec", "POST /codec/decode"),
    *("POST /codec/encode", "GET /", "GET /api/silences", "POST /api/silences", "POST /api/silences/preview"),
    "POST /api/silences/{id}/expire",
]
SECRETS = {
    f"{vendor}_WEBHOOK_SECRET": "callback-secret" for vendor in ("OPSGENIE", "SPLUNK_ONCALL", "JIRA", "SERVICENOW")
} | {"TOCSIN_CHANGES_SECRET": "whsec_" + KEY, "TOCSIN_LINK_SECRET": "link", "TOCSIN_ENCRYPTION_KEY": KEY}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Generator[RealGateway]:
    folder = tmp_path_factory.mktemp("hostile")
    with running_gateway(folder, TOCSIN_RATE_REFUSED="1000000/minute", **SECRETS) as gateway:
        yield gateway


def test_every_route_is_in_the_list(tmp_path: Path) -> None:
    assert set(ROUTES) == set(endpoints(tmp_path))


@pytest.mark.parametrize("route", ROUTES)
def test_hostile_request_is_no_server_error(gateway: RealGateway, route: str) -> None:
    method, _, path = route.partition(" ")
    path = path.replace("{id}", "incident-x-0123456789ab").replace("{token}", "abcdefghij.klm")
    for name, request in hostile_requests(method, path):
        status, answer = gateway.raw(request)
        # 503 says that Temporal is unavailable, which it is here.
        assert status in {0, 503} or 200 <= status < 500, f"{route} {name}: {answer[:500]!r}"
        assert len(answer) < 200_000, f"{route} {name}: a small request has no large answer"
        if status >= 400 and status != 431 and path.startswith(("/api/", "/webhooks/")) and "HTTP" not in name:
            assert b"application/problem+json" in answer or b"Invalid HTTP request" in answer, f"{route} {name}"
    assert gateway.logged("request_failed") == []


def hostile_requests(method: str, path: str) -> Iterator[tuple[str, bytes]]:
    """Requests of a route by what is wrong with them."""
    for name, headers in HEADERS.items():
        yield f"headers: {name}", request(method, path, headers, b"{}")
    for token in ("", "a-token"):
        for name, body in BODIES.items():
            for content_type in ("application/json", "application/x-www-form-urlencoded"):
                headers = [("Content-Type", content_type), *([("Authorization", f"Bearer {token}")] if token else [])]
                yield f"body: {name} as {content_type}", request(method, path, headers, body)
    for name, body in BODIES.items():
        if path == "/webhooks/arize":
            yield f"signed body: {name}", request(method, path, list(signed(body, ARIZE_SECRET, "").items()), body)
    for name, query in QUERIES.items():
        yield f"query: {name}", request(method, f"{path}?{query}", [("Authorization", "Bearer a-token")], b"{}")
    for name, end in PATHS.items():
        yield f"path: {name}", request(method, path + end, [("Authorization", "Bearer a-token")], b"{}")
    for other in ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "NOPE"):
        yield f"HTTP method: {other}", request(other, path, [], b"{}")
    for name, raw in RAW.items():
        yield f"HTTP: {name}", raw.replace(b"METHOD", method.encode()).replace(b"PATH", path.encode())


def request(method: str, path: str, headers: list[tuple[str, str]], body: bytes) -> bytes:
    if all(name != "Connection" for name, _ in headers):
        headers = [*headers, ("Connection", "close")]
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway", *(f"{name}: {value}" for name, value in headers)]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    return head.encode("utf-8", "surrogateescape") + body


BINARY = "\udcff\udcfe\udc80"
"""Bytes that are no UTF-8, in a header's value."""
SIGNATURES = (
    *("X-Slack-Signature", "X-Arize-Webhook-Signature", "X-Hub-Signature", "X-PagerDuty-Signature"),
    *("webhook-signature", "webhook-id", "Authorization"),
)
HEADERS: dict[str, list[tuple[str, str]]] = {
    "binary signatures": [
        *((name, f"v0={BINARY}") for name in SIGNATURES),
        *(("X-Slack-Request-Timestamp", "1"), ("webhook-timestamp", "1"), ("X-Arize-Webhook-Timestamp", "1")),
    ],
    "accented signatures": [(name, "v1=é") for name in SIGNATURES] + [("X-Slack-Request-Timestamp", "1")],
    "superscript times": [
        *((name, "v1=a") for name in SIGNATURES),
        *(("X-Slack-Request-Timestamp", "²"), ("webhook-timestamp", "²"), ("X-Arize-Webhook-Timestamp", "²")),
    ],
    "endless times": [
        *((name, "v1=a") for name in SIGNATURES),
        *(("X-Slack-Request-Timestamp", "9" * 5000), ("webhook-timestamp", "9" * 5000)),
    ],
    "many signatures": [(name, "v1=a," * 3000) for name in SIGNATURES[:3]],
    "doubled headers": [
        (name, value)
        for name in ("Authorization", "Content-Type", "Cookie", "X-Request-Id", "Host", "X-Forwarded-For")
        for value in ("Bearer a-token", "Bearer other")
    ],
    "bearer only": [("Authorization", "Bearer")],
    "binary bearer": [("Authorization", f"Bearer {BINARY}")],
    "long bearer": [("Authorization", "Bearer " + "x" * 60_000)],
    "basic": [("Authorization", "Basic YTpi")],
    "unknown charset": [("Content-Type", "application/json; charset=klingon")],
    "binary content type": [("Content-Type", f"application/json; charset={BINARY}")],
    "broken multipart": [("Content-Type", "multipart/form-data; boundary=")],
    "unknown encoding": [("Content-Encoding", "br, zstd, klingon")],
    "binary cookie": [("Cookie", f"tocsin_codec={BINARY}; =; ;;; a")],
    "many cookies": [("Cookie", "a=b; " * 5000)],
    "binary forwarding": [("X-Forwarded-For", BINARY), ("X-Forwarded-Proto", BINARY)],
    "no addresses": [("X-Forwarded-For", ",,,[::, [x]:y,"), ("Forwarded", "for=")],
    "binary accept": [("Accept", BINARY), ("Accept-Encoding", BINARY), ("Accept-Language", BINARY)],
    "preflight": [("Origin", f"http://{BINARY}"), ("Access-Control-Request-Method", BINARY)],
    "websocket": [
        *(("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ],
    "http/2 upgrade": [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAA")],
    "expectation": [("Expect", "100-continue")],
    "conditions": [("Range", "bytes=0-,1-,2-"), ("If-None-Match", "*"), ("If-Modified-Since", "x")],
}
BODIES: dict[str, bytes] = {
    "empty": b"",
    "not UTF-8": b'{"by": "\xff\xfe", "rule": "\x80"}',
    "UTF-16": '{"by": "x"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + b'{"by": "x", "rule": "all", "note": "x"}',
    "NUL": b"\x00" * 100,
    "lone surrogates": b'{"by": "\\ud800", "note": "\\udfff", "rule": "\\ud800", "ids": ["\\ud800"]}',
    "surrogates in a drill": b'{"rule": "all", "model": "\\ud800", "environment": "\\udfff", "by": "\\ud800"}',
    "surrogate key": b'{"\\ud800": 1}',
    "deep": b"[" * 100_000,
    "deep objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    "long number": b'{"by": ' + b"9" * 100_000 + b"}",
    "huge number": b'{"by": 1e999, "rule": NaN, "note": -Infinity}',
    "types": b'{"by": {}, "note": [], "rule": 1, "ids": {"a": 1}, "payloads": 5, "events": 1, "issue": []}',
    "array": b"[1, 2, 3]",
    "string": b'"text"',
    "null": b"null",
    "many keys": json.dumps({f"key{number}": number for number in range(20_000)}).encode()[:250_000],
    "thousands of fields": b"&".join(b"token=x" for _ in range(20_000)),
    "binary fields": b"token=\xff&by=%ff%fe&payload=%00%80",
    "surrogate payload": b"payload=%7B%22type%22%3A%22%5Cud800%22%7D&by=%ED%A0%80",
    "payloads": b'{"payloads": [{"metadata": {"encoding": "!!"}, "data": "%%%"}]}',
    "too large": b'{"by": "' + b"x" * 300_000 + b'"}',
}
QUERIES: dict[str, str] = {
    "unknown": "colour=blue",
    "doubled": "limit=1&limit=2&state=closed&state=closed",
    "broken escapes": "%ff=%zz&%=%00&limit=%FF",
    "many": "&".join(f"p{number}=x" for number in range(3000)),
    "long": "model=" + "x" * 60_000,
    "extreme times": "opened_since=0001-01-01T00:00:00%2B23:59&closed_until=9999-12-31T23:59:59-23:59&since=1e300",
    "times": "since=0001-01-01T00:00:00%2B23:59&until=9999-12-31T23:59:59-23:59",
    "surrogates": "model=%ED%A0%80&team=%00&cursor=%ED%A0%80",
    "numbers": "limit=" + "9" * 5000,
    "cursor": "cursor=AAAA",
}
PATHS: dict[str, str] = {
    "slash": "/",
    "binary": "%ff%fe",
    "surrogates": "%ED%A0%80",
    "NUL": "%00",
    "dots": "/../../etc/passwd",
    "long": "x" * 30_000,
    "semicolon": ";a=b",
    "quotes": "%22%27%3Cscript%3E",
}
RAW: dict[str, bytes] = {
    "raw bytes in the path": b"METHOD PATH\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"METHOD PATH HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0": b"METHOD PATH HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}",
    "HTTP/9": b"METHOD PATH HTTP/9.9\r\nHost: x\r\n\r\n",
    "absolute": b"METHOD http://evil.example:99999PATH HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "two lengths": b"METHOD PATH HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "negative length": b"METHOD PATH HTTP/1.1\r\nHost: x\r\nContent-Length: -2\r\n\r\n{}",
    "length and chunks": b"METHOD PATH HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n"
    b"\r\n0\r\n\r\n",
    "broken chunks": b"METHOD PATH HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "trailers": b"METHOD PATH HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: \xff\r\n\r\n",
    "header without name": b"METHOD PATH HTTP/1.1\r\nHost: x\r\n: x\r\nContent-Length: 0\r\n\r\n",
    "folded header": b"METHOD PATH HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "long head in one write": b"METHOD PATH HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nX: "
    + b"x" * 70_000
    + b"\r\n\r\n",
}
