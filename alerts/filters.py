"""The filters of a monitor: which slice of the data it watches, and what it excludes.

Source: ``filters[]{dimension{category,name}, operator, values[]}`` of the monitor object (Arize's REST API v2), and
``{filterType, dimension{name}, operator, …Values[]}`` of GraphQL.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from alerts import values

_EXCLUDES = frozenset({"not_equals", "not_equal", "not_in", "not_contains", "not_contains_string", "not_similar_to"})
_COMPARES = {
    "greater_than": ">",
    "greater_than_or_equal": ">=",
    "less_than": "<",
    "less_than_or_equal": "<=",
}
_SIGNS = {
    **dict.fromkeys((">", "gt"), "greater_than"),
    **dict.fromkeys((">=", "\u2265", "gte", "ge"), "greater_than_or_equal"),
    **dict.fromkeys(("<", "lt"), "less_than"),
    **dict.fromkeys(("<=", "\u2264", "lte", "le"), "less_than_or_equal"),
    **dict.fromkeys(("!=", "<>", "\u2260", "ne", "neq"), "not_equals"),
    **dict.fromkeys(("=", "==", "eq"), "equals"),
}
_PREFIX = re.compile(r"^(?:attributes\.)?(?:metadata\.|resource\.(?:attributes\.)?)?")
"""Of a span's attributes and its metadata, as OpenInference names them."""
_NAMES = {"contains": "contains", "contains_string": "contains", "similar_to": "similar to", "top_n": "top"}


class Filters(NamedTuple):
    """Filters by dimension. Two filters on one dimension are joined by ``and``."""

    segment: dict[str, str]
    excluded: dict[str, str]


def read_filters(filters: Any) -> Filters:
    """``segment`` is what the data must have, ``excluded`` what it must not have."""
    found = Filters({}, {})
    if isinstance(filters, Mapping | str):  # a template's own form
        return Filters(values.labels(filters), {})
    if not isinstance(filters, list):
        return found
    for entry in cast("list[Any]", filters):
        if not isinstance(entry, Mapping):
            continue
        part = cast("Mapping[str, Any]", entry)
        name = _name(part)
        operator = operator_of(part.get("operator"))
        text = _values(part)
        if not name or not text:
            continue
        place = found.excluded if operator in _EXCLUDES else found.segment
        if sign := _COMPARES.get(operator) or _NAMES.get(operator):
            text = f"{sign} {text}"
        if len(place) < values.LABELS:
            place[name] = f"{place[name]} and {text}" if name in place else text
    return found


def operator_of(stated: Any) -> str:
    """An operator in Arize's words, such as ``greater_than`` for ``GREATER_THAN``, ``greaterThan`` and ``>``."""
    written = values.text(stated)
    return _SIGNS.get(written.strip().casefold()) or values.snake(written) or written


def read_segment(segment: Any) -> dict[str, str]:
    """The segment that a body states itself, also as a list of filters."""
    if isinstance(segment, list):
        entries = cast("list[Any]", segment)
        if any(isinstance(entry, Mapping) and ("operator" in entry or "dimension" in entry) for entry in entries):
            return read_filters(entries).segment
    return values.labels(segment, join=True)


def with_short_names(segment: Mapping[str, str]) -> dict[str, str]:
    """The segment, with ``attributes.metadata.customer_tier`` also as ``customer_tier``."""
    short = {name: value for key, value in segment.items() if (name := _PREFIX.sub("", key)) != key and name}
    return {**short, **segment} if short else dict(segment)


def _name(part: Mapping[str, Any]) -> str:
    dimension = part.get("dimension")
    if isinstance(dimension, Mapping):
        place = cast("Mapping[str, Any]", dimension)
        return values.text(place.get("name")) or values.snake(place.get("category"))
    return values.text(dimension) or values.text(part.get("name")) or values.snake(part.get("filterType"))


def _values(part: Mapping[str, Any]) -> str:
    for key in ("values", "value", "dimensionValues", "categoricalValues", "numericValues", "binaryValues"):
        stated = part.get(key)
        items = cast("list[Any]", stated) if isinstance(stated, list) else [stated]
        texts = [
            values.label_text(cast("Mapping[str, Any]", one).get("value") if isinstance(one, Mapping) else one)
            for one in items
        ]
        if joined := ", ".join(text for text in texts if text):
            return values.clean(joined, values.NAME_CHARS)
    return ""
