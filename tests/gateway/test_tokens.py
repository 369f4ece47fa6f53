"""API tokens: one owner each, read again when the file changes, and clear refusals."""

import os
import signal
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from gateway.app import create_app
from gateway.security.encryption import Keyring
from gateway.security.tokens import Caller, TokenFile, TokenFileError, Tokens, hash_token
from tests.gateway.conftest import GatewayHarness
from tests.gateway.real_gateway import running_gateway
from tests.waiting import wait_for


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text("viewer vera one\nresponder rosa two\n")
    return path


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("admin vera three", "tokens:3: the name vera is in line 1 already"),
        ("admin VERA three", "tokens:3: the name VERA is in line 1 already"),
        ("admin rosa two", "tokens:3: the name rosa is in line 2 already"),
        ("admin kate two", "tokens:3: kate has the token of rosa"),
        (f"admin kate sha256:{hash_token('two').upper()}", "tokens:3: kate has the token of rosa"),
    ],
)
def test_name_and_token_belong_to_one_owner(file: Path, line: str, error: str) -> None:
    file.write_text(f"{file.read_text()}{line}\n")
    with pytest.raises(TokenFileError, match=error):
        Tokens.read(file)


def test_changed_file_counts_at_once(file: Path) -> None:
    tokens = TokenFile(file)
    file.write_text("responder rosa two\nadmin ada@example.com three-and-more\n")
    assert tokens.caller("Bearer one") is None, "revoked"
    assert tokens.caller("Bearer three-and-more") == Caller("ada@example.com", "admin")
    assert (tokens.role_of("vera@example.com"), tokens.role_of("ADA@example.com")) == ("", "admin")


def test_invalid_file_changes_nothing(file: Path) -> None:
    tokens = TokenFile(file)
    with capture_logs() as logs:
        file.write_text("viewer vera\n")
        assert tokens.caller("Bearer one") == Caller("vera", "viewer")
        file.unlink()
        assert tokens.caller("Bearer one") == Caller("vera", "viewer")
    assert [one["event"] for one in logs] == ["api_tokens_rejected"] * 2, "once for each change"
    assert "cannot be read" in tokens.problem
    file.write_text("viewer vera four\n")
    assert (tokens.caller("Bearer one"), tokens.problem) == (None, "")


@pytest.mark.parametrize(
    ("authorization", "said"),
    [
        ("", "no API token was sent"),
        ("   ", "no API token was sent"),
        ("Basic dmVyYQ==", "holds no bearer token"),
        ("Bearer", "holds no bearer token"),
        ("one", "holds no bearer token"),
        ("Bearer wrong", "the API token is wrong"),
        ("Bearer one two", "the API token is wrong"),
    ],
)
def test_refusal_separates_missing_from_wrong(file: Path, authorization: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        Tokens.read(file).require(authorization, "viewer")


@pytest.mark.parametrize("authorization", ["bearer one", "BEARER one", "Bearer  one", " Bearer one ", "Bearer one  "])
def test_bearer_is_read_as_it_is_written(file: Path, authorization: str) -> None:
    assert Tokens.read(file).require(authorization, "viewer") == Caller("vera", "viewer")


@pytest.mark.parametrize(
    ("by", "shown"),
    [
        ("", "carol"),
        ("  ", "carol"),
        ("Carol", "carol"),
        ("The Board", "carol (for The Board)"),
        ("dana) and (erik", "carol (for dana and erik)"),
        ("dana\n\u202eerik", "carol (for dana erik)"),
    ],
)
def test_owner_of_token_is_who_acts(by: str, shown: str) -> None:
    assert Caller("carol", "admin").acting_for(by) == shown


@pytest.mark.asyncio(loop_scope="session")
async def test_action_names_the_token_owner(gateway: GatewayHarness) -> None:
    """Carol cannot act as Rosa, whatever she writes; the audit log has both names."""
    incident = await gateway.open()
    path = f"/api/incidents/{incident}"
    one = (await gateway.call("POST", f"{path}/acknowledge", "c-token", json={"by": "rosa"})).json()
    assert one["acknowledged_by"] == "carl (for rosa)"
    one = (await gateway.call("POST", f"{path}/annotate", "c-token", json={"by": "The Board", "note": "x"})).json()
    assert [entry["by"] for entry in one["timeline"] if entry["event"] == "annotated"] == ["carl (for The Board)"]
    one = (await gateway.call("POST", f"{path}/resolve", "c-token", json={"by": "CARL"})).json()
    assert one["resolved_by"] == "carl"


@pytest.mark.asyncio(loop_scope="session")
async def test_session_ends_with_its_token(gateway: GatewayHarness, file: Path) -> None:
    """Another token of the same name, with other rights, does not take the session over."""
    app = create_app(gateway.settings(keys=Keyring([b"k" * 32]), tokens=TokenFile(file)), gateway.client)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        assert (await http.post("/codec", data={"token": "one"})).status_code == 303
        assert (await http.post("/codec/decode", json={"payloads": []})).status_code == 200
        file.write_text("admin vera another-token\n")
        for path in ("/codec/decode", "/codec/encode"):
            assert (await http.post(path, json={"payloads": []})).status_code == 401


def test_running_gateway_reads_tokens_again(tmp_path: Path) -> None:
    with running_gateway(tmp_path) as gateway:
        http, url = gateway.tocsin.http, f"{gateway.tocsin.url}/api/quarantine"

        def status(token: str) -> int:
            return http.get(url, headers={"Authorization": f"Bearer {token}"}).status_code

        assert (status("v-token"), status("new-token")) == (200, 401)
        gateway.tokens.write_text("viewer nina new-token\n")
        assert (status("v-token"), status("new-token")) == (401, 200)
        before = gateway.tokens.stat()
        gateway.tokens.write_text("viewer nina two-token\n")
        os.utime(gateway.tokens, ns=(before.st_atime_ns, before.st_mtime_ns))  # nothing shows the change
        assert gateway.tocsin.process is not None
        gateway.tocsin.process.send_signal(signal.SIGHUP)
        wait_for(lambda: status("new-token") == 401)
        assert status("two-token") == 200
        assert len(gateway.logged("api_tokens_reloaded")) == 2
