"""The bodies that Arize, or a user's template, sends about a stream's monitors."""

import json
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.invariant.stream import Deliver, Monitor, Size

CONSTANT, ZERO = "2020-02-02T02:02:02Z", "0001-01-01T00:00:00Z"
NEW_YORK = timedelta(hours=5)
_HUNDRED = {f"k{number:03d}": str(number) for number in range(99)}


def _filter(operator: str, value: str) -> list[dict[str, Any]]:
    return [{"dimension": {"category": "FEATURE_LABEL", "name": "age"}, "operator": operator, "values": [value]}]


ALIKE: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "float": ({"segment": {"store_id": 1234567.0}}, {"segment": {"store_id": 1234568.0}}),
    "integer": ({"segment": {"store": 2**53}}, {"segment": {"store": 2**53 + 1}}),
    "nested": ({"segment": {"tier": {"name": "premium"}}}, {"segment": {"tier": {"name": "free"}}}),
    "long value": ({"segment": {"query": "q" * 300 + "1"}}, {"segment": {"query": "q" * 300 + "2"}}),
    "hundredth key": ({"segment": {**_HUNDRED, "k099": "1"}}, {"segment": {**_HUNDRED, "k099": "2"}}),
    "comparison": ({"filters": _filter("GREATER_THAN", "60")}, {"filters": _filter("LESS_THAN", "60")}),
    "excluded": ({"filters": _filter("NOT_EQUALS", "60")}, {"filters": _filter("NOT_EQUALS", "61")}),
    "equals sign": ({"segment": {"a=b": "c"}}, {"segment": {"a": "b=c"}}),
    "list": ({"segment": {"place": ["a, b"]}}, {"segment": {"place": ["a", "b"]}}),
    "model": ({"model": "churn-eu"}, {"model": "churn-us"}),
    "environment": ({"environment": "production"}, {"environment": "staging"}),
    "name": ({}, {"suffix": " 2"}),
    "long name": ({"suffix": "n" * 260 + "1"}, {"suffix": "n" * 260 + "2"}),
    "segment": ({"segment": {"tier": "premium"}}, {"segment": {"tier": "free"}}),
    "letter case": ({"id": "TW9uaXRvcg"}, {"id": "tW9uaXRvcg"}),
    "long id": ({"id": "m" * 256 + "1"}, {"id": "m" * 256 + "2"}),
}
"""By the detail in which two monitors differ: what the first one's deliveries state, and the second one's."""


def body_of(
    monitor: Monitor, prefix: str, step: Deliver, *, stated: datetime, value: float, event_id: str
) -> dict[str, Any]:
    """A delivery about a monitor.

    Args:
        monitor: which one.
        prefix: in every name and id of this stream, so that no other stream has the same.
        step: the status, size and spelling.
        stated: the time that it states, if its monitor states plausible times.
        value: of the metric.
        event_id: the sender's id in the body; may be empty.
    """
    alike = dict(ALIKE[monitor.alike][monitor.twin])
    # A twin of a monitor is named as the monitor is: only the detail differs.
    name = f"{prefix} qualité{alike.pop('suffix', '')}"
    monitor_id = f"{prefix}-{alike.pop('id', 'same' if monitor.alike == 'segment' else 'm')}"
    renamed, reordered, decomposed, terse = (bool(step.spelling & bit) for bit in (1, 2, 4, 8))
    body: dict[str, Any] = {
        "monitor_name": unicodedata.normalize("NFD", name) if decomposed else name,
        "status": step.status,
        "metric": "error_rate" if monitor.critical else "answer_relevance",
        "metric_value": value,
        "model": "🔥" * 250 if monitor.emoji else "regulated-model" if monitor.regulated else "chatbot",
        "environment": "🚒" * 250 if monitor.emoji else "production",
        **alike,
    }
    tags = ({"obligation": "yes"} if monitor.regulated else {}) | _labels(step.size, value)
    if tags:
        body["tags"] = tags
    if monitor.naming == "id":
        body["monitor_id"] = monitor_id
        if renamed:
            body["monitor_name"] = f"{prefix} renamed"
        if terse and step.status == "CLEARED":
            body = {key: body[key] for key in ("monitor_id", "status", "segment", "metric_value") if key in body}
    if reordered and isinstance(segment := body.get("segment"), dict):
        body["segment"] = dict(reversed(list(segment.items())))
    if event_id:
        body["event_id"] = event_id
    return body | _time(monitor, stated) | ({"trace": f"{value} " + "x" * 180_000} if step.size == "large" else {})


def _time(monitor: Monitor, stated: datetime) -> dict[str, Any]:
    match monitor.clock:
        case "stated":
            return {"evaluated_at": stated.isoformat()}
        case "local":
            return {"evaluated_at": (stated - NEW_YORK).replace(tzinfo=None).isoformat()}
        case "missing":
            return {}
        case "constant":
            return {"triggered_at": CONSTANT}
        case "zero":
            return {"triggered_at": ZERO}
        case "date":
            return {"triggered_at": f"{stated:%Y-%m-%d}"}


def _labels(size: Size, value: float) -> dict[str, str]:
    return {f"label {number}": f"{value} " + "🧯" * 240 for number in range(62)} if size == "labels" else {}


def encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()
