"""The shape of a body that nothing can read: the same for bodies with the same cause."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alerts import incident_id, shape_of_fault, shape_of_json, unreadable_alert
from tests.hostile import CONTROL, HOSTILE, INVISIBLE

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=6),
    max_leaves=20,
)


@given(_values)
def test_every_json_has_a_short_shape(value: Any) -> None:
    shape = shape_of_json(value)
    assert shape == shape_of_json(json.loads(json.dumps(value)))
    assert 0 < len(shape.label) <= 160
    assert not set(shape.label) & (CONTROL | INVISIBLE)


@given(st.dictionaries(st.sampled_from("abcdef"), _values, min_size=2))
def test_order_of_keys_changes_nothing(value: dict[str, Any]) -> None:
    assert shape_of_json(value) == shape_of_json(dict(reversed(list(value.items()))))


def test_values_change_nothing_and_types_do() -> None:
    one = shape_of_json({"a": 1, "b": ["x", "y"]})
    assert one == shape_of_json({"a": 2.5, "b": ["z"]})
    assert one.digest != shape_of_json({"a": "1", "b": ["x"]}).digest
    assert one.digest != shape_of_json({"a": 1, "b": [1]}).digest
    assert one.digest != shape_of_json({"a": 1, "b": ["x"], "c": None}).digest


def test_keys_that_are_data_change_nothing() -> None:
    """Otherwise a map by date, number or id would open an incident for each body."""
    assert shape_of_json({"2026-01-01": 1}) == shape_of_json({"2026-01-02": 1, "2026-01-03": 2})
    assert shape_of_json({"users": {"u1000": 1}}) == shape_of_json({"users": {"u2000": 1}})
    many = [{f"{prefix}{letter}{other}": 1 for letter in "abcdefg" for other in "hijklmn"} for prefix in "xy"]
    assert shape_of_json(many[0]) == shape_of_json(many[1])


def test_fault_and_media_type_are_a_shape() -> None:
    one = shape_of_fault("not JSON", "text/plain; charset=utf-8")
    assert one == shape_of_fault("not JSON", "Text/Plain")
    assert one.label == "not JSON (text/plain)"
    assert shape_of_fault("not JSON", "").label == "not JSON (no content type)"
    assert one.digest != shape_of_fault("not UTF-8", "text/plain").digest


def test_alerts_of_one_shape_share_an_incident() -> None:
    shape, now = shape_of_json({"secret name": 1}), datetime.now(UTC)
    first, second = [
        unreadable_alert(shape, quarantine_id=name, reason="no monitor", received_at=now) for name in ("q-1", "q-2")
    ]
    assert incident_id(first) == incident_id(second)
    assert incident_id(first).startswith("incident-unreadable-deliveries-"), "the id names no part of a body"
    assert first.event_id != second.event_id
    assert first.monitor == "unreadable deliveries: secret name"
    other = unreadable_alert(shape_of_json([]), quarantine_id="q-3", reason="", received_at=now)
    assert incident_id(other) != incident_id(first)


def test_hostile_keys_are_shown_safely() -> None:
    for text in HOSTILE.values():
        body = {text.encode("utf-8", "replace").decode(): 1}
        alert = unreadable_alert(shape_of_json(body), quarantine_id="q", reason=text, received_at=datetime.now(UTC))
        assert not (set(alert.monitor) | set(alert.notes)) & (CONTROL | INVISIBLE)
        assert len(alert.monitor) <= 255
        assert len(alert.notes) <= 1000
