"""An alert that Tocsin itself delayed says so in its incident's timeline."""

from datetime import datetime, timedelta

import pytest

from alerts import Alert
from incident.events import AlertBatch, GroupedAlert
from tests.incident.timeline_player import CRITICAL, START, TimelinePlayer

ALERT = Alert(monitor="error rate", monitor_id="m-1", metric="error_rate", value=0.31)
CLEARED = ALERT.model_copy(update={"status": "cleared"})


def received(seconds: float, alert: Alert = ALERT) -> GroupedAlert:
    """An alert that a gateway received that long before it is processed."""
    return GroupedAlert(alert=alert, received_at=START - timedelta(seconds=seconds))


def delays(player: TimelinePlayer) -> list[str]:
    return [entry.text for entry in player.state.timeline if entry.event == "processed_late"]


@pytest.mark.parametrize(("seconds", "late"), [(0, ""), (59, ""), (61, "61s"), (19 * 60, "19m")])
def test_first_alert_says_how_late_it_is(seconds: float, late: str) -> None:
    player = TimelinePlayer()
    player.machine.add_alerts([received(seconds)], CRITICAL, START)
    at = f"{START - timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S}"
    wanted = [f"a gateway received it at {at} UTC, {late} before a worker processed it"] if late else []
    assert delays(player) == wanted
    assert player.events[0] == "received"


def test_later_alert_and_clear_say_it_too() -> None:
    player = TimelinePlayer()
    player.machine.add_alerts([received(0)], CRITICAL, START)
    player.machine.add_alerts([received(600), received(60)], CRITICAL, START)
    player.machine.clear(received(300, CLEARED), START)
    assert [text.partition(" UTC, ")[2] for text in delays(player)] == [
        "10m before a worker processed it",
        "5m before a worker processed it",
    ]


def test_alert_without_the_time_says_nothing() -> None:
    player = TimelinePlayer()
    player.machine.add_alerts([GroupedAlert(alert=ALERT)], CRITICAL, datetime(2030, 1, 1, tzinfo=START.tzinfo))
    assert delays(player) == []
    assert "received_at" not in AlertBatch(alerts=(GroupedAlert(alert=ALERT),)).model_dump_json()
