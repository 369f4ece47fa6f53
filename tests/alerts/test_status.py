"""The status of an alert: from words, flags, events and envelopes."""

from typing import Any

import pytest

from alerts import normalise
from tests.alerts.bodies import FIRST, without


@pytest.mark.parametrize(
    ("written", "status"),
    [
        ("TRIGGERED", "triggered"),
        ("Cleared", "cleared"),
        ("resolved", "cleared"),
        ("OK", "cleared"),
        ("NO_DATA", "no_data"),
        ("no data", "no_data"),
        ("something new", "triggered"),
        ("not triggered", "cleared"),
        ({"name": "CLEARED"}, "cleared"),
        ("", "triggered"),
        (None, "triggered"),
    ],
)
def test_unknown_status_is_triggered(written: Any, status: str) -> None:
    assert normalise({**without("status", "event"), "status": written}).status == status


def test_status_of_a_poke_is_assumed() -> None:
    assert not normalise({"monitor_id": "m"}).stated_status
    assert normalise({"monitor_id": "m", "status": "CLEARED"}).stated_status


@pytest.mark.parametrize(
    ("envelope", "inner", "status", "stated"),
    [
        ("ok", "TRIGGERED", "triggered", True),
        ("success", "TRIGGERED", "triggered", True),
        ("success", "CLEARED", "cleared", True),
        ("CLEARED", "TRIGGERED", "cleared", True),
        ("TRIGGERED", "CLEARED", "triggered", True),
        ("resolved", "", "cleared", True),
        ("odd", "odder", "triggered", False),
        ("ok", "NO_DATA", "no_data", True),
        ("resolved", "firing", "triggered", True),
        ("success", "resolved", "cleared", True),
    ],
)
def test_status_of_the_envelope_and_of_the_monitor(envelope: str, inner: str, status: str, stated: bool) -> None:
    alert = normalise({"status": envelope, "data": {"monitor": {"id": FIRST, "status": inner}}})
    assert (alert.status, alert.stated_status) == (status, stated)


@pytest.mark.parametrize(
    ("sent", "status", "stated"),
    [
        ({"isTriggered": False}, "cleared", True),
        ({"isTriggered": True}, "triggered", True),
        ({"is_triggered": "false"}, "cleared", True),
        ({"resolved": True}, "cleared", True),
        ({"resolved": False}, "triggered", True),
        ({"firing": 0}, "cleared", True),
        ({"triggered": "2026-11-23T09:15:00Z"}, "triggered", False),
        ({"isTriggered": True, "status": "CLEARED"}, "triggered", True),
        ({"status": "ok", "data": {"isTriggered": True}}, "triggered", True),
        ({"data": {"node": {"isTriggered": False}}}, "cleared", True),
        ({"event": "monitor.cleared"}, "cleared", True),
        ({"event": "monitor_resolved"}, "cleared", True),
        ({"event": "monitor.not_cleared"}, "triggered", False),
        ({"event": "monitor.triggered", "isTriggered": False}, "cleared", True),
    ],
)
def test_status_is_read_from_flags_and_events(sent: dict[str, Any], status: str, stated: bool) -> None:
    alert = normalise({"monitor_name": "m", **sent})
    assert (alert.status, alert.stated_status) == (status, stated)


def test_event_of_the_body_wins_over_the_header() -> None:
    sent = {"monitor_name": "m", "event": "monitor.triggered"}
    assert normalise(sent, event="monitor.cleared").status == "triggered"
