"""What makes two messages messages about one problem: their identity, exactly as the sender stated it.

A monitor's id alone identifies it, with the segment that a message states: its name, model, environment and filters may
change, or be left out of a shorter message. Without an id, everything counts that distinguishes one problem from
another. Texts are compared whole, in Unicode's form NFC; numbers by their exact value; maps and filters in any order.
What is compared may be long, so an identity holds digests of it.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, cast

from alerts import values
from alerts.filters import operator_of
from alerts.lookup import Lookup
from alerts.numbers import number_text

MONITOR, NAMES = "monitor", "names"
"""The first part of an identity: whether the second is a monitor's id, or what a person recognises in the names."""
_SHORT = 100
_READABLE = 60
_EVENT_ID_CHARS = 200
_MEASURED = ("metric", "aggregation", "dimension", "dimension_category", "custom_metric", "custom_metric_id", "formula")
_FILTER_VALUES = ("values", "value", "dimensionValues", "categoricalValues", "numericValues", "binaryValues")


def identity_of(look: Lookup, monitor_id: str, names: tuple[Any, Any, Any]) -> tuple[str, ...]:
    """The parts of the fingerprint.

    Args:
        look: finds a field's value in the body.
        monitor_id: the monitor's id, in full; empty if the body has none.
        names: of the monitor, the model and the project, as they were sent.
    """
    segment = segment_pairs(look("segment"))
    if monitor_id:
        stated = (digest(segment),) if segment else ()
        return (MONITOR, _short(_canonical_id(monitor_id)), *stated)
    monitor, model, project = (exact(name) for name in names)
    parts: dict[str, Any] = {
        "monitor": monitor,
        "model": model or project,
        "environment": exact(look("environment")).strip().casefold(),
        "region": exact(look("region")),
        "segment": segment,
        "filters": _filters(look("filters")),
    }
    if not monitor:  # then the metric is all that distinguishes the problems of a model
        parts |= {name: exact(look(name)) for name in _MEASURED}
    return (NAMES, values.clean(model or project or monitor, _READABLE), digest(parts))


def segment_pairs(segment: Any) -> list[tuple[str, Any]]:
    """Each key of a segment with its exact value, sorted; of a map, ``["a:b"]``, ``"a=b"`` or ``[{"name": …}]``."""
    if segment in (None, "", [], {}):
        return []
    pairs: list[tuple[str, Any]] = []
    if isinstance(segment, str):
        segment = [part for part in re.split(r"[,;]", segment) if part.strip()]
    if isinstance(segment, Mapping):
        pairs = [(exact(key), _label(item)) for key, item in cast("Mapping[str, Any]", segment).items()]
    elif isinstance(segment, list):
        pairs = [_pair(entry) for entry in cast("list[Any]", segment)]
    else:
        pairs = [("", _label(segment))]
    return sorted(pairs, key=json.dumps)


def exact(value: Any) -> str:
    """A text in full, in NFC; a number by its exact value; of anything else, its canonical JSON."""
    if value is None:
        return ""
    label = _label(value)
    return label if isinstance(label, str) else json.dumps(label)


def exact_event_id(value: Any) -> str:
    """An event's id in at most 200 printable characters that no other id has: a long or odd one ends in its digest."""
    stated = value if isinstance(value, str) else "" if isinstance(value, bool | None) else exact(value)
    shown = values.clean(stated, _EVENT_ID_CHARS)
    if shown == stated.strip():
        return shown
    return f"{values.clean(stated, _SHORT)}-{_sha256(stated)[:40]}"


def digest(value: Any) -> str:
    """Thirty-two hexadecimal digits of canonical JSON."""
    return _sha256(json.dumps(value, sort_keys=True))[:32]


def _pair(entry: Any) -> tuple[str, Any]:
    """One entry of a list. One that says more than a name and a value counts whole."""
    if isinstance(entry, str):
        key, _, item = re.sub(r"[=:]", "\0", entry, count=1).partition("\0")
        return exact(key).strip(), exact(item).strip()
    if isinstance(entry, Mapping):
        stated = cast("Mapping[str, Any]", entry)
        for name in ("name", "key"):
            if set(stated) == {name, "value"} and isinstance(stated[name], str):
                return exact(stated[name]), _label(stated["value"])
            if set(stated) == {name} and isinstance(stated[name], str):
                return _pair(stated[name])
    return "", _label(entry)


def _filters(filters: Any) -> list[Any]:
    if filters in (None, "", [], {}):
        return []
    if not isinstance(filters, list):
        return [_label(filters)]
    return sorted((_filter(entry) for entry in cast("list[Any]", filters)), key=json.dumps)


def _filter(entry: Any) -> Any:
    """A filter with its operator; the order of its values does not count."""
    if not isinstance(entry, Mapping):
        return _label(entry)
    stated = dict(cast("Mapping[str, Any]", entry))
    operator = operator_of(stated.pop("operator", None))
    found = [one for name in _FILTER_VALUES for one in _listed(stated.pop(name, None))]
    return [operator, sorted((_label(one) for one in found), key=json.dumps), _canonical(stated)]


def _listed(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [] if value is None else [value]


def _label(value: Any) -> Any:
    """A scalar as text, whether a sender writes 5 or "5"; canonical JSON of anything else."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_text(value)
    return _canonical(value)


def _canonical(value: Any) -> Any:
    """Nested JSON, with its types, so that no two values have one form."""
    if isinstance(value, Mapping):
        items = cast("Mapping[Any, Any]", value).items()
        return {"map": sorted(([exact(str(key)), _canonical(item)] for key, item in items), key=json.dumps)}
    if isinstance(value, list):
        return {"list": [_canonical(item) for item in cast("list[Any]", value)]}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"number": number_text(value)}
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _canonical_id(identifier: str) -> str:
    """Arize's global ids are base64 with or without padding, in two alphabets."""
    return ":".join(values.global_id(identifier)) or identifier


def _short(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:40]}-{_sha256(text)}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
