"""The secrets that a first start generates, the gateway's address, and the file of API tokens."""

import hashlib
from pathlib import Path

import pytest

from gateway.security.tokens import TokenFileError, Tokens
from worker.bootstrap import ADDRESS, LOCAL_TOKEN, api_token, ensure_secrets, gateway_url, local_token
from worker.settings import read_settings


def test_first_start_generates_secrets_and_second_keeps(tmp_path: Path) -> None:
    first: dict[str, str] = {}
    notices = ensure_secrets(first, tmp_path)
    assert len(notices) == 4
    second: dict[str, str] = {}
    ensure_secrets(second, tmp_path)
    assert first == second
    file = Path(first["ARIZE_WEBHOOK_SECRET_FILE"])
    assert file.read_text().startswith("whsec_")
    assert "ARIZE_WEBHOOK_SECRET" not in first, "the file's secret may be replaced while the gateway runs"
    tokens = Tokens.read(tmp_path / "api-tokens")
    caller = tokens.caller(f"Bearer {local_token(tmp_path)}")
    assert caller
    assert caller.role == "admin"
    assert tokens.in_clear == ()
    assert local_token(tmp_path) not in (tmp_path / "api-tokens").read_text()
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.iterdir())


def test_state_folder_is_readable_by_owner_only(tmp_path: Path) -> None:
    """The databases in it hold data of customers."""
    ensure_secrets({}, tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_secrets_that_are_set_are_kept(tmp_path: Path) -> None:
    environment = {
        "ARIZE_WEBHOOK_TOKEN": "bearer",
        "PAGERDUTY_WEBHOOK_SECRET": "p",
        "TOCSIN_LINK_SECRET": "l",
        "TOCSIN_CHANGES_SECRET": "whsec_c",
        "TOCSIN_API_TOKENS": "/etc/tocsin/tokens",
    }
    before = dict(environment)
    assert ensure_secrets(environment, tmp_path) == []
    assert environment == before


def test_gateway_url_prefers_settings_over_running_address(tmp_path: Path) -> None:
    environment = {"TOCSIN_STATE_DIR": str(tmp_path)}
    assert gateway_url(read_settings(environment)) == "http://127.0.0.1:8080"
    (tmp_path / ADDRESS).write_text("http://127.0.0.1:8099\n")
    assert gateway_url(read_settings(environment)) == "http://127.0.0.1:8099"
    environment["TOCSIN_PUBLIC_URL"] = "https://tocsin.example.com"
    assert gateway_url(read_settings(environment)) == "https://tocsin.example.com"
    environment["TOCSIN_GATEWAY_URL"] = "http://gateway:8080/"
    assert gateway_url(read_settings(environment)) == "http://gateway:8080"


def test_api_token_is_set_or_generated(tmp_path: Path) -> None:
    environment = {"TOCSIN_STATE_DIR": str(tmp_path)}
    assert api_token(read_settings(environment)) == ""
    (tmp_path / LOCAL_TOKEN).write_text("local\n")
    assert api_token(read_settings(environment)) == "local"
    assert api_token(read_settings({**environment, "TOCSIN_TOKEN": "mine"})) == "mine"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("viewer vera", "1: expected <role> <name> <token"),
        ("boss vera token", "with a role of viewer, responder, compliance, admin"),
        ("viewer vera sha256:xyz", "sha256: must be followed by 64 hexadecimal digits"),
    ],
)
def test_invalid_line_of_tokens_file_is_named(tmp_path: Path, line: str, error: str) -> None:
    (tmp_path / "tokens").write_text(line)
    with pytest.raises(TokenFileError, match=error):
        Tokens.read(tmp_path / "tokens")


def test_tokens_file_may_hold_hashes(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"secret").hexdigest()
    (tmp_path / "tokens").write_text(f"# the responders\n\nresponder rosa sha256:{digest.upper()}\n")
    tokens = Tokens.read(tmp_path / "tokens")
    caller = tokens.caller("bearer secret")
    assert caller
    assert (caller.name, caller.may("viewer"), caller.may("compliance")) == ("rosa", True, False)
    for wrong in ("secret", "Bearer Secret", "Bearer", f"Bearer sha256:{digest}", f"Bearer {digest}"):
        assert tokens.caller(wrong) is None
    assert "secret" not in repr(vars(tokens))
