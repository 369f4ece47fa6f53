"""What happened before the newest known event changes nothing, in whatever order it arrives.

Rows read: minute, verb, destination, as in ``test_escalation.py``. ``at`` is the minute at which something happened.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from alerts import Alert
from incident.events import GroupedAlert, ResponderAction
from incident.order import EventTimes
from incident.state import IncidentState
from incident.state_machine import IncidentStateMachine
from tests.incident.test_escalation import Row
from tests.incident.timeline_player import (
    CRITICAL,
    HIGH,
    REGULATED,
    START,
    Clear,
    Event,
    Fire,
    TimelinePlayer,
    act,
    at_minute,
)

YEARS = 3 * 365 * 24 * 60.0
PAGED = ["10 notify primary", "25 notify secondary"]
CLOSED = (["10 notify primary", "11 resolve primary"], "resolved")


def pagerduty(action: str, at: float, by: str = "alice") -> ResponderAction:
    """What a person did in PagerDuty at that minute."""
    return act(action, by=by, source="pagerduty", occurred_at=at_minute(at))


CYCLE = ("acknowledge", "unacknowledge", "acknowledge", "unacknowledge", "acknowledge")
ALERTS = [
    Row("an older clear closes nothing", [(10, Fire(at=10)), (11, Clear(at=9))], PAGED),
    Row("a clear of the same time closes", [(10, Fire(at=10)), (11, Clear(at=10))], *CLOSED),
    Row("a newer clear closes", [(10, Fire(at=9)), (11, Clear(at=10))], *CLOSED),
    Row("a clear without a time closes", [(10, Fire(at=9)), (11, Clear())], *CLOSED),
    Row("a clear closes what has no time", [(10, Fire()), (11, Clear(at=2))], *CLOSED),
    Row("a time in the future orders nothing", [(10, Fire(at=200)), (11, Clear(at=11))], *CLOSED),
    Row("a time years ago orders nothing", [(10, Fire(at=10)), (11, Clear(at=-YEARS))], *CLOSED),
    Row("a clock that is seconds ahead orders", [(10, Fire(at=10.5)), (10.1, Clear(at=10.2))], PAGED),
    Row(
        "an older clear after a repeat closes nothing",
        [(10, Fire(at=10)), (12, Fire(at=12)), (13, Clear(at=11))],
        PAGED,
    ),
    Row(
        "an older repeat does not make an older clear newer",
        [(10, Fire(at=10)), (12, Fire(at=7)), (13, Clear(at=8))],
        PAGED,
    ),
    Row(
        "an older trigger that is louder raises the tier: the monitor has not cleared since",
        [(10, Fire(HIGH, at=10)), (12, Fire(CRITICAL, at=9))],
        ["10 notify ops", "12 note ops", "12 notify primary", "27 note ops", "27 notify secondary"],
    ),
    Row(
        "an older trigger of a regulated incident that has cleared starts nothing",
        [(10, Fire(REGULATED, at=10)), (11, act("acknowledge")), (20, Clear(at=20)), (21, Fire(CRITICAL, at=15))],
        ["10 notify jira", "10 notify ops", "11 acknowledge ops", "11 note jira", "20 note jira", "20 note ops"],
        "awaiting_human",
    ),
    Row(
        "a clear by a clock ahead does not swallow the next fire",
        [
            (10, Fire(REGULATED, at=10)),
            (11, act("acknowledge")),
            (20, Clear(at=20.9)),
            (20.2, Fire(REGULATED, at=20.2)),
        ],
        [
            "10 notify jira",
            "10 notify ops",
            "11 acknowledge ops",
            "11 note jira",
            "20 note jira",
            "20 note ops",
            "20.2 refresh ops",
            "20.2 note jira",
            "20.2 notify ops",
        ],
        until=60,
    ),
]
ACTIONS = [
    Row(
        "an older withdrawal withdraws nothing",
        [(10, Fire()), (12, pagerduty("acknowledge", 12)), (13, pagerduty("unacknowledge", 11))],
        ["10 notify primary"],
        "acknowledged",
    ),
    Row(
        "a newer withdrawal withdraws",
        [(10, Fire()), (12, pagerduty("acknowledge", 11)), (13, pagerduty("unacknowledge", 12))],
        ["10 notify primary", "28 notify secondary"],
    ),
    Row(
        "a withdrawal of the same time withdraws: in doubt, louder",
        [(10, Fire()), (12, pagerduty("acknowledge", 12)), (13, pagerduty("unacknowledge", 12))],
        ["10 notify primary", "28 notify secondary"],
    ),
    Row(
        "a withdrawal that overtook its acknowledgement counts",
        [(10, Fire()), (12, pagerduty("unacknowledge", 12)), (13, pagerduty("acknowledge", 11))],
        PAGED,
    ),
    Row(
        "a vendor with a constant time: the order of arrival counts",
        [(10, Fire()), *((11 + n, pagerduty(one, -3000)) for n, one in enumerate(CYCLE))],
        ["10 notify primary"],
        "acknowledged",
    ),
    Row(
        "a vendor whose clock is days behind orders its own actions",
        [(10, Fire()), (12, pagerduty("acknowledge", -3000)), (13, pagerduty("unacknowledge", -3001))],
        ["10 notify primary"],
        "acknowledged",
    ),
    Row(
        "a vendor whose clock is days behind does not order those of others",
        [(10, Fire()), (12, act("acknowledge", occurred_at=at_minute(12))), (13, pagerduty("unacknowledge", -3000))],
        ["10 notify primary", "12 acknowledge primary", "28 notify secondary"],
    ),
    Row(
        "an older withdrawal elsewhere withdraws nothing",
        [(10, Fire()), (12, act("acknowledge", occurred_at=at_minute(12))), (13, pagerduty("unacknowledge", 11))],
        ["10 notify primary", "12 acknowledge primary"],
        "acknowledged",
    ),
    Row(
        "a resolution before the reopening closes nothing",
        [(10, Fire()), (12, pagerduty("reopen", 12)), (13, pagerduty("resolve", 11))],
        PAGED,
    ),
    Row(
        "a withdrawal from the future withdraws, as if it had no time",
        [(10, Fire()), (12, pagerduty("acknowledge", 12)), (13, pagerduty("unacknowledge", 300))],
        ["10 notify primary", "28 notify secondary"],
    ),
    *(
        Row(
            f"{kind} before it opened again stops nothing",
            [(0, Fire(at=0)), (10, Clear(at=10)), (20, Fire(at=20)), (21, act(kind, occurred_at=at_minute(8)))],
            ["0 notify primary", "10 resolve primary", "20 notify primary", "35 notify secondary"],
        )
        for kind in ("acknowledge", "resolve", "silence", "false_alarm")
    ),
    Row(
        "an acknowledgement of what the louder alert replaced does not stop it",
        [(10, Fire(HIGH)), (12, Fire(CRITICAL)), (13, pagerduty("acknowledge", 11))],
        ["10 notify ops", "12 note ops", "12 notify primary", "27 note ops", "27 notify secondary"],
    ),
]
OPENED_AT_10 = [
    *(
        Row(
            f"{kind} through the API, which was spooled before the incident opened, is of an earlier one",
            [(10, Fire(at=triggered)), (11, act(kind, occurred_at=at_minute(done)))],
            PAGED,
        )
        for kind in ("acknowledge", "resolve")
        for triggered, done in ((None, 9), (9.5, 9), (10, -1000), (-1000, 9))
    ),
    Row(
        "an acknowledgement after an alert that waited for Temporal is of this incident",
        [(10, Fire(at=5)), (11, act("acknowledge", occurred_at=at_minute(7)))],
        ["10 notify primary", "11 acknowledge primary"],
        "acknowledged",
    ),
    Row(
        "one that names the incident's run, too",
        [(10, Fire()), (11, act("acknowledge", occurred_at=at_minute(7), first_run_id="01234567"))],
        ["10 notify primary", "11 acknowledge primary"],
        "acknowledged",
    ),
    Row(
        "a vendor whose clock is behind names its own page",
        [(10, Fire(at=10)), (11, pagerduty("acknowledge", 8))],
        ["10 notify primary"],
        "acknowledged",
    ),
    Row(
        "a repeat does not make an acknowledgement older",
        [(10, Fire(at=10)), (13, Fire(at=12)), (14, act("acknowledge", occurred_at=at_minute(11)))],
        ["10 notify primary", "14 acknowledge primary"],
        "acknowledged",
    ),
]


@pytest.mark.parametrize("row", [*ALERTS, *ACTIONS], ids=lambda row: row.name)
def test_order_decides(row: Row) -> None:
    player = TimelinePlayer().play(row.events, row.until)
    assert player.sent == list(row.sent)
    assert player.state.state == row.state


@pytest.mark.parametrize("row", OPENED_AT_10, ids=lambda row: row.name)
def test_opening_decides(row: Row) -> None:
    player = TimelinePlayer()
    player.state.opened_at = START + timedelta(minutes=10)
    player.play(row.events, row.until)
    assert player.sent == list(row.sent)
    assert player.state.state == row.state


def test_older_clear_is_recorded() -> None:
    player = TimelinePlayer().play([(10, Fire(at=10)), (11, Clear(at=9))], 12)
    (older,) = [one for one in player.state.timeline if one.event == "older_alert"]
    assert older.text == (
        "1 alert of 2026-11-24 03:09:00 UTC changes nothing: cleared before the monitor triggered at "
        "2026-11-24 03:10:00 UTC"
    )
    assert player.state.latest_alert is not None
    assert player.state.latest_alert.occurred_at == at_minute(10), "the newest message is shown"
    assert not player.state.cleared


def test_older_action_is_recorded() -> None:
    events = [(10, Fire()), (12, pagerduty("acknowledge", 12)), (13, pagerduty("unacknowledge", 11, "bob"))]
    player = TimelinePlayer().play(events, 14)
    (older,) = [one for one in player.state.timeline if one.event == "older_action"]
    assert older.by == "bob"
    assert older.text == (
        "acknowledgement withdrawn in pagerduty at 2026-11-24 03:11:00 UTC changes nothing: a later action is "
        "known already"
    )
    assert player.state.acknowledged_by == "alice"


def test_trigger_before_known_clear_notifies_nobody() -> None:
    """The first alert of an incident happened before its monitor cleared: the gateway knows of that clear."""
    player = TimelinePlayer()
    player.state.times = EventTimes(cleared_at=at_minute(5))
    player.play([(10, Fire(at=4))], 100)
    assert player.sent == []
    assert (player.state.state, player.state.resolved_by) == ("resolved", "arize")
    assert player.state.timeline[-1].text == (
        "triggered before the monitor cleared at 2026-11-24 03:05:00 UTC; nobody was notified"
    )


def test_newer_trigger_beside_older_one_pages() -> None:
    state = IncidentState(incident="incident-1", first_run_id="1", opened_at=START)
    state.times = EventTimes(cleared_at=at_minute(5))
    machine = IncidentStateMachine(state)
    older, newer = (
        GroupedAlert(alert=Alert(monitor="m", event_id=str(minute), occurred_at=at_minute(minute))) for minute in (4, 6)
    )
    machine.add_alerts([older, newer], CRITICAL, START + timedelta(minutes=7))
    assert [one.event for one in state.timeline] == ["older_alert", "received", "classified"]
    assert (len(state.pending), state.alert_count) == (1, 1)


def test_known_trigger_time_again_is_constant() -> None:
    """A sender with a constant time, whose clears have real ones: the next fire must not be lost."""
    events = [(0, Fire(REGULATED, at=0)), (1, act("acknowledge")), (20, Clear(at=20)), (25, Fire(REGULATED, at=0))]
    player = TimelinePlayer().play(events, 26)
    assert player.state.state == "notified"
    assert "25 notify ops" in player.sent


def test_grouped_repeats_order_by_newest() -> None:
    alert = Alert(monitor="m", occurred_at=datetime(2026, 11, 24, 3, tzinfo=UTC))
    grouped = GroupedAlert(alert=alert, count=3, last_at=at_minute(30))
    machine = TimelinePlayer().machine
    machine.add_alerts([grouped], CRITICAL, START + timedelta(minutes=31))
    clear = GroupedAlert(alert=alert.model_copy(update={"status": "cleared", "occurred_at": at_minute(15)}))
    machine.clear(clear, START + timedelta(minutes=32))
    assert machine.state.state == "received"


@pytest.mark.parametrize(("started", "state"), [(5, "acknowledged"), (None, "notified")])
def test_acknowledgement_before_any_worker_ran_is_of_this_incident(started: float | None, state: str) -> None:
    """Temporal has the incident since minute 5, and a person sees it in the list of open incidents."""
    player = TimelinePlayer()
    player.state.opened_at = START + timedelta(minutes=10)
    player.state.times.started_at = at_minute(started)
    player.play([(10, Fire()), (10.1, act("acknowledge", occurred_at=at_minute(6)))], 11)
    assert player.state.state == state


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([(10, Fire(at=-290, local=True)), (20, Clear(at=20)), (60, Fire(at=-240, local=True))], "notified"),
        (
            [(10, Fire(at=-290, local=True)), (20, Clear(at=-280, local=True)), (30, Fire(at=-345, local=True))],
            "resolved",
        ),
        (
            [(10, Fire(at=-290, local=True)), (20, Clear(at=-280, local=True)), (60, Fire(at=-300, local=True))],
            "notified",
        ),
        ([(10, Fire(at=-290, local=True)), (11, Clear(at=-295, local=True))], "notified"),
    ],
    ids=["a clear of another clock", "an older trigger", "clocks set back by an hour", "an older clear"],
)
def test_local_times_compare_with_each_other_only(events: Sequence[tuple[float, Event]], state: str) -> None:
    """The monitor's template states New York's time without a zone, and Tocsin reads clears from Arize, in UTC."""
    assert TimelinePlayer().play(events, 61).state.state == state


@pytest.mark.parametrize(
    "fire", [Fire(received=-20), Fire(at=-320, local=True, received=-20)], ids=["no time", "local time"]
)
def test_acknowledgement_while_the_alert_was_spooled_counts(fire: Fire) -> None:
    """A gateway answered with the incident's id, and somebody acknowledged it, before Temporal was available."""
    early = act("acknowledge", occurred_at=START - timedelta(minutes=10))
    assert TimelinePlayer().play([(0, fire), (0, early)], 30).sent == ["0 notify primary", "0 acknowledge primary"]
    before = act("acknowledge", occurred_at=START - timedelta(minutes=30))
    assert TimelinePlayer().play([(0, fire), (0, before)], 1).sent == ["0 notify primary"]
