"""Settings, the files of a first start, and the tokens' file."""

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from gateway.tokens import TokenFileError, Tokens
from worker.first_start import complete, local_token
from worker.settings import SHIPPED_POLICY, SettingError, read_settings


def test_what_nothing_sets() -> None:
    settings = read_settings({})
    assert (settings.policy, settings.host, settings.port) == (SHIPPED_POLICY, "127.0.0.1", 8080)
    assert settings.public_url == "http://127.0.0.1:8080"
    assert settings.database_url.endswith("/.tocsin/audit.db")
    assert settings.embedded


def test_several_secrets_are_all_good() -> None:
    settings = read_settings({"ARIZE_WEBHOOK_SECRET": "new, old,,"})
    assert settings.secrets("ARIZE_WEBHOOK_SECRET") == ("new", "old")


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    shown = repr(read_settings({"ARIZE_WEBHOOK_SECRET": "hidden", "TOCSIN_DATABASE_URL": "postgresql://u:pw@h/d"}))
    assert "hidden" not in shown
    assert "pw" not in shown


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgresql_that_is_away_is_found_out_about_soon(scheme: str) -> None:
    settings = read_settings({"TOCSIN_DATABASE_URL": f"{scheme}://u:p%40w@h:5433/d?connect_timeout=9&sslmode=require"})
    url = make_url(settings.database_url)
    assert (url.drivername, url.password, url.host, url.port) == ("postgresql+psycopg", "p@w", "h", 5433)
    assert url.query == {"connect_timeout": "9", "sslmode": "require", "tcp_user_timeout": "5000"}
    assert settings.deliveries_url == settings.database_url, "gateways share the memory there"


@pytest.mark.parametrize("text", ["mysql://u:geheim@h/d", "geheim", "postgresql://u:geheim@h:port/d", "//geheim"])
def test_another_database_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(SettingError, match="TOCSIN_DATABASE_URL is not sqlite:") as refused:
        read_settings({"TOCSIN_DATABASE_URL": text})
    assert "geheim" not in str(refused.value)


def test_a_bad_number_is_named() -> None:
    with pytest.raises(SettingError, match="TOCSIN_SPEED is 'fast', which is no number"):
        read_settings({"TOCSIN_SPEED": "fast"})


def test_a_first_start_makes_what_is_missing_and_a_second_keeps_it(tmp_path: Path) -> None:
    first: dict[str, str] = {}
    told = complete(first, tmp_path)
    assert len(told) == 3
    second: dict[str, str] = {}
    complete(second, tmp_path)
    assert first == second
    assert first["ARIZE_WEBHOOK_SECRET"].startswith("whsec_")
    tokens = Tokens.read(tmp_path / "api-tokens")
    caller = tokens.caller(f"Bearer {local_token(tmp_path)}")
    assert caller
    assert caller.role == "admin"
    assert tokens.in_clear == ()
    assert local_token(tmp_path) not in (tmp_path / "api-tokens").read_text()
    assert all(file.stat().st_mode & 0o077 == 0 for file in tmp_path.iterdir())


def test_the_state_folder_is_its_owners_alone(tmp_path: Path) -> None:
    """The databases in it hold what customers said."""
    complete({}, tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_what_is_set_is_left_alone(tmp_path: Path) -> None:
    environment = {
        "ARIZE_WEBHOOK_TOKEN": "bearer",
        "PAGERDUTY_WEBHOOK_SECRET": "p",
        "TOCSIN_LINK_SECRET": "l",
        "TOCSIN_API_TOKENS": "/etc/tocsin/tokens",
    }
    before = dict(environment)
    assert complete(environment, tmp_path) == []
    assert environment == before


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("viewer vera", "1: expected <role> <name> <token"),
        ("boss vera token", "with a role of viewer, responder, compliance, admin"),
        ("viewer vera sha256:xyz", "sha256: is followed by 64 hexadecimal digits"),
    ],
)
def test_a_bad_line_of_the_tokens_file_is_named(tmp_path: Path, line: str, said: str) -> None:
    (tmp_path / "tokens").write_text(line)
    with pytest.raises(TokenFileError, match=said):
        Tokens.read(tmp_path / "tokens")


def test_a_token_may_stand_there_as_its_hash(tmp_path: Path) -> None:
    import hashlib

    digest = hashlib.sha256(b"secret").hexdigest()
    (tmp_path / "tokens").write_text(f"# the responders\n\nresponder rosa sha256:{digest.upper()}\n")
    tokens = Tokens.read(tmp_path / "tokens")
    caller = tokens.caller("bearer secret")
    assert caller
    assert (caller.name, caller.may("viewer"), caller.may("compliance")) == ("rosa", True, False)
    for wrong in ("secret", "Bearer Secret", "Bearer", f"Bearer sha256:{digest}", f"Bearer {digest}"):
        assert tokens.caller(wrong) is None
    assert "secret" not in repr(vars(tokens))
