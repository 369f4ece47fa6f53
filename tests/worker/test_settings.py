"""The settings that the environment gives, and the errors for values that are not valid."""

import re
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
HOSTILE = ["-1", "0", "nonsense", "9" * 400, "x" * 5000, "a b", "\x00", "é", "1e999", "nan", "://", "[", "%", "\n"]
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
    settings = read_settings({"TOCSIN_PORT": "", "TOCSIN_POLICY": " ", "TOCSIN_CONSOLE_FALLBACK": ""})
    assert (settings.port, settings.policy, settings.console_fallback) == (8080, SHIPPED_POLICY, False)
    assert not settings.is_set("port")


def test_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_PORT", "9999")
    assert read_settings({}).port == 8080
    assert read_settings({"TOCSIN_PORT": "9998"}).port == 9998


def test_public_url_follows_host_and_port() -> None:
    assert read_settings({"TOCSIN_HOST": "0.0.0.0", "TOCSIN_PORT": "1"}).public_url == "http://127.0.0.1:1"
    assert read_settings({"TOCSIN_HOST": "::", "TOCSIN_PORT": "1"}).public_url == "http://[::1]:1"
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
    paths = {"TOCSIN_API_TOKENS", "ARIZE_WEBHOOK_SECRET_FILE", "TOCSIN_SECRET_DIRS"}
    assert set(named) - paths == set(SECRETS), f"{paths} are paths"


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
        (
            "TOCSIN_PUBLIC_URL",
            "tocsin:8080",
            "TOCSIN_PUBLIC_URL is 'tocsin:8080'; it must be an address such as https://tocsin.example.com",
        ),
        (
            "TOCSIN_RATE_API",
            "0/minute",
            "TOCSIN_RATE_API is '0/minute'; it must be a rate such as 6000/minute or 100/second",
        ),
        ("TEMPORAL_TLS", "maybe", "TEMPORAL_TLS is 'maybe'; it must be true or false"),
        ("TEMPORAL_CONFIG_FILE", "/none", "TEMPORAL_CONFIG_FILE is '/none'; it must be the path of a file"),
        ("TOCSIN_TOKEN", "tök", "TOCSIN_TOKEN must be printable ASCII text"),
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
    ("setting", "values"),
    [
        ("TOCSIN_PUBLIC_URL", ["x", "ftp://x", "http://", "http://[", "http://x:port"]),
        ("TOCSIN_GATEWAY_URL", ["localhost:8080"]),
        ("ARIZE_API_URL", ["api.arize.com"]),
        ("TEMPORAL_ADDRESS", ["temporal", "a:b:c", "http://[", "https://temporal:7233", "temporal:0", "u@temporal:1"]),
        ("TOCSIN_WORKER_METRICS", ["9464", "localhost:9464", "0.0.0.0:99999"]),
        ("TOCSIN_RATE_REFUSED", ["many", "-5/minute", "5", "5/eon"]),
        ("FORWARDED_ALLOW_IPS", ["proxy", "10.0.0.0/99"]),
        ("TOCSIN_TASK_QUEUE", ["two words", "x" * 300]),
        ("TEMPORAL_NAMESPACE", ["two words"]),
        (
            "TOCSIN_DATABASE_URL",
            ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:x", "sqlite:///file:x", "sqlite:///?mode=ro"],
        ),
        ("TOCSIN_STATE_DIR", ["/dev/null"]),
        ("TOCSIN_HOST", ["[", "a b", "http://x", "x:y"]),
    ],
)
def test_value_that_could_never_work_is_rejected(setting: str, values: list[str]) -> None:
    for value in values:
        with pytest.raises(SettingError, match=f"^{setting}.* must be "):
            read_settings({setting: value})


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("TOCSIN_PUBLIC_URL", ["http://[::1]:8080/tocsin", "https://tocsin.example.com"]),
        ("TEMPORAL_ADDRESS", ["temporal:7233", "[::1]:7233", "ns.acct.tmprl.cloud:7233"]),
        ("TOCSIN_WORKER_METRICS", ["0.0.0.0:9464", "[::]:9464"]),
        ("TOCSIN_RATE_API", ["10/second", "5 per 2 minute"]),
        ("FORWARDED_ALLOW_IPS", ["*", "10.0.0.0/8, 127.0.0.1, ::1"]),
        ("TEMPORAL_TLS", ["true", "False"]),
        ("TOCSIN_DATABASE_URL", ["sqlite:////var/lib/tocsin/audit.db", "sqlite:///audit.db"]),
    ],
)
def test_usual_forms_of_a_value_are_accepted(setting: str, values: list[str]) -> None:
    for value in values:
        assert read_settings({setting: value}).is_set(_field(setting))


def _field(setting: str) -> str:
    return next(name for name, field in Settings.model_fields.items() if field.validation_alias == setting)


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
    assert {ENCRYPTION_KEY, LINK_SECRET} <= set(SECRETS)


@pytest.mark.parametrize("name", [one.setting for one in callbacks()])
def test_secret_of_a_callback_is_masked(name: str) -> None:
    settings = read_settings({name: f"{HIDDEN},{HIDDEN}2"})
    assert settings.effective_secret(name, "x") == (name, "****", False, "x")
    assert read_settings({}).effective_secret(name, "x") == (name, "", True, "x")
    assert name not in {str(field.validation_alias) for field in Settings.model_fields.values()}, "it is the vendor's"


@pytest.mark.parametrize("value", HOSTILE)
def test_every_refusal_names_setting_and_remedy(value: str) -> None:
    names = [str(field.validation_alias) for field in Settings.model_fields.values()]
    for name in names:
        refusal = ""
        try:
            read_settings({name: value})
        except SettingError as error:
            refusal = str(error) or "no reason"
        assert not refusal or re.match(rf"{name}( is '.*'; it)? must be \S+", refusal, re.DOTALL), refusal


@pytest.mark.parametrize("password", ["p@ss", "pa/ss", "p:a@s/s"])
def test_no_part_of_a_password_is_shown(password: str) -> None:
    settings = read_settings({"TOCSIN_DATABASE_URL": f"postgresql://u:{password}@h/d"})
    shown = {one.name: one.value for one in settings.effective()}["TOCSIN_DATABASE_URL"]
    assert "ss" not in shown.partition("?")[0]


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
