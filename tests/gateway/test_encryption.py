"""Encryption keys, the payload codec, and the codec server."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from gateway.app import create_app
from gateway.security.codec_sessions import COOKIE
from gateway.security.encryption import EncryptionCodec, EncryptionError, Keyring, data_converter
from tests.gateway.conftest import GatewayHarness

OLD, NEW = b"o" * 32, b"n" * 32
UI = "http://127.0.0.1:8233"


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


@given(st.binary(max_size=2_000))
def test_sealed_data_opens_and_never_repeats(plain: bytes) -> None:
    keys = Keyring([NEW])
    sealed = keys.seal(plain)
    assert keys.open(sealed, keys.current) == plain
    assert sealed != keys.seal(plain), "equal plaintexts do not show as equal"
    assert len(plain) < 4 or plain not in sealed


def test_old_key_still_decrypts() -> None:
    before, after = Keyring([OLD]), Keyring.read((text(NEW), text(OLD)))
    assert after.open(before.seal(b"text"), before.current) == b"text"
    assert after.current == Keyring([NEW]).current
    with pytest.raises(EncryptionError, match="which TOCSIN_ENCRYPTION_KEY does not name"):
        Keyring([NEW]).open(before.seal(b"text"), before.current)


def test_changed_data_is_not_opened() -> None:
    keys = Keyring([NEW])
    sealed = bytearray(keys.seal(b"text"))
    sealed[-1] ^= 1
    with pytest.raises(EncryptionError, match="was changed afterwards"):
        keys.open(bytes(sealed), keys.current)


@pytest.mark.parametrize("value", ["", "short", text(b"x" * 16), text(NEW)[:-2], "not base64 at all!"])
def test_invalid_key_is_numbered_and_not_shown(value: str) -> None:
    with pytest.raises(
        EncryptionError, match=r"key 2 is not base64 of 32 bytes; create one with `openssl rand"
    ) as error:
        Keyring.read((text(NEW), value))
    assert not value or value not in str(error.value)


async def test_failures_are_encrypted() -> None:
    """A vendor's answer may quote a customer, and stands in the message of a failure."""
    converter = data_converter(Keyring([NEW]))
    failure = Failure()
    await converter.encode_failure(ApplicationError("the vendor said: what a customer said"), failure)
    assert b"customer" not in failure.SerializeToString()
    decoded = await converter.decode_failure(failure)
    assert "what a customer said" in str(decoded)


async def test_unencrypted_payload_is_decoded_unchanged() -> None:
    codec = EncryptionCodec(Keyring([NEW]))
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    assert await codec.decode([plain]) == [plain]
    (sealed,) = await codec.encode([plain])
    assert sealed.metadata["encoding"] == b"binary/encrypted"
    assert await codec.decode([sealed]) == [plain]


# ── The codec server ────────────────────────────────────────────────────────────────────────────────────


@pytest_asyncio.fixture(loop_scope="session")
async def http(gateway: GatewayHarness) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(gateway.settings(keys=Keyring([NEW, OLD])), gateway.client)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        yield http


async def sealed(key: bytes = OLD) -> dict[str, Any]:
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'"what a customer said"')
    return json_format.MessageToDict(Payloads(payloads=await EncryptionCodec(Keyring([key])).encode([plain])))


def clear(answer: httpx.Response) -> bytes:
    return json_format.ParseDict(answer.json(), Payloads()).payloads[0].data


@pytest.mark.asyncio(loop_scope="session")
async def test_token_decodes_and_encodes(http: httpx.AsyncClient) -> None:
    shown = {"Authorization": "Bearer v-token", "X-Namespace": "default"}
    answer = await http.post("/codec/decode", json=await sealed(), headers=shown)
    assert (answer.status_code, clear(answer)) == (200, b'"what a customer said"')
    refused = await http.post("/codec/encode", json=answer.json(), headers=shown)
    assert refused.status_code == 403
    again = await http.post("/codec/encode", json=answer.json(), headers={"Authorization": "Bearer r-token"})
    assert again.status_code == 200
    assert b"customer" not in again.content
    assert clear(await http.post("/codec/decode", json=again.json(), headers=shown)) == clear(answer)


@pytest.mark.asyncio(loop_scope="session")
async def test_codec_without_token_is_refused(http: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"{COOKIE}=forged"}):
        answer = await http.post("/codec/decode", json=await sealed(), headers=headers)
        assert (answer.status_code, b"customer" in answer.content) == (401, False)


@pytest.mark.asyncio(loop_scope="session")
async def test_browser_session_lasts_after_sign_in(http: httpx.AsyncClient) -> None:
    assert "Sign in" in (await http.get("/codec")).text
    wrong = await http.post("/codec", data={"token": "wrong"})
    assert (wrong.status_code, "not a valid API token" in wrong.text) == (401, True)
    right = await http.post("/codec", data={"token": "v-token"})
    assert right.status_code == 303
    cookie = right.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/codec", "max-age=43200"))
    assert "v-token" not in cookie
    assert "You are signed in" in (await http.get("/codec")).text, "the client keeps the cookie"
    answer = await http.post("/codec/decode", json=await sealed())
    assert (answer.status_code, clear(answer)) == (200, b'"what a customer said"')
    assert (await http.post("/codec/encode", json=await sealed())).status_code == 403, "a viewer may not encode"


@pytest.mark.asyncio(loop_scope="session")
async def test_only_temporal_ui_origin_is_allowed(http: httpx.AsyncClient) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-namespace"}
    allowed = await http.options("/codec/decode", headers={"Origin": UI, **asked})
    assert allowed.headers["access-control-allow-origin"] == UI
    assert allowed.headers["access-control-allow-credentials"] == "true"
    denied = await http.options("/codec/decode", headers={"Origin": "https://evil.example", **asked})
    assert denied.status_code == 400
    assert "access-control-allow-origin" not in denied.headers


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{", 400, "not a list of payloads"),
        (b'{"payloads": 5}', 400, "not a list of payloads"),
        (b"\xff", 400, "not a list of payloads"),
        (b" " * (9 * 2**20), 413, "at most 8,388,608 bytes"),
    ],
)
async def test_invalid_payloads_are_refused(http: httpx.AsyncClient, body: bytes, status: int, detail: str) -> None:
    answer = await http.post("/codec/decode", content=body, headers={"Authorization": "Bearer v-token"})
    assert (answer.status_code, detail in answer.json()["detail"]) == (status, True)


@pytest.mark.asyncio(loop_scope="session")
async def test_missing_key_is_named(http: httpx.AsyncClient) -> None:
    answer = await http.post("/codec/decode", json=await sealed(b"z" * 32), headers={"Authorization": "Bearer v-token"})
    assert answer.status_code == 422
    assert Keyring([b"z" * 32]).current in answer.json()["detail"]
    assert answer.json()["code"] == EncryptionError.code


@pytest.mark.asyncio(loop_scope="session")
async def test_codec_server_needs_a_key(gateway: GatewayHarness) -> None:
    assert (await gateway.http.get("/codec")).status_code == 404
