"""Which destinations an incident notifies, and when: each row is a policy's decision, what happens, and what is sent.

Rows read: minute, verb, destination. ``tests/workflows/test_escalation.py`` shows some of them on a real server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest

from incident.view import next_action
from tests.incident.timeline_player import (
    CRITICAL,
    HIGH,
    LOW,
    MINUTE,
    REGULATED,
    START,
    Clear,
    Event,
    Fire,
    TimelinePlayer,
    act,
    at_minute,
)

HELD = CRITICAL.model_copy(update={"hold": 5 * MINUTE})


@dataclass(frozen=True)
class Row:
    name: str
    events: Sequence[tuple[float, Event]]
    sent: Sequence[str]
    state: str = "notified"
    until: float = 100


ROWS = [
    Row(
        "every step at its time",
        [(0, Fire(CRITICAL))],
        ["0 notify primary", "15 notify secondary"],
    ),
    Row(
        "a repeat pages nobody",
        [(0, Fire(CRITICAL)), (3, Fire(CRITICAL)), (4, Fire(LOW))],
        ["0 notify primary", "15 notify secondary"],
    ),
    Row(
        "an acknowledgement stops later steps and reaches the pager",
        [(0, Fire(CRITICAL)), (10, act("acknowledge"))],
        ["0 notify primary", "10 acknowledge primary"],
        "acknowledged",
    ),
    Row(
        "acknowledged and still open: a reminder",
        [(0, Fire(CRITICAL)), (10, act("acknowledge"))],
        ["0 notify primary", "10 acknowledge primary", "250 remind primary", "250 acknowledge primary"],
        "acknowledged",
        until=300,
    ),
    Row(
        "a withdrawn acknowledgement resumes with the remaining steps",
        [(0, Fire(CRITICAL)), (10, act("acknowledge")), (20, act("unacknowledge"))],
        ["0 notify primary", "10 acknowledge primary", "35 notify secondary"],
    ),
    Row(
        "withdrawn after the last step: the escalation starts again",
        [(0, Fire(CRITICAL)), (20, act("acknowledge")), (30, act("unacknowledge"))],
        [
            "0 notify primary",
            "15 notify secondary",
            "20 acknowledge primary",
            "20 acknowledge secondary",
            "30 notify primary",
            "45 notify secondary",
        ],
    ),
    Row(
        "no acknowledgement of a post: the tier rises",
        [(0, Fire(HIGH))],
        ["0 notify ops", "60 notify primary", "75 note ops", "75 notify secondary"],
    ),
    Row(
        "an acknowledged post keeps its tier",
        [(0, Fire(HIGH)), (59, act("acknowledge"))],
        ["0 notify ops", "59 acknowledge ops"],
        "acknowledged",
    ),
    Row(
        "a louder alert raises the tier, and withdraws the acknowledgement",
        [(0, Fire(HIGH)), (5, act("acknowledge")), (10, Fire(CRITICAL))],
        [
            "0 notify ops",
            "5 acknowledge ops",
            "10 note ops",
            "10 notify primary",
            "25 note ops",
            "25 notify secondary",
        ],
    ),
    Row(
        "a quieter alert changes nothing",
        [(0, Fire(CRITICAL)), (5, Fire(HIGH))],
        ["0 notify primary", "15 notify secondary"],
    ),
    Row(
        "a hold that expires",
        [(0, Fire(HELD))],
        ["5 notify primary", "20 notify secondary"],
    ),
    Row(
        "cleared during the hold: nobody is notified",
        [(0, Fire(HELD)), (4, Clear())],
        [],
        "resolved",
    ),
    Row(
        "acknowledged during the hold: nobody is notified",
        [(0, Fire(HELD)), (4, act("acknowledge"))],
        [],
        "acknowledged",
    ),
    Row(
        "an alert without a hold ends the hold",
        [(0, Fire(HELD)), (2, Fire(CRITICAL))],
        ["2 notify primary", "17 notify secondary"],
    ),
    Row(
        "a silence that expires: the escalation starts again",
        [(0, Fire(CRITICAL)), (5, act("silence", silence_seconds=30 * MINUTE))],
        ["0 notify primary", "5 acknowledge primary", "35 notify primary", "50 notify secondary"],
    ),
    Row(
        "a regulated one that cleared during a silence waits for its person, and pages nobody",
        [(0, Fire(REGULATED)), (5, act("silence", silence_seconds=30 * MINUTE)), (20, Clear())],
        ["0 notify jira", "0 notify ops", "5 acknowledge ops", "5 note jira", "20 note jira", "20 note ops"],
        "awaiting_human",
    ),
    Row(
        "cleared during a silence: nothing but the resolution",
        [(0, Fire(CRITICAL)), (5, act("silence", silence_seconds=30 * MINUTE)), (20, Clear())],
        ["0 notify primary", "5 acknowledge primary", "20 resolve primary"],
        "resolved",
    ),
    Row(
        "a regulated incident that clears stays open, and escalates",
        [(0, Fire(REGULATED)), (5, Clear())],
        [
            "0 notify jira",
            "0 notify ops",
            "5 note jira",
            "5 note ops",
            "60 notify primary",
            "75 note jira",
            "75 note ops",
            "75 notify secondary",
        ],
        "awaiting_human",
        until=100,
    ),
    Row(
        "a denied resolve of a regulated incident acknowledges it",
        [(0, Fire(REGULATED)), (5, act("resolve", role="responder"))],
        ["0 notify jira", "0 notify ops", "5 acknowledge ops", "5 note jira", "5 note ops"],
        "awaiting_human",
    ),
    Row(
        "compliance closes a regulated incident",
        [(0, Fire(REGULATED)), (5, act("resolve", role="compliance"))],
        ["0 notify jira", "0 notify ops", "5 resolve ops", "5 note jira"],
        "resolved",
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_escalation_sends(row: Row) -> None:
    player = TimelinePlayer().play(row.events, row.until)
    assert player.sent == list(row.sent)
    assert player.state.state == row.state


@dataclass(frozen=True)
class Failure:
    name: str
    permanent: bool
    events: Sequence[tuple[float, Event]]
    sent: Sequence[str]
    until: float = 2.5


FAILURES = [
    Failure(
        "temporary: the fallback is notified once, and the page is retried every minute",
        False,
        [(0, Fire(CRITICAL))],
        ["0 FAILED primary", "0 notify ops", "1 FAILED primary", "2 FAILED primary"],
    ),
    Failure(
        "permanent: the fallback is notified, and nothing is retried",
        True,
        [(0, Fire(CRITICAL))],
        ["0 FAILED primary", "0 notify ops"],
    ),
    Failure(
        "permanent, and no fallback: it is retried all the same",
        True,
        [(0, Fire(CRITICAL.model_copy(update={"fallback": ()})))],
        ["0 FAILED primary", "1 FAILED primary", "2 FAILED primary"],
    ),
    Failure(
        "an acknowledgement ends the retries",
        False,
        [(0, Fire(CRITICAL)), (0.5, act("acknowledge"))],
        ["0 FAILED primary", "0 notify ops", "0.5 acknowledge ops"],
    ),
    Failure(
        "a permanent failure does not stop the escalation",
        True,
        [(0, Fire(CRITICAL))],
        ["0 FAILED primary", "0 notify ops", "15 notify secondary"],
        until=20,
    ),
]


@pytest.mark.parametrize("row", FAILURES, ids=lambda row: row.name)
def test_failed_page(row: Failure) -> None:
    player = TimelinePlayer(failing={"primary"}, permanent=row.permanent).play(row.events, row.until)
    # The escalation notes in ops' thread are checked above; here only notifications count.
    assert [line for line in player.sent if " note " not in line] == list(row.sent)
    assert player.events.count("notification_failed") == sum(" FAILED " in line for line in row.sent)


def test_failed_ticket_is_retried_after_acknowledgement() -> None:
    player = TimelinePlayer(failing={"jira"})
    player.play([(0, Fire(REGULATED)), (0.5, act("acknowledge"))], 1.5)
    assert "1 FAILED jira" in player.sent
    player.failing = ()
    player.play([], 3)
    assert "2 notify jira" in player.sent


def test_closing_sends_pending_ticket() -> None:
    player = TimelinePlayer(failing={"jira"})
    player.play([(0, Fire(REGULATED))], 0)
    player.failing = ()
    player.play([(0.5, act("resolve", role="compliance"))], 0.5)
    assert "0.5 notify jira" in player.sent


def test_repeated_page_has_its_own_dedup_key() -> None:
    """PagerDuty folds a repeat of an open key into the first page without a sound."""
    player = TimelinePlayer().play([(0, Fire(CRITICAL)), (20, act("acknowledge")), (30, act("unacknowledge"))], 100)
    assert len(player.keys) == 4
    assert len(set(player.keys)) == 3, "the first pages to primary and secondary share the incident's own key"


@pytest.mark.parametrize("source", ["pagerduty", "opsgenie", "splunk_oncall"])
def test_acknowledgement_by_no_person_stops_no_escalation(source: str) -> None:
    """A rule of the vendor acknowledges, and nobody works on it."""
    echo = act("acknowledge", by="", source=source)
    player = TimelinePlayer().play([(0, Fire(CRITICAL)), (5, echo), (20, act("acknowledge")), (21, echo)], 30)
    assert player.sent[:2] == ["0 notify primary", "15 notify secondary"]
    assert (player.state.acknowledged_by, player.state.state) == ("alice", "acknowledged")
    assert player.events.count("acknowledged_elsewhere") == 1, "the second one is the echo of what Tocsin sent"
    assert [one.by for one in player.audited if one.event == "acknowledged_elsewhere"] == [source]


def test_late_echo_of_acknowledgement_stops_no_later_fire() -> None:
    """The pager takes the update only after the monitor fires again: PagerDuty reports it as of now."""
    echo = act("acknowledge", by="", source="pagerduty", occurred_at=at_minute(45))
    player = TimelinePlayer().play([(0, Fire(CRITICAL)), (5, act("acknowledge")), (40, Fire(CRITICAL)), (45, echo)], 60)
    assert player.sent[-2:] == ["40 notify primary", "55 notify secondary"]


@pytest.mark.parametrize("by", ["alice", "bob"])
def test_acknowledgement_replaces_a_silence(by: str) -> None:
    """Who works on it is reminded, and not paged when the silence would have ended."""
    events: list[tuple[float, Event]] = [
        (0, Fire()),
        (5, act("silence", silence_seconds=3600)),
        (20, act("acknowledge", by)),
    ]
    player = TimelinePlayer().play(events, 19 + 240)
    assert player.sent == ["0 notify primary", "5 acknowledge primary", "20 acknowledge primary"]
    assert player.state.acknowledged_by == by
    assert "260 remind primary" in player.play([], 261).sent


def test_vendor_timeout_does_not_withdraw_acknowledgement() -> None:
    """PagerDuty's own acknowledgement timeout is no person, and did not acknowledge in the first place."""
    expired = act("unacknowledge", by="", source="pagerduty")
    player = TimelinePlayer().play([(0, Fire(CRITICAL)), (5, act("acknowledge")), (35, expired)], 100)
    assert player.state.acknowledged_by == "alice"
    assert player.sent == ["0 notify primary", "5 acknowledge primary"]


def test_action_for_other_run_changes_nothing() -> None:
    """A person used the message of an earlier opening; an echo of what Tocsin sent then is nobody's."""
    resolve = act("resolve", first_run_id="89abcdef", id="1")
    echo = act("resolve", by="", first_run_id="89abcdef")
    player = TimelinePlayer().play([(0, Fire(CRITICAL)), (5, resolve), (5, resolve), (5, echo)], 6)
    assert player.state.state == "notified"
    assert "resolved" not in player.events
    assert [one.text for one in player.state.timeline if one.event == "older_action"] == [
        "resolved through the API changes nothing: it is about another opening"
    ]


@pytest.mark.parametrize(
    ("seen", "at", "state"),
    [
        ("01234567", -1, "acknowledged"),
        ("89abcdef", -1, "notified"),
        ("89abcdef", 2, "acknowledged"),
        ("", 2, "acknowledged"),
    ],
)
def test_spooled_action_is_for_what_was_open(seen: str, at: float, state: str) -> None:
    """Its gateway had read an earlier opening; a later one was open, and had paged, when the person acknowledged."""
    done = act("acknowledge", seen_run_id=seen, occurred_at=START + timedelta(minutes=at))
    player = TimelinePlayer().play([(0, Fire(CRITICAL)), (5, done)], 6)
    assert player.state.state == state
    assert ("older_action" in player.events) is (state == "notified")


@pytest.mark.parametrize("reopened_at", [2, 40])
def test_reopening_notifies_who_was_not(reopened_at: float) -> None:
    """It was resolved before its page was out, and the page was dropped."""
    player = TimelinePlayer(hanging=["primary"]).play([(0, Fire()), (1, act("resolve"))], 1)
    player.hanging = ()
    player.play([(reopened_at, act("reopen", "bob"))], reopened_at + 16)
    assert player.sent == [f"{reopened_at} notify primary", f"{reopened_at + 15} notify secondary"]


def test_withdrawal_notifies_who_could_not_be_reached() -> None:
    """The retry of the first page ended with the acknowledgement."""
    player = TimelinePlayer(failing=["primary"]).play([(0, Fire()), (0.5, act("acknowledge"))], 5)
    player.failing = ()
    assert "6 notify primary" in player.play([(6, act("unacknowledge"))], 7).sent


def test_redelivered_action_is_dropped() -> None:
    note = act("annotate", note="looking", id="pagerduty-1")
    player = TimelinePlayer().play([(0, Fire(CRITICAL)), (5, note), (6, note)], 7)
    assert player.events.count("annotated") == 1


def test_closure_denied_is_recorded_with_role() -> None:
    player = TimelinePlayer().play([(0, Fire(REGULATED)), (5, act("resolve", by="bob", role="responder"))], 6)
    denied = next(entry for entry in player.state.timeline if entry.event == "closure_denied")
    assert (denied.by, denied.text) == (
        "bob",
        "resolved through the API: not closed; a person with the role compliance must close it",
    )


def test_regulated_incident_stays_regulated() -> None:
    """A later alert without the model's name removes neither the ticket nor the role."""
    player = TimelinePlayer().play([(0, Fire(REGULATED)), (5, Fire(CRITICAL))], 6)
    decision = player.state.decision
    assert decision is not None
    assert (decision.tier, decision.regulated, decision.closed_by) == ("critical", True, "compliance")
    assert player.sent.count("0 notify jira") == 1
    assert "5 notify jira" not in player.sent


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([(0, Fire(CRITICAL))], "Escalate to step 2 (secondary) unless acknowledged, at 2026-11-24 03:15:00 UTC"),
        ([(0, Fire(HELD))], "Notify if it is still triggered, at 2026-11-24 03:05:00 UTC"),
        ([(0, Fire(HIGH))], "Raise to critical unless acknowledged, at 2026-11-24 04:00:00 UTC"),
        ([(0, Fire(LOW))], "the monitor clears, or a person resolves it"),
    ],
)
def test_next_action_names_deadline(events: Sequence[tuple[float, Event]], expected: str) -> None:
    player = TimelinePlayer().play(events, 0)
    assert next_action(player.state, player.machine.next_deadline()) == expected
