"""Keys, the codec, and the codec server: who may see what is encrypted."""

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
from gateway.codec_server import COOKIE
from gateway.encryption import EncryptionCodec, EncryptionError, Keyring, data_converter
from tests.gateway.conftest import House

OLD, NEW = b"o" * 32, b"n" * 32
UI = "http://127.0.0.1:8233"


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


@given(st.binary(max_size=2_000))
def test_what_is_sealed_is_opened_and_differs_each_time(plain: bytes) -> None:
    keys = Keyring([NEW])
    sealed = keys.seal(plain)
    assert keys.open(sealed, keys.current) == plain
    assert sealed != keys.seal(plain), "the same twice looks different: nobody sees that a customer said it again"
    assert len(plain) < 4 or plain not in sealed


def test_what_was_written_under_an_old_key_stays_readable() -> None:
    before, after = Keyring([OLD]), Keyring.read((text(NEW), text(OLD)))
    assert after.open(before.seal(b"text"), before.current) == b"text"
    assert after.current == Keyring([NEW]).current
    with pytest.raises(EncryptionError, match="which TOCSIN_ENCRYPTION_KEY does not name"):
        Keyring([NEW]).open(before.seal(b"text"), before.current)


def test_what_was_changed_is_not_opened() -> None:
    keys = Keyring([NEW])
    sealed = bytearray(keys.seal(b"text"))
    sealed[-1] ^= 1
    with pytest.raises(EncryptionError, match="was changed since"):
        keys.open(bytes(sealed), keys.current)


@pytest.mark.parametrize("value", ["", "short", text(b"x" * 16), text(NEW)[:-2], "not base64 at all!"])
def test_a_key_that_is_none_is_named_and_never_shown(value: str) -> None:
    with pytest.raises(EncryptionError, match=r"key 2 is not base64 of 32 bytes; `openssl rand -base64 32`") as error:
        Keyring.read((text(NEW), value))
    assert not value or value not in str(error.value)


async def test_failures_are_encrypted_too() -> None:
    """What a vendor answered may quote the customer, and an error's message lies open in a history otherwise."""
    converter = data_converter(Keyring([NEW]))
    failure = Failure()
    await converter.encode_failure(ApplicationError("the vendor said: what a customer said"), failure)
    assert b"customer" not in failure.SerializeToString()
    told = await converter.decode_failure(failure)
    assert "what a customer said" in str(told)


async def test_what_lies_there_from_before_is_read() -> None:
    codec = EncryptionCodec(Keyring([NEW]))
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    assert await codec.decode([plain]) == [plain]
    (sealed,) = await codec.encode([plain])
    assert sealed.metadata["encoding"] == b"binary/encrypted"
    assert await codec.decode([sealed]) == [plain]


# ── The codec server ────────────────────────────────────────────────────────────────────────────────────


@pytest_asyncio.fixture(loop_scope="session")
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(house.settings(keys=Keyring([NEW, OLD])), house.client)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        yield http


async def sealed(key: bytes = OLD) -> dict[str, Any]:
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'"what a customer said"')
    return json_format.MessageToDict(Payloads(payloads=await EncryptionCodec(Keyring([key])).encode([plain])))


def clear(answer: httpx.Response) -> bytes:
    return json_format.ParseDict(answer.json(), Payloads()).payloads[0].data


@pytest.mark.asyncio(loop_scope="session")
async def test_a_token_decodes_and_encodes(http: httpx.AsyncClient) -> None:
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
async def test_without_a_token_nothing_is_shown(http: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": f"{COOKIE}=forged"}):
        answer = await http.post("/codec/decode", json=await sealed(), headers=headers)
        assert (answer.status_code, b"customer" in answer.content) == (401, False)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_browser_signs_in_once(http: httpx.AsyncClient) -> None:
    assert "Sign in" in (await http.get("/codec")).text
    wrong = await http.post("/codec", data={"token": "wrong"})
    assert (wrong.status_code, "no token of this gateway" in wrong.text) == (401, True)
    right = await http.post("/codec", data={"token": "v-token"})
    assert right.status_code == 303
    cookie = right.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/codec", "max-age=43200"))
    assert "v-token" not in cookie
    assert "may read them" in (await http.get("/codec")).text, "the client keeps the cookie"
    answer = await http.post("/codec/decode", json=await sealed())
    assert (answer.status_code, clear(answer)) == (200, b'"what a customer said"')
    assert (await http.post("/codec/encode", json=await sealed())).status_code == 401, "a viewer sends nothing"


@pytest.mark.asyncio(loop_scope="session")
async def test_only_the_ui_may_call_it_from_a_browser(http: httpx.AsyncClient) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,x-namespace"}
    allowed = await http.options("/codec/decode", headers={"Origin": UI, **asked})
    assert allowed.headers["access-control-allow-origin"] == UI
    assert allowed.headers["access-control-allow-credentials"] == "true"
    denied = await http.options("/codec/decode", headers={"Origin": "https://evil.example", **asked})
    assert denied.status_code == 400
    assert "access-control-allow-origin" not in denied.headers


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "no list of payloads"),
        (b'{"payloads": 5}', 400, "no list of payloads"),
        (b"\xff", 400, "no list of payloads"),
        (b" " * (9 * 2**20), 413, "at most 8,388,608 bytes"),
    ],
)
async def test_what_is_no_payload_is_refused(http: httpx.AsyncClient, body: bytes, status: int, said: str) -> None:
    answer = await http.post("/codec/decode", content=body, headers={"Authorization": "Bearer v-token"})
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True)


@pytest.mark.asyncio(loop_scope="session")
async def test_a_key_that_is_gone_is_named(http: httpx.AsyncClient) -> None:
    answer = await http.post("/codec/decode", json=await sealed(b"z" * 32), headers={"Authorization": "Bearer v-token"})
    assert answer.status_code == 422
    assert Keyring([b"z" * 32]).current in answer.json()["detail"]


@pytest.mark.asyncio(loop_scope="session")
async def test_without_a_key_there_is_no_codec_server(house: House) -> None:
    assert (await house.http.get("/codec")).status_code == 404
