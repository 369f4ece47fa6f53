"""The field types of ``worker.settings``: how the text of a variable is read, and what its default is."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, JsonValue, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import NoDecode

# libpq's own parameters: seconds to connect, and milliseconds until an unacknowledged send counts as a failure.
_POSTGRES = {"connect_timeout": "3", "tcp_user_timeout": "5000"}


def setting(
    name: str,
    description: str,
    default: Any = None,
    *,
    default_factory: Callable[[dict[str, Any]], Any] | None = None,
    documented: str = "",
    expected: str = "",
    **constraints: Any,
) -> Any:
    """A field for one environment variable.

    Args:
        documented: the default as the docs show it, if its value does not say it.
        expected: completes "it must be ..." in the error for a value that is not valid.
    """
    if default_factory is not None:
        constraints["default_factory"] = default_factory
    else:
        constraints["default"] = default
    extra: dict[str, JsonValue] = {"documented": documented, "expected": expected}
    return Field(validation_alias=name, description=description, json_schema_extra=extra, **constraints)


def split(value: Any) -> Any:
    """The values of a setting that holds several, separated by commas."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _without_slash(value: Any) -> Any:
    return value.rstrip("/") if isinstance(value, str) else value


def _absolute(value: Any) -> Path:
    return Path(value).absolute()


def _parse_interval(value: Any) -> float:
    """Seconds of a duration; 0 for ``off``."""
    if isinstance(value, float):
        return value
    if str(value).casefold() == "off":
        return 0.0
    from policy.durations import parse_duration  # loading the policy package takes longer than most commands

    return parse_duration(value)


def _normalize_database_url(value: Any) -> str:
    """For SQLAlchemy: with the driver that Tocsin installs, and time limits for a server that does not answer."""
    text = str(value)
    if text.startswith("sqlite:"):
        return text
    from sqlalchemy.engine import make_url  # loading SQLAlchemy takes longer than most commands
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except ArgumentError as error:
        raise ValueError("not a database URL") from error
    if backend not in {"postgresql", "postgres"}:
        raise ValueError("not SQLite or PostgreSQL")
    missing = {name: value for name, value in _POSTGRES.items() if name not in url.query}
    url = url.set(drivername="postgresql+psycopg").update_query_dict(missing)
    return url.render_as_string(hide_password=False)


def default_database_url(fields: dict[str, Any]) -> str:
    return f"sqlite:///{fields['state_dir']}/audit.db"


def default_public_url(fields: dict[str, Any]) -> str:
    host = "127.0.0.1" if fields["host"] in {"0.0.0.0", "::"} else fields["host"]  # noqa: S104
    return f"http://{host}:{fields['port']}"


Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(split)]
Url = Annotated[str, BeforeValidator(_without_slash)]
Folder = Annotated[Path, BeforeValidator(_absolute)]
DatabaseUrl = Annotated[str, BeforeValidator(_normalize_database_url)]
Interval = Annotated[float, BeforeValidator(_parse_interval)]
Level = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_lower)]
SEVERAL = "Several values, separated by commas, are all valid."


def field_extra(field: FieldInfo, key: Literal["documented", "expected"]) -> str:
    extra = cast("dict[str, str]", field.json_schema_extra)
    return extra[key]
