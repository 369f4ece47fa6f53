"""The address of a mail server: ``smtp://user:password@host:587``. No error quotes it, because it holds a password."""

from dataclasses import dataclass, field
from urllib.parse import unquote

from alerts import domain_to_ascii

PORTS = {"smtp": 587, "smtps": 465}
"""Source: RFC 6409, 3.1, and RFC 8314, 7.3."""
_SHAPE = "smtp://user:password@host:port, or the same with smtps"


class ServerAddressError(ValueError):
    """The address cannot be used; the message contains no part of it."""


@dataclass(frozen=True)
class MailServer:
    """``tls``: from the first byte; otherwise by STARTTLS."""

    host: str
    port: int
    tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def read_server(url: str) -> MailServer:
    """Read a server's address.

    The password ends at the last ``@``, so it may contain ``/``, ``#``, ``?``, ``:`` and ``@``. ``%2F`` is ``/`` as
    well, and ``%25`` is ``%``.

    Raises:
        ServerAddressError: it has another form.
    """
    scheme, separator, rest = url.strip().partition("://")
    tls = scheme.lower() == "smtps"
    if not separator or scheme.lower() not in PORTS:
        raise ServerAddressError(f"must be {_SHAPE}: it begins with neither smtp:// nor smtps://")
    login, at, place = rest.rpartition("@")
    user, colon, password = login.partition(":")
    if at and not (user and colon and password):
        raise ServerAddressError(f"must be {_SHAPE}: the user or the password is missing")
    host, port = _host_and_port(place.rstrip("/"), PORTS[scheme.lower()])
    if not at:
        return MailServer(host, port, tls)
    for text in (unquote(user), unquote(password)):
        if any(not char.isprintable() for char in text):
            raise ServerAddressError("the user or the password has a character that is not printable")
    return MailServer(host, port, tls, unquote(user), unquote(password))


def _host_and_port(place: str, default: int) -> tuple[str, int]:
    """Raises ServerAddressError."""
    bracketed, closing, after = place.partition("]")
    if place.startswith("[") and closing:  # an IPv6 address
        host, port = bracketed[1:], after.removeprefix(":") if after.startswith(":") else after and "?"
        found = host if ":" in host and set(host) <= set("0123456789abcdefABCDEF:.%") else ""
    else:
        name, _, port = place.partition(":")
        found = domain_to_ascii(name)
    if not found:
        raise ServerAddressError(f"must be {_SHAPE}: what follows the last @ is no host")
    if not port:
        return found, default
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise ServerAddressError(f"must be {_SHAPE}: the port is no number from 1 to 65535")
    return found, int(port)
