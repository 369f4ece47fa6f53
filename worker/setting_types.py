"""The field types of ``worker.settings``: how the text of a variable is read, and what its default is."""

import re
import stat
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast
from urllib.parse import quote, urlsplit

from pydantic import BeforeValidator, Field, JsonValue, SecretStr, StringConstraints
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
        expected: completes "it must be ..." in the error for a value that is not valid, if neither the type nor the
            bounds ``ge`` and ``le`` do.
    """
    if default_factory is not None:
        constraints["default_factory"] = default_factory
    else:
        constraints["default"] = default
    if not expected and "le" in constraints:
        kind = "whole number" if isinstance(constraints["ge"], int) and isinstance(default, int) else "number"
        expected = f"a {kind} from {constraints['ge']} to {constraints['le']}"
    extra: dict[str, JsonValue] = {"documented": documented, "expected": expected}
    return Field(validation_alias=name, description=description, json_schema_extra=extra, **constraints)


def split(value: Any) -> Any:
    """The values of a setting that holds several, separated by commas."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _parse_url(value: Any) -> str:
    """An address that starts with http:// or https:// and names a host, without a slash at its end."""
    text = str(value).rstrip("/")
    parts = urlsplit(text)  # raises ValueError for an unclosed bracket
    if text and (parts.scheme not in {"http", "https"} or not parts.hostname or (parts.port or 1) < 1):
        raise ValueError("not the address of a web server")
    return text


def _parse_rate(value: Any) -> str:
    from limits import parse  # loading it takes longer than most commands

    if parse(str(value)).amount < 1:
        raise ValueError("it would refuse everything")
    return str(value)


def _parse_networks(value: Any) -> str:
    parts = split(value)
    for part in parts:
        if part != "*":
            ip_network(part, strict=False)
    return ",".join(parts)


def _parse_host_and_port(value: Any) -> str:
    text = str(value)
    parts = urlsplit(f"//{text}")  # raises ValueError for what is no port
    if text and (parts.netloc != text or "@" in text or not parts.hostname or not parts.port):
        raise ValueError("not a host and a port")
    return text


def _parse_host(value: Any) -> str:
    text = str(value)
    if ":" in text:
        ip_address(text)
    elif not re.fullmatch(r"[A-Za-z0-9_.-]{1,253}", text):
        raise ValueError("not the name or the address of a host")
    return text


def _parse_socket_address(value: Any) -> str:
    text = _parse_host_and_port(value)
    if text:
        ip_address(str(urlsplit(f"//{text}").hostname))
    return text


def _printable(value: Any) -> Any:
    """A secret that travels in a header."""
    if isinstance(value, str) and not (value.isascii() and value.isprintable()):
        raise ValueError("a header cannot hold it")
    return value


def _absolute(value: Any) -> Path:
    path = Path(value).absolute()
    if _mode(path) and not stat.S_ISDIR(_mode(path)):
        raise ValueError("not a folder")
    return path


def _existing_file(value: Any) -> str:
    if value and not stat.S_ISREG(_mode(Path(value))):
        raise ValueError("no such file")
    return str(value)


def _mode(path: Path) -> int:
    """What a path is; 0 if there is nothing. Raises ValueError if nothing can be there."""
    try:
        return path.stat().st_mode
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise ValueError(error.strerror) from None


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
        if not re.match(r"sqlite:///(?!:memory:|file:)[^?]", text):
            raise ValueError("it names no file")
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
    return sqlite_url(Path(fields["state_dir"]) / "audit.db")


def sqlite_url(file: Path) -> str:
    """The address of an SQLite file for SQLAlchemy, which decodes it. A path may hold characters such as ``?``."""
    return f"sqlite:///{quote(str(file), safe='/ ')}"


def default_public_url(fields: dict[str, Any]) -> str:
    host = str(fields["host"])
    with suppress(ValueError):  # a name
        address = ip_address(host)
        if address.is_unspecified:  # every address of the machine; "::" has several spellings
            host = "127.0.0.1" if address.version == 4 else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{fields['port']}"


class Expected(NamedTuple):
    """Completes "it must be ..." in the error for a value of a type that is not valid."""

    text: str


Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(split)]
Url = Annotated[str, BeforeValidator(_parse_url), Expected("an address such as https://tocsin.example.com")]
Rate = Annotated[str, BeforeValidator(_parse_rate), Expected("a rate such as 6000/minute or 100/second")]
Networks = Annotated[
    str, BeforeValidator(_parse_networks), Expected("IP addresses or networks such as 10.0.0.0/8, or *")
]
ExistingFile = Annotated[str, BeforeValidator(_existing_file), Expected("the path of a file")]
Folder = Annotated[
    Path, BeforeValidator(_absolute), Expected("the path of a folder, which is created if it does not exist")
]
DatabaseUrl = Annotated[
    str,
    BeforeValidator(_normalize_database_url),
    Expected("sqlite:////path/to/file.db or postgresql://user:password@host/database"),
]
Interval = Annotated[float, BeforeValidator(_parse_interval), Expected("a duration such as 5m, or off")]
Level = Annotated[
    Literal["debug", "info", "warning", "error", "critical"],
    BeforeValidator(_lower),
    Expected("debug, info, warning, error or critical"),
]
Host = Annotated[str, BeforeValidator(_parse_host), Expected("the name or the IP address of a host")]
HostAndPort = Annotated[
    str, BeforeValidator(_parse_host_and_port), Expected("a host and a port, such as temporal.example.com:7233")
]
SocketAddress = Annotated[
    str, BeforeValidator(_parse_socket_address), Expected("an IP address and a port, such as 0.0.0.0:9464")
]
Token = Annotated[SecretStr, BeforeValidator(_printable), Expected("printable ASCII text")]
Name = Annotated[
    str,
    StringConstraints(pattern=r"^[!-~]{1,200}$"),
    Expected("1 to 200 printable ASCII characters without a space"),
]
Switch = Annotated[Literal["", "true", "false", "1", "0"], BeforeValidator(_lower), Expected("true or false")]
SEVERAL = "Several values, separated by commas, are all valid."


def expected(field: FieldInfo) -> str:
    """Completes "it must be ..." in the error for a value that is not valid."""
    of_type = [one.text for one in field.metadata if isinstance(one, Expected)]
    return of_type[0] if of_type else field_extra(field, "expected")


def field_extra(field: FieldInfo, key: Literal["documented", "expected"]) -> str:
    extra = cast("dict[str, str]", field.json_schema_extra)
    return extra[key]
