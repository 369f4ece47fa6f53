"""The settings that the environment gives, and the errors for values that are not valid."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from gateway.security.encryption import SETTING as ENCRYPTION_KEY
from gateway.security.links import SETTING as LINK_SECRET
from gateway.security.rates import Rates
from integrations.arize.client import ROOT
from integrations.base.registry import callbacks
from worker.settings import SHIPPED_POLICY, SettingError, Settings, read_settings

HIDDEN = "geheim"
SECRETS = [
    str(field.validation_alias)
    for field in Settings.model_fields.values()
    if not field.repr and field.validation_alias != "TOCSIN_DATABASE_URL"
]


def test_defaults_suit_a_first_start() -> None:
    settings = read_settings({})
    assert (settings.policy, settings.host, settings.port) == (SHIPPED_POLICY, "127.0.0.1", 8080)
    assert settings.public_url == "http://127.0.0.1:8080"
    assert settings.database_url.endswith("/.tocsin/audit.db")
    assert settings.state_dir.is_absolute()
    assert settings.embedded
    assert (settings.reconcile_interval, settings.spool_bytes) == (300.0, 256 * 2**20)


def test_empty_variable_counts_as_not_set() -> None:
    settings = read_settings({"TOCSIN_PORT": "", "TOCSIN_POLICY": "", "TOCSIN_CONSOLE_FALLBACK": ""})
    assert (settings.port, settings.policy, settings.console_fallback) == (8080, SHIPPED_POLICY, False)
    assert not settings.is_set("port")


def test_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_PORT", "9999")
    assert read_settings({}).port == 8080
    assert read_settings({"TOCSIN_PORT": "9998"}).port == 9998


def test_public_url_follows_host_and_port() -> None:
    assert read_settings({"TOCSIN_HOST": "0.0.0.0", "TOCSIN_PORT": "1"}).public_url == "http://127.0.0.1:1"
    assert read_settings({"TOCSIN_PUBLIC_URL": "https://tocsin/"}).public_url == "https://tocsin"


def test_several_secrets_are_all_valid() -> None:
    settings = read_settings({"ARIZE_WEBHOOK_SECRET": "new, old,,"})
    assert settings.secrets("ARIZE_WEBHOOK_SECRET") == ("new", "old")
    assert [one.get_secret_value() for one in settings.arize_webhook_secrets] == ["new", "old"]
    assert read_settings({"ACME_SECRET": "a,b"}).secrets("ACME_SECRET") == ("a", "b"), "of a third-party integration"


@pytest.mark.parametrize("name", [*SECRETS, "TOCSIN_DATABASE_URL"])
def test_secret_shows_neither_in_repr_nor_config(name: str) -> None:
    value = f"postgresql://u:{HIDDEN}@h/d?password={HIDDEN}" if name == "TOCSIN_DATABASE_URL" else HIDDEN
    settings = read_settings({name: value})
    assert HIDDEN not in repr(settings)
    assert HIDDEN not in str(settings)
    shown = {one.name: one for one in settings.effective()}[name]
    assert "****" in shown.value
    assert HIDDEN not in shown.value
    assert not shown.is_default


def test_every_secret_by_its_name_is_masked() -> None:
    named = [
        str(field.validation_alias)
        for field in Settings.model_fields.values()
        if any(part in str(field.validation_alias) for part in ("SECRET", "_TOKEN", "KEY", "PASSWORD"))
    ]
    assert set(named) - {"TOCSIN_API_TOKENS"} == set(SECRETS), "TOCSIN_API_TOKENS is the path of a file"


def test_effective_settings_say_what_is_default() -> None:
    shown = {one.name: one for one in read_settings({"TOCSIN_SPEED": "60"}).effective()}
    assert (shown["TOCSIN_SPEED"].value, shown["TOCSIN_SPEED"].is_default) == ("60", False)
    assert (shown["TOCSIN_RECONCILE_INTERVAL"].value, shown["TOCSIN_RECONCILE_INTERVAL"].is_default) == ("5m", True)
    assert shown["TOCSIN_CONSOLE_FALLBACK"].value == "no"
    assert all(one.description for one in shown.values())


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_url_gets_driver_and_time_limits(scheme: str) -> None:
    settings = read_settings({"TOCSIN_DATABASE_URL": f"{scheme}://u:p%40w@h:5433/d?connect_timeout=9&sslmode=require"})
    url = make_url(settings.database_url)
    assert (url.drivername, url.password, url.host, url.port) == ("postgresql+psycopg", "p@w", "h", 5433)
    assert url.query == {"connect_timeout": "9", "sslmode": "require", "tcp_user_timeout": "5000"}
    assert settings.dedup_store_url == settings.database_url, "gateways share the dedup store there"


@pytest.mark.parametrize(
    "text", [f"mysql://u:{HIDDEN}@h/d", HIDDEN, f"postgresql://u:{HIDDEN}@h:port/d", f"//{HIDDEN}"]
)
def test_another_database_is_rejected_without_its_password(text: str) -> None:
    with pytest.raises(SettingError, match="TOCSIN_DATABASE_URL must be sqlite:") as rejected:
        read_settings({"TOCSIN_DATABASE_URL": text})
    assert HIDDEN not in str(rejected.value)


@pytest.mark.parametrize(
    ("setting", "value", "expected"),
    [
        ("TOCSIN_PORT", "many", "TOCSIN_PORT is 'many'; it must be a whole number from 0 to 65535"),
        ("TOCSIN_PORT", "70000", "TOCSIN_PORT is '70000'; it must be a whole number from 0 to 65535"),
        ("TOCSIN_SPEED", "0", "TOCSIN_SPEED is '0'; it must be a number from 0.001 to 100000"),
        ("TOCSIN_SPEED", "fast", "TOCSIN_SPEED is 'fast'; it must be a number from 0.001 to 100000"),
        ("TOCSIN_SPEED", "nan", "TOCSIN_SPEED is 'nan'; it must be a number from 0.001 to 100000"),
        ("TOCSIN_CONSOLE_FALLBACK", "maybe", "TOCSIN_CONSOLE_FALLBACK is 'maybe'; it must be yes or no"),
        (
            "TOCSIN_RECONCILE_INTERVAL",
            "5",
            "TOCSIN_RECONCILE_INTERVAL is '5'; it must be a duration such as 5m, or off",
        ),
        ("TOCSIN_LOG_LEVEL", "loud", "TOCSIN_LOG_LEVEL is 'loud'; it must be debug, info, warning, error or critical"),
    ],
)
def test_invalid_value_is_named_with_its_remedy(setting: str, value: str, expected: str) -> None:
    with pytest.raises(SettingError) as rejected:
        read_settings({setting: value})
    assert str(rejected.value) == expected


def test_all_invalid_values_are_named_at_once() -> None:
    with pytest.raises(SettingError) as rejected:
        read_settings({"TOCSIN_PORT": "many", "TOCSIN_SPEED": "0", "TOCSIN_WORKER_SLOTS": "1"})
    assert [line.split()[0] for line in sorted(str(rejected.value).splitlines())] == [
        "TOCSIN_PORT",
        "TOCSIN_SPEED",
        "TOCSIN_WORKER_SLOTS",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [("yes", True), ("TRUE", True), ("1", True), ("no", False), ("False", False), ("0", False)],
)
def test_yes_and_no_are_read(text: str, value: bool) -> None:
    assert read_settings({"TOCSIN_CONSOLE_FALLBACK": text}).console_fallback is value


def test_reconcile_interval_is_duration_or_off() -> None:
    assert read_settings({"TOCSIN_RECONCILE_INTERVAL": "15m"}).reconcile_interval == 900
    assert read_settings({"TOCSIN_RECONCILE_INTERVAL": "Off"}).reconcile_interval == 0


def test_defaults_equal_those_of_the_packages() -> None:
    settings = read_settings({})
    assert Rates(**settings.rates) == Rates()
    assert settings.arize_api_url == ROOT


def test_every_secret_of_the_packages_is_a_setting() -> None:
    assert {*(one.setting for one in callbacks()), ENCRYPTION_KEY, LINK_SECRET} <= set(SECRETS)


def test_importing_settings_loads_pydantic_and_nothing_heavier() -> None:
    """Every command of the CLI, also the completion at a TAB, reads the settings."""
    code = (
        "import sys; from worker.settings import read_settings; read_settings({}).effective();"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    heavy: dict[str, Any] = dict.fromkeys(("sqlalchemy", "temporalio", "httpx", "gateway", "structlog", "fastapi"))
    assert not set(loaded.stdout.split()) & set(heavy)


def test_state_folder_relative_to_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings({"TOCSIN_STATE_DIR": "state"}).state_dir == tmp_path / "state"
