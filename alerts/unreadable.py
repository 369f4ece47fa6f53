"""Deliveries that are authentic and cannot be read: their shape, and the alert that reports them.

Bodies of one shape have one cause, such as a sender whose format no mapping knows. So they share an incident.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from alerts.model import Alert
from alerts.values import TEXT_CHARS, clean

KIND = "unreadable"
"""``alert.kind`` of the alert that reports them."""
_LABEL_CHARS = 160
_MAX_DEPTH = 5
_MAX_KEYS = 40
"""An object with more keys is a map whose keys are data."""
_IS_DATA = re.compile(r"\d{3}|[0-9a-fA-F]{8}|.{61}", re.DOTALL)
"""A key with a date, a number or an id in it is data: otherwise each body would have a shape of its own."""


@dataclass(frozen=True)
class Shape:
    """What bodies with the same cause have in common. ``digest`` identifies it; ``label`` is for people."""

    digest: str
    label: str


OTHER_SHAPES = Shape("other", "bodies of many different shapes")
"""Stands for further shapes once there are so many that a person cannot answer an incident for each."""


def shape_of_json(payload: Any) -> Shape:
    """The sorted keys of a JSON value and the types of its values, down to five levels.

    >>> shape_of_json({"value": 1, "detector": {"title": "x"}}).label
    'detector{title}, value'
    """
    structure = _structure(payload, 1)
    label = (
        "empty object" if payload == {} else clean(_label(payload, 1), _LABEL_CHARS) or clean(structure, _LABEL_CHARS)
    )
    return Shape(_digest("json", structure), label)


def shape_of_fault(fault: str, content_type: str) -> Shape:
    """The kind of fault of a body that is not JSON, with the media type that its sender stated."""
    media_type = clean(content_type.partition(";")[0], 60).casefold()
    return Shape(_digest("fault", fault, media_type), f"{fault} ({media_type or 'no content type'})")


def unreadable_alert(shape: Shape, *, quarantine_id: str, reason: str, received_at: datetime) -> Alert:
    """The alert that reports a delivery which nothing can read. Those of one shape have the same fingerprint."""
    return Alert(
        event_id=f"quarantine-{quarantine_id}",
        monitor=clean(f"unreadable deliveries: {shape.label}", 255),
        kind=KIND,
        notes=clean(reason, TEXT_CHARS),
        occurred_at=received_at,
        identity=("quarantine", shape.digest),
        quarantined=quarantine_id,
    )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def _structure(value: Any, depth: int) -> str:
    if isinstance(value, Mapping):
        if depth > _MAX_DEPTH:
            return "{…}"
        found: dict[str, set[str]] = {}
        for key, item in _items(value):
            found.setdefault(key, set()).add(_structure(item, depth + 1))
        return "{" + ", ".join(f"{key}: {'|'.join(sorted(types))}" for key, types in sorted(found.items())) + "}"
    if isinstance(value, list):
        if depth > _MAX_DEPTH:
            return "[…]"
        return "[" + "|".join(sorted({_structure(item, depth + 1) for item in cast("list[Any]", value)})) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "string" if isinstance(value, str) else "number"


def _label(value: Any, depth: int) -> str:
    """The keys of two levels."""
    if isinstance(value, list):
        first = cast("list[Any]", value)[:1]
        return f"[{_label(first[0], depth) if first else ''}]"
    if not isinstance(value, Mapping) or depth > 2:
        return ""
    parts: list[str] = []
    for key, item in sorted(_items(value), key=lambda pair: pair[0]):
        inner = _label(item, depth + 1) if isinstance(item, Mapping) else ""
        parts.append(f"{key}{{{inner}}}" if inner else key)
    return ", ".join(dict.fromkeys(parts))


def _items(value: Any) -> list[tuple[str, Any]]:
    entries = cast("Mapping[str, Any]", value)
    many = len(entries) > _MAX_KEYS
    return [("*" if many or _IS_DATA.search(key) else key, item) for key, item in entries.items()]
