"""Bounds the size of an alert and of single texts, in bytes as JSON encodes them.

A text of 255 characters may have a kilobyte, and an alert has up to 64 labels of two such texts in each of three maps.
What a message has no room for is dropped and counted; what a policy and a person need most is dropped last.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import to_json

from alerts.model import Alert

MORE = "…"
"""The key of the label that says how many others were dropped."""
_LABELS = ("segment", "tags", "excluded")
_SCALARS = tuple(
    name for name in Alert.model_fields if name not in {*_LABELS, "identity", "raw", "stated", "status", "occurred_at"}
)


def json_size(value: Any) -> int:
    """How many bytes JSON in UTF-8 has, as Temporal's payloads hold it before they are encrypted."""
    return len(to_json(value))


def ascii_size(text: str) -> int:
    """How many bytes JSON in ASCII has for a text: twelve for an emoji. Temporal counts search attributes like this."""
    return len(to_json(text, ensure_ascii=True))


def cut_text(text: str, limit: int, size: Callable[[str], int] = json_size) -> str:
    """The beginning of a text that has at most ``limit`` bytes, its quotes included; with an ellipsis if it was cut."""
    if size(text) <= limit:
        return text
    text = text[:limit]  # a character has at least a byte
    fits, fails = 0, len(text)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        if size(text[:middle] + MORE) <= limit:
            fits = middle
        else:
            fails = middle
    return text[:fits].rstrip() + MORE


def without_raw(alert: Alert) -> Alert:
    """The alert without the body it was read from: nothing behind the gateway reads that."""
    return alert.model_copy(update={"raw": {}}) if alert.raw else alert


def bounded(alert: Alert, limit: int) -> Alert:
    """The alert in at most ``limit`` bytes, without its raw body; as it is if it fits.

    The parts of its identity are dropped first: its incident's id has been made of them. Then labels are dropped from
    the end of each map, and counted in a label of their own; texts are cut only if all of them together do not fit.

    Args:
        alert: the alert.
        limit: in bytes; at least 4096.
    """
    alert = without_raw(alert)
    if json_size(alert) <= limit:
        return alert
    alert = alert.model_copy(update={"identity": ()})
    if json_size(alert) <= limit:
        return alert
    bare = alert.model_copy(update={name: dict[str, str]() for name in _LABELS})
    if json_size(bare) > limit:
        bare = _with_short_texts(bare, limit)
    room = (limit - json_size(bare)) // len(_LABELS)
    return bare.model_copy(update={name: cut_labels(getattr(alert, name), room) for name in _LABELS})


def cut_labels(labels: Mapping[str, str], limit: int) -> dict[str, str]:
    """The first labels that fit into ``limit`` bytes, and ``{"…": "and 12 more"}`` if others were dropped."""
    if json_size(labels) <= limit:
        return dict(labels)
    kept = cut_map(labels, limit - json_size({MORE: f"and {len(labels)} more"}))
    dropped = len(labels) - len(kept)
    more = {MORE: f"and {dropped} more"}
    return {**kept, **more} if json_size({**kept, **more}) <= limit else {}


def cut_map(items: Mapping[str, str], limit: int) -> dict[str, str]:
    """The first items that fit into ``limit`` bytes."""
    kept: dict[str, str] = {}
    for key, value in items.items():
        limit -= json_size({key: value})
        if limit < 0:
            break
        kept[key] = value
    return kept


def _with_short_texts(alert: Alert, limit: int) -> Alert:
    """Every text cut to an equal share of half the limit; the names and numbers take the other half."""
    texts = {name: text for name in _SCALARS if isinstance(text := getattr(alert, name), str) and text}
    stated = {name: text for name, text in alert.stated.items() if isinstance(text, str) and text}
    share = max(limit // 2 // max(len(texts) + len(stated), 1), 16)
    # A shortened address is a wrong one.
    cut = {
        name: "" if name == "url" and json_size(text) > share else cut_text(text, share) for name, text in texts.items()
    }
    short = {name: cut_text(text, share) for name, text in stated.items()}
    return alert.model_copy(update={**cut, "stated": {**alert.stated, **short}})
