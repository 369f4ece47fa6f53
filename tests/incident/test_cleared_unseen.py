"""A fire that clears before anybody received a message of it: somebody must read of it all the same."""

from datetime import timedelta

import pytest

from incident.state import PendingNotification
from policy import Decision
from tests.incident.test_escalation import HELD
from tests.incident.timeline_player import (
    CRITICAL,
    HIGH,
    JIRA,
    LOW,
    MINUTE,
    START,
    Clear,
    Describe,
    Event,
    Fire,
    TimelinePlayer,
    act,
)

WITHOUT_FALLBACK = CRITICAL.model_copy(update={"fallback": ()})
WITH_TICKET = CRITICAL.model_copy(update={"tickets": (JIRA,)})


def in_flight(decision: Decision = CRITICAL) -> tuple[TimelinePlayer, PendingNotification]:
    """The first notification is on its way while the monitor clears."""
    first = next(iter((*(decision.steps[0].notify if decision.steps else ()), *decision.digest)))
    player = TimelinePlayer(hanging=[first.name])
    player.play([(0, Fire(decision)), (1, Clear())], 1)
    assert player.state.state == "resolved"
    (pending,) = player.state.pending
    return player, pending


@pytest.mark.parametrize("permanent", [True, False])
def test_fallback_is_notified_after_the_clear(permanent: bool) -> None:
    player, pending = in_flight()
    player.machine.mark_failed(pending, "HTTP 401", START + timedelta(minutes=1), permanent=permanent)
    player.play([], 1)
    assert player.sent == ["1 notify ops", "1 resolve ops"]
    player.hanging = ()
    player.play([], 10)
    assert player.sent == ["1 notify ops", "1 resolve ops"], "now somebody knows"
    assert not player.state.pending
    assert not player.state.deadlines


@pytest.mark.parametrize("decision", [WITHOUT_FALLBACK, LOW], ids=["page", "digest"])
def test_without_fallback_it_is_retried_until_it_arrives(decision: Decision) -> None:
    player, pending = in_flight(decision)
    target = pending.target.name
    player.hanging, player.failing = (), [target]
    player.play([], 1)
    player.play([], 3)
    assert player.sent == [f"{minute} FAILED {target}" for minute in (1, 2, 3)]
    player.failing = ()
    player.play([], 10)
    assert player.sent[3] == f"4 notify {target}"
    assert not player.state.deadlines


def test_retry_that_waits_while_it_clears_is_made() -> None:
    player = TimelinePlayer(failing=["primary", "ops"])
    player.play([(0, Fire(CRITICAL)), (0.5, Clear())], 0.5)
    player.failing = ()
    player.play([], 5)
    assert {line.partition(" ")[2] for line in player.sent[2:]} >= {"notify primary", "resolve primary"}
    assert not player.state.pending
    assert not player.state.deadlines


@pytest.mark.parametrize(
    ("decision", "sent"),
    [
        (HELD, []),
        (HIGH, ["0 notify ops", "1 resolve ops"]),
    ],
    ids=["cleared within its hold", "somebody knows"],
)
def test_nobody_else_is_notified(decision: Decision, sent: list[str]) -> None:
    assert TimelinePlayer().play([(0, Fire(decision)), (1, Clear())], 60).sent == sent


@pytest.mark.parametrize(
    ("decision", "before", "restart"),
    [
        (HIGH, [], 60),
        (CRITICAL, [(5, act("silence", silence_seconds=3600))], 65),
        (CRITICAL, [(5, act("acknowledge")), (20, act("unacknowledge"))], 35),
    ],
    ids=["timeout", "silence", "withdrawal"],
)
def test_escalation_that_starts_again_is_no_new_fire(
    decision: Decision, before: list[tuple[float, Event]], restart: float
) -> None:
    """People read of it at its beginning: a page that fails then is not retried after the clear."""
    player = TimelinePlayer().play([(0, Fire(decision)), *before], restart - 1)
    player.failing = ["primary", "secondary", "ops"]
    player.play([], restart + 0.5)
    assert "FAILED" in player.sent[-1]
    player.failing = ()
    player.play([(restart + 0.7, Clear())], restart + 60)
    later = [line for line in player.sent if float(line.split()[0]) > restart + 0.7]
    assert not [line for line in later if "notify" in line]


def test_person_who_resolves_what_cleared_knows() -> None:
    regulated = CRITICAL.model_copy(update={"regulated": True, "closed_by": "compliance"})
    player = TimelinePlayer(failing=["primary", "ops"])
    player.play([(0, Fire(regulated)), (0.5, Clear()), (0.7, act("resolve", "carol", role="compliance"))], 0.8)
    player.failing = ()
    assert player.play([], 60).sent == ["0 FAILED primary", "0 FAILED ops"]


def test_receipt_of_an_earlier_fire_says_nothing_of_a_louder_one() -> None:
    player = TimelinePlayer(hanging=["ops", "primary"])
    player.play([(0, Fire(HIGH)), (1, Fire(CRITICAL))], 1)
    player.hanging = ["primary"]
    player.play([(2, Clear())], 2)  # the post of the first fire arrives meanwhile
    player.hanging = ()
    assert "2 notify ops" in player.sent
    assert "3 notify primary" in player.play([], 3).sent


def test_person_who_resolves_knows() -> None:
    player = TimelinePlayer(failing=["primary", "ops"])
    player.play([(0, Fire(CRITICAL)), (0.5, act("resolve"))], 0.5)
    player.failing = ()
    player.play([], 5)
    assert player.sent == ["0 FAILED primary", "0 FAILED ops"]


def test_ticket_is_opened_although_it_cleared() -> None:
    player = TimelinePlayer(failing=["jira"])
    player.play([(0, Fire(WITH_TICKET)), (0.5, Clear())], 2)
    player.failing = ()
    player.play([], 5)
    assert [line.partition(" ")[2] for line in player.sent if "jira" in line][-1] == "notify jira"
    assert not player.state.deadlines


def test_hold_of_something_louder_leaves_the_earlier_hold() -> None:
    high = HIGH.model_copy(update={"hold": 10 * MINUTE})
    player = TimelinePlayer().play([(0, Fire(high)), (9, Fire(HELD)), (12, Clear())], 60)
    assert player.sent == ["10 notify ops", "12 resolve ops"], "the critical one cleared within its hold"
    player = TimelinePlayer().play([(0, Fire(high)), (9, Fire(HELD))], 14)
    assert player.sent[:2] == ["10 notify ops", "14 notify primary"]


def test_repeats_of_what_is_held_add_no_hold() -> None:
    """Each would carry a whole decision, until the state is too large for its next run."""
    high, held = (one.model_copy(update={"hold": 15 * MINUTE}) for one in (HIGH, CRITICAL))
    player = TimelinePlayer().play([(0, Fire(high)), *((1 + number / 100, Fire(held)) for number in range(200))], 3)
    assert len(player.state.deadlines) == 2
    assert player.play([], 17).sent == ["15 notify ops", "16 notify primary"]


def test_shorter_hold_of_the_same_tier_counts() -> None:
    longer = CRITICAL.model_copy(update={"hold": 15 * MINUTE})
    events: list[tuple[float, Event]] = [(0, Fire(HIGH)), (1, Fire(longer)), (2, Fire(HELD)), (3, Fire(longer))]
    sent = TimelinePlayer().play(events, 8).sent
    assert [line for line in sent if "notify" in line] == ["0 notify ops", "7 notify primary"]


def test_description_replaces_the_hold() -> None:
    in_doubt, known = HIGH.model_copy(update={"hold": 10 * MINUTE}), CRITICAL.model_copy(update={"hold": 15 * MINUTE})
    events: list[tuple[float, Event]] = [(0, Fire(in_doubt, undescribed=True)), (1, Describe(known)), (12, Clear())]
    assert TimelinePlayer().play(events, 60).sent == []
