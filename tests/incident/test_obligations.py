"""Who owns and closes an incident: taken over from any alert that says so, and never lowered by a later one."""

import pytest

from incident.events import GroupedAlert
from incident.state_machine import IncidentStateMachine
from policy import Decision, Step, loudest
from tests.incident.test_escalation import HELD, Row
from tests.incident.timeline_player import (
    CRITICAL,
    HIGH,
    JIRA,
    LOW,
    PROBLEM,
    REGULATED,
    SECONDARY,
    Clear,
    Fire,
    TimelinePlayer,
    act,
)

ADMIN = REGULATED.model_copy(update={"closed_by": "admin"})
REGULATED_LOW = LOW.model_copy(update={"regulated": True, "closed_by": "compliance", "tickets": (JIRA,)})
OWNED = HIGH.model_copy(update={"owner": "credit", "team": "credit-risk", "steps": (Step(notify=(SECONDARY,)),)})
ROWS = [
    Row(
        "a later alert of the same tier names a regulated model: the clear closes nothing",
        [(0, Fire(HIGH)), (2, Fire(REGULATED)), (5, Clear())],
        ["0 notify ops", "2 note ops", "2 notify jira", "2 refresh ops", "5 note jira", "5 note ops"],
        "awaiting_human",
        until=6,
    ),
    Row(
        "so it does in a quieter alert",
        [(0, Fire(CRITICAL)), (2, Fire(REGULATED_LOW)), (5, Clear())],
        ["0 notify primary", "2 notify jira", "5 note jira"],
        "awaiting_human",
        until=6,
    ),
    Row(
        "so it does during a hold, and nobody else is notified",
        [(0, Fire(HELD)), (2, Fire(REGULATED_LOW)), (4, Clear())],
        ["2 notify jira", "4 note jira"],
        "awaiting_human",
        until=6,
    ),
    Row(
        "so it does of an acknowledged incident",
        [(0, Fire(HIGH)), (1, act("acknowledge")), (2, Fire(REGULATED)), (3, act("resolve", role="responder"))],
        [
            "0 notify ops",
            "1 acknowledge ops",
            "2 note ops",
            "2 notify jira",
            "2 refresh ops",
            "3 note jira",
            "3 note ops",
        ],
        "awaiting_human",
        until=6,
    ),
    Row(
        "a quieter alert without the model lowers nothing",
        [(0, Fire(REGULATED)), (2, Fire(LOW)), (5, Clear())],
        ["0 notify jira", "0 notify ops", "2 note ops", "5 note jira", "5 note ops"],
        "awaiting_human",
        until=6,
    ),
    Row(
        "the rule's destination for the owner is notified once",
        [(0, Fire(HIGH)), (2, Fire(OWNED)), (3, Fire(OWNED))],
        ["0 notify ops", "2 note ops", "2 refresh ops", "2 notify secondary"],
        until=4,
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_obligations_are_adopted(row: Row) -> None:
    player = TimelinePlayer().play(row.events, row.until)
    assert sorted(player.sent) == sorted(row.sent)
    assert player.state.state == row.state


@pytest.mark.parametrize("order", [(REGULATED, ADMIN), (ADMIN, REGULATED)], ids=["raised", "not lowered"])
def test_closing_role_is_the_highest(order: tuple[Decision, Decision]) -> None:
    player = TimelinePlayer().play([(minute, Fire(one)) for minute, one in enumerate(order)], 3)
    player.play([(4, act("resolve", role="compliance"))], 5)
    assert player.state.state == "awaiting_human"
    player.play([(6, act("resolve", role="admin"))], 7)
    assert player.state.state == "resolved"


def test_tier_rise_loses_no_owner_and_ticket() -> None:
    """The louder alert names no model, so the policy knows neither team nor owner."""
    first = HIGH.model_copy(update={"owner": "credit", "team": "credit-risk", "tickets": (JIRA,)})
    player = TimelinePlayer().play([(0, Fire(first)), (2, Fire(CRITICAL))], 3)
    decision = player.state.decision
    assert decision is not None
    assert (decision.owner, decision.team, decision.tickets) == ("credit", "credit-risk", (JIRA,))
    assert decision.steps == CRITICAL.steps


def test_adoption_is_recorded_once() -> None:
    player = TimelinePlayer().play([(0, Fire(HIGH)), (2, Fire(REGULATED)), (3, Fire(REGULATED))], 4)
    assert [one.text for one in player.state.timeline if one.event == "obligations_added"] == [
        "regulated, closed by a person with the role compliance; ticket jira, by rule quality"
    ]


def test_loudest_decision_has_every_obligation() -> None:
    """Alerts that arrive together are decided together."""
    decision = loudest([HIGH, REGULATED, CRITICAL])
    assert (decision.tier, decision.regulated, decision.closed_by) == ("critical", True, "compliance")
    assert decision.tickets == (JIRA,)
    assert loudest([HIGH, REGULATED]).regulated


def test_clear_that_names_another_model_says_more() -> None:
    player = TimelinePlayer().play([(0, Fire(HIGH))], 1)
    machine: IncidentStateMachine = player.machine
    assert player.state.alert is not None
    same = player.state.alert.model_copy(update={"status": "cleared"})
    assert not machine.says_more(GroupedAlert(alert=same, problem=PROBLEM))
    for update in ({"model": "underwriting"}, {"tags": {"serious_incident": "true"}}, {"project": "credit"}):
        more = GroupedAlert(alert=same.model_copy(update=update), problem=PROBLEM)
        assert machine.says_more(more), update


def test_second_acknowledgement_takes_over() -> None:
    """Reminders and messages name the person who works on it now."""
    events = [
        (0, Fire(HIGH.model_copy(update={"remind": 3600.0}))),
        (5, act("acknowledge")),
        (9, act("acknowledge", by="bob")),
    ]
    player = TimelinePlayer().play(events, 70)  # fmt: skip
    assert player.sent == [
        "0 notify ops",
        "5 acknowledge ops",
        "9 refresh ops",
        "65 remind ops",
        "65 acknowledge ops",
    ]
    assert player.state.acknowledged_by == "bob"
    reminded = next(one for one in player.state.timeline if one.event == "reminded")
    assert reminded.text.startswith("Acknowledged by bob")


def test_repeated_acknowledgement_sends_nothing() -> None:
    player = TimelinePlayer().play([(0, Fire(HIGH)), (5, act("acknowledge")), (9, act("acknowledge"))], 10)
    assert player.sent == ["0 notify ops", "5 acknowledge ops"]


def test_refused_closing_is_only_recorded() -> None:
    """The gateway answered 403: the person knows, and nothing else changes."""
    refused = act("resolve", by="bob", role="responder", token="bob", refused=True)
    player = TimelinePlayer().play([(0, Fire(REGULATED)), (5, refused)], 6)
    assert player.sent == ["0 notify jira", "0 notify ops"]
    assert player.state.state == "notified"
    denied = player.audited[-1]
    assert (denied.event, denied.by, denied.data["role"], denied.data["token"]) == (
        "closure_denied",
        "bob",
        "responder",
        "bob",
    )
