"""Requests as senders and proxies write them: compressed, in other encodings, with any form of the token."""

import gzip
import hashlib
import hmac
import itertools
import json
import time
import zlib
from collections.abc import Callable

import pytest
import zstandard

from gateway.ingest.bodies import CompressedBodyError, decompressed
from gateway.problems import Problem
from tests.gateway.conftest import SECRET, TOKEN, GatewayHarness

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"monitor_name": "m"}'
RAW_DEFLATE = zlib.compress(BODY)[2:-4]


def signed_headers(body: bytes) -> dict[str, str]:
    stamp = str(int(time.time()))
    signature = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"X-Arize-Webhook-Timestamp": stamp, "X-Arize-Webhook-Signature": f"v1={signature}"}


@pytest.mark.parametrize(
    ("sent", "encoding"),
    [
        (gzip.compress(BODY), "gzip"),
        (gzip.compress(BODY), "X-GZip"),
        (gzip.compress(BODY), ""),
        (gzip.compress(BODY[:5]) + gzip.compress(BODY[5:]), "gzip"),
        (zlib.compress(BODY), "deflate"),
        (RAW_DEFLATE, "deflate"),
        (zstandard.compress(BODY), "zstd"),
        (zstandard.compress(BODY), ""),
        (gzip.compress(zlib.compress(BODY)), "deflate, gzip"),
        (BODY, "identity"),
        (BODY, "gzip"),
    ],
    ids=itertools.count(),
)
async def test_content_encodings_are_removed(sent: bytes, encoding: str) -> None:
    assert decompressed(sent, encoding) == BODY


@pytest.mark.parametrize(
    ("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.compress)]
)
async def test_bomb_is_refused_while_it_inflates(coding: str, compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Problem) as caught:
        decompressed(compress(b" " * 50_000_000), coding)
    assert caught.value.status == 413
    assert decompressed(compress(b" " * 262_144), coding) == b" " * 262_144


@pytest.mark.parametrize(
    ("sent", "encoding", "reason"),
    [
        (gzip.compress(BODY)[:-9], "gzip", "cut off"),
        (zlib.compress(BODY)[:-5], "deflate", "cut off"),
        (zstandard.compress(BODY)[:6], "zstd", "cut off"),
        (gzip.compress(b"") * 20, "gzip", "more than 16 parts"),
        (b"plain", "gzip", "is not gzip"),
        (b"plain", "br", "br is not known"),
    ],
    ids=itertools.count(),
)
async def test_wrong_compression_has_a_reason(sent: bytes, encoding: str, reason: str) -> None:
    with pytest.raises(CompressedBodyError, match=reason):
        decompressed(sent, encoding)


@pytest.mark.parametrize("signs_compressed", [True, False])
async def test_signature_is_of_either_form(gateway: GatewayHarness, signs_compressed: bool) -> None:
    body = json.dumps(gateway.alert()).encode()
    packed = gzip.compress(body)
    headers = {**signed_headers(packed if signs_compressed else body), "Content-Encoding": "gzip"}
    answer = await gateway.http.post("/webhooks/arize", content=packed, headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (202, "started")
    wrong = {**signed_headers(b"other"), "Content-Encoding": "gzip"}
    assert (await gateway.http.post("/webhooks/arize", content=packed, headers=wrong)).status_code == 401


async def test_other_compression_of_signed_bytes_is_a_replay(gateway: GatewayHarness) -> None:
    body = json.dumps(gateway.alert()).encode()
    headers = {**signed_headers(body), "X-Arize-Webhook-Event": "monitor.triggered", "X-Arize-Webhook-Id": "evt-packed"}
    assert (await gateway.http.post("/webhooks/arize", content=body, headers=headers)).json()["state"] == "started"
    forged = {**headers, "Content-Encoding": "gzip", "X-Arize-Webhook-Event": "monitor.cleared"}
    forged["X-Arize-Webhook-Id"] = "evt-packed-2"
    answer = await gateway.http.post("/webhooks/arize", content=gzip.compress(body), headers=forged)
    assert answer.status_code == 401


async def test_unknown_compression_is_quarantined(gateway: GatewayHarness) -> None:
    headers = {"Authorization": TOKEN, "Content-Encoding": "br"}
    answer = await gateway.http.post("/webhooks/arize", content=b"\x0b\x02\x80", headers=headers)
    assert (answer.status_code, answer.json()["state"]) == (202, "quarantined")
    bomb = gzip.compress(b" " * 1_000_000)
    headers["Content-Encoding"] = "gzip"
    assert (await gateway.http.post("/webhooks/arize", content=bomb, headers=headers)).status_code == 413


@pytest.mark.parametrize(
    "authorization",
    ["bearer {}", "BEARER {}", "Bearer  {}", "Bearer {} ", "  Bearer\t{}", "{} "],
)
async def test_every_form_of_the_token_is_accepted(gateway: GatewayHarness, authorization: str) -> None:
    headers = {"Authorization": authorization.format(TOKEN)}
    answer = await gateway.http.post("/webhooks/arize", json=gateway.alert(), headers=headers)
    assert answer.status_code == 202


@pytest.mark.parametrize("authorization", ["Bearer", "Bearer ", "Basic {}", "Bearer Bearer {}", "{}x", "bearer{}"])
async def test_other_tokens_are_refused(gateway: GatewayHarness, authorization: str) -> None:
    headers = {"Authorization": authorization.format(TOKEN)}
    answer = await gateway.http.post("/webhooks/arize", json=gateway.alert(), headers=headers)
    assert answer.status_code == 401


@pytest.mark.parametrize("path", ["/webhooks/arize/", "/webhooks/arize//", "/webhooks/arize?source=arize"])
async def test_trailing_slash_is_no_redirect(gateway: GatewayHarness, path: str) -> None:
    answer = await gateway.http.post(path, json=gateway.alert(), headers={"Authorization": TOKEN})
    assert answer.status_code == 202
    assert (await gateway.http.post("/webhooks/pagerduty/", json={})).status_code == 401


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("application/json; charset=utf-8", "utf-8-sig"),
        ("application/json", "utf-16"),
        ("application/json; charset=ISO-8859-1", "latin-1"),
        ("text/plain", "utf-8"),
    ],
)
async def test_encoded_body_starts_an_incident(gateway: GatewayHarness, content_type: str, encoding: str) -> None:
    body = json.dumps(gateway.alert(region="Zürich"), ensure_ascii=False).encode(encoding)
    headers = {"Authorization": TOKEN, "Content-Type": content_type}
    answer = await gateway.http.post("/webhooks/arize", content=body, headers=headers)
    assert answer.json()["state"] == "started"
    one = await gateway.until(answer.json()["incident"], lambda one: one["state"] == "notified")
    assert one["alert"]["region"] == "Zürich"
