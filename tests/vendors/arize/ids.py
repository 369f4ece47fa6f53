"""Arize's global ids, ``base64(Type:number:salt)``, and the cursors of lists."""

import base64
import binascii
from datetime import UTC, datetime


def global_id(kind: str, number: int) -> str:
    """The id of the ``number``-th ``kind``: ``Monitor``, ``Model`` (a project), ``Space`` …"""
    return base64.b64encode(f"{kind}:{number}:aZ{number}".encode()).decode()


def kind_of(identifier: str) -> str | None:
    """The type that an id names, or None if it is not a global id."""
    try:
        kind, number, _ = base64.b64decode(identifier, validate=True).decode().split(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return kind if number.isdigit() else None


def cursor_of(serial: int) -> str:
    return base64.urlsafe_b64encode(f"before:{serial}".encode()).decode()


def serial_of(cursor: str) -> int | None:
    """The serial number after which a page begins, or None if this is not a cursor of ours."""
    try:
        word, number = base64.urlsafe_b64decode(cursor).decode().split(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return int(number) if word == "before" and number.isdigit() else None


def timestamp(moment: datetime) -> str:
    """As Arize writes a moment: UTC, microseconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str) -> datetime:
    """A moment that Arize, or a client of it, wrote."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
