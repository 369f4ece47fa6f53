"""Arize describes a monitor after its alert was decided: the tier may rise, and never falls.

Rows read: minute, verb, destination, as in ``test_escalation.py``.
"""

from datetime import timedelta

import pytest

from alerts import Alert, normalise
from incident.events import GroupedAlert
from incident.receipt import Receipt
from incident.state import IncidentState
from incident.state_machine import IncidentStateMachine
from incident.view import incident_view
from policy import Step
from tests.incident.test_escalation import HELD, Row
from tests.incident.timeline_player import (
    CRITICAL,
    HIGH,
    JIRA,
    LOW,
    MINUTE,
    REGULATED,
    SECONDARY,
    START,
    Clear,
    Describe,
    Event,
    Fire,
    TimelinePlayer,
    act,
)

ELSEWHERE = HIGH.model_copy(update={"rule": "judge", "team": "prompts", "steps": (Step(notify=(SECONDARY,)),)})
REGULATED_HELD = HELD.model_copy(update={"regulated": True, "closed_by": "compliance", "tickets": (JIRA,)})
ROWS = [
    Row(
        "a louder decision pages now",
        [(0, Fire(HIGH, undescribed=True)), (2, Describe(CRITICAL))],
        ["0 notify ops", "2 notify primary", "17 note ops", "17 notify secondary"],
    ),
    Row(
        "a digest becomes a page",
        [(0, Fire(LOW, undescribed=True)), (90, Describe(CRITICAL))],
        ["0 notify ops", "90 notify primary"],
    ),
    Row(
        "a quieter decision changes no notification but the text",
        [(0, Fire(CRITICAL, undescribed=True)), (2, Describe(LOW))],
        ["0 notify primary", "15 notify secondary"],
    ),
    Row(
        "a post shows a quieter decision",
        [(0, Fire(HIGH, undescribed=True)), (2, Describe(LOW))],
        ["0 notify ops", "2 refresh ops"],
        until=50,
    ),
    Row(
        "another rule of the same tier notifies its own destination too",
        [(0, Fire(HIGH, undescribed=True)), (2, Describe(ELSEWHERE))],
        ["0 notify ops", "2 refresh ops", "2 notify secondary"],
        until=50,
    ),
    Row(
        "an acknowledged incident notifies no further destination of the same tier",
        [(0, Fire(HIGH, undescribed=True)), (1, act("acknowledge")), (2, Describe(ELSEWHERE))],
        ["0 notify ops", "1 acknowledge ops", "2 refresh ops"],
        "acknowledged",
        until=50,
    ),
    Row(
        "a regulated model's ticket is opened, whatever the tier",
        [(0, Fire(CRITICAL, undescribed=True)), (2, Describe(REGULATED))],
        ["0 notify primary", "2 notify jira", "15 note jira", "15 notify secondary"],
    ),
    Row(
        "a regulated incident is not closed by the monitor",
        [(0, Fire(CRITICAL, undescribed=True)), (2, Describe(REGULATED)), (3, Clear())],
        ["0 notify primary", "2 notify jira", "3 note jira", "15 note jira", "15 notify secondary"],
        "awaiting_human",
    ),
    Row(
        "a regulated model is not closed by the monitor while the rise is held",
        [(0, Fire(HIGH, undescribed=True)), (2, Describe(REGULATED_HELD)), (3, Clear())],
        ["0 notify ops", "2 notify jira", "3 note ops", "3 note jira"],
        "awaiting_human",
        until=4,
    ),
    Row(
        "the hold of a louder decision counts from the first alert",
        [(0, Fire(HIGH, undescribed=True)), (2, Describe(HELD))],
        ["0 notify ops", "5 notify primary", "20 note ops", "20 notify secondary"],
    ),
    Row(
        "a hold that is over already delays nothing",
        [(0, Fire(HIGH, undescribed=True)), (8, Describe(HELD))],
        ["0 notify ops", "8 notify primary", "23 note ops", "23 notify secondary"],
    ),
    Row(
        "a hold ends if the same tier has none",
        [(0, Fire(HELD, undescribed=True)), (2, Describe(CRITICAL))],
        ["2 notify primary", "17 notify secondary"],
    ),
    Row(
        "a hold of a louder tier stays",
        [(0, Fire(HELD, undescribed=True)), (2, Describe(LOW))],
        ["5 notify primary", "20 notify secondary"],
    ),
    Row(
        "a monitor that has cleared meanwhile resolves the incident",
        [(0, Fire(HIGH, undescribed=True)), (2, Describe(CRITICAL, "cleared"))],
        ["0 notify ops", "2 resolve ops"],
        "resolved",
    ),
    Row(
        "a description of a resolved incident changes nothing",
        [(0, Fire(HIGH, undescribed=True)), (1, act("resolve")), (2, Describe(CRITICAL))],
        ["0 notify ops", "1 resolve ops"],
        "resolved",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_late_description_sends(row: Row) -> None:
    player = TimelinePlayer().play(row.events, row.until)
    assert player.sent == list(row.sent)
    assert player.state.state == row.state
    assert player.state.undescribed == []


def test_quieter_decision_is_shown_and_team_adopted() -> None:
    described = LOW.model_copy(update={"team": "support", "owner": "product", "runbook": "https://runbook"})
    player = TimelinePlayer().play([(0, Fire(CRITICAL, undescribed=True)), (2, Describe(described))], 3)
    view = incident_view(player.state, None)
    assert (view.tier, view.rule, view.team) == ("critical", "errors", "support")
    assert [one.text for one in view.timeline if one.event == "description_arrived"] == [
        "low by rule otherwise: no rule matched; it stays critical"
    ]
    assert view.headline.startswith("CRITICAL error rate error_rate 31 %")


def test_same_tier_adopts_rule() -> None:
    player = TimelinePlayer().play([(0, Fire(HIGH, undescribed=True)), (2, Describe(ELSEWHERE))], 3)
    view = incident_view(player.state, None)
    assert (view.tier, view.rule, view.team) == ("high", "judge", "prompts")


def test_louder_decision_is_recorded() -> None:
    player = TimelinePlayer().play([(0, Fire(LOW, undescribed=True)), (2, Describe(CRITICAL))], 3)
    assert player.events == [
        "received",
        "classified",
        "description_missing",
        "notified",
        "description_arrived",
        "classified",
        "notified",
    ]


def test_repeated_undescribed_alert_is_asked_for_once() -> None:
    player = TimelinePlayer().play([(minute, Fire(HIGH, undescribed=True)) for minute in range(3)], 3)
    assert len(player.state.undescribed) == 1
    assert player.events.count("description_missing") == 1
    assert IncidentState.model_validate_json(player.state.model_dump_json()) == player.state


def test_description_of_what_has_cleared_pages_nobody() -> None:
    events: list[tuple[float, Event]] = [
        (0, Fire(REGULATED, undescribed=True)),
        (1, act("acknowledge")),
        (2, Clear()),
        (3, Describe(CRITICAL.model_copy(update={"team": "risk"}))),
    ]
    player = TimelinePlayer().play(events, 60)
    assert not [line for line in player.sent if "primary" in line or "secondary" in line]
    assert player.state.decision is not None
    assert (player.state.state, player.state.decision.team) == ("awaiting_human", "risk")


def test_hold_of_a_description_counts_from_the_refire() -> None:
    in_doubt, held = (one.model_copy(update={"hold": 10 * MINUTE}) for one in (HIGH, CRITICAL))
    again = Fire(in_doubt, undescribed=True)
    events: list[tuple[float, Event]] = [(0, Fire(HIGH)), (1, act("acknowledge")), (600, again)]
    player = TimelinePlayer().play([*events, (600.1, Describe(held)), (603, Clear())], 700)
    assert not [line for line in player.sent if "primary" in line], "it cleared within its hold"
    player = TimelinePlayer().play([*events, (600.1, Describe(held))], 700)
    assert "610 notify primary" in player.sent


def test_step_of_first_decision_runs_after_quieter_one() -> None:
    """A later decision with fewer steps does not take the steps from the tier that stays."""
    shorter = CRITICAL.model_copy(update={"steps": CRITICAL.steps[:1], "rule": "other"})
    player = TimelinePlayer().play([(0, Fire(CRITICAL, undescribed=True)), (2, Describe(shorter))], 20 * MINUTE)
    assert "15 notify secondary" in player.sent


def test_clear_of_an_earlier_alert_does_not_resolve_a_later_one() -> None:
    """The monitor triggered again while Arize was asked about the first alert; the second is undescribed, or not."""
    first = normalise({"monitor_id": "m1"}).model_copy(update={"undescribed": "no answer"})
    cleared = first.model_copy(update={"status": "cleared", "undescribed": "", "occurred_at": START})
    again = first.model_copy(update={"event_id": "second"})
    later = again.model_copy(update={"undescribed": "", "occurred_at": START + timedelta(minutes=1)})
    earlier = later.model_copy(update={"occurred_at": START - timedelta(minutes=1)})
    for second, state in ((again, "notified"), (later, "notified"), (earlier, "resolved"), (None, "resolved")):
        asked: tuple[Alert, ...] = ()
        machine = IncidentStateMachine(IncidentState(incident="incident-1", first_run_id="1", opened_at=START))
        alerts = [one for one in (first, second) if one is not None]
        for one in alerts:
            machine.add_alerts([GroupedAlert(alert=one)], HIGH, START)
            if one.undescribed:
                machine.note_undescribed([one], one.undescribed, START)
            if one is first:
                asked = tuple(machine.state.undescribed)
        for pending in list(machine.state.pending):
            machine.mark_sent(
                pending, Receipt(destination=pending.target.name, type="slack", id="1", at=START), audit_written=True
            )
        machine.reconsider(asked, [cleared], HIGH, START)
        assert machine.state.state == state, second
