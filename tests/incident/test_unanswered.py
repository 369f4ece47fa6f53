"""What nobody has acknowledged goes on, whatever else happens: automations, flapping, timeouts, holds, withdrawals.

Rows read: minute, verb, destination, as in ``test_escalation.py``; here only notifications count.
"""

from collections.abc import Sequence

import pytest

from policy import Decision, OnAckTimeout, Step
from tests.incident.test_escalation import HELD, Row
from tests.incident.timeline_player import (
    CRITICAL,
    HIGH,
    JIRA,
    LOW,
    MINUTE,
    OPS,
    PRIMARY,
    REGULATED,
    SECONDARY,
    Clear,
    Event,
    Fire,
    TimelinePlayer,
    act,
    at_minute,
)


def but(decision: Decision, **changes: object) -> Decision:
    return decision.model_copy(update=changes)


REGULATED_CRITICAL = but(CRITICAL, regulated=True, closed_by="compliance", tickets=(JIRA,))
HELD_REGULATED = but(REGULATED_CRITICAL, hold=5 * MINUTE)
UNTIMED = but(HIGH, respond_within=None, on_ack_timeout=None)
REGULATED_UNTIMED = but(REGULATED, respond_within=None, on_ack_timeout=None)
LEAD = but(HIGH, steps=(Step(notify=(OPS,)), Step(after=90 * MINUTE, notify=(JIRA,))))
FALLBACK = OnAckTimeout(tier="critical", steps=(Step(notify=(OPS,)),))
TIMED = but(CRITICAL, respond_within=10 * MINUTE, on_ack_timeout=FALLBACK)
NOBODY_ELSE = but(TIMED, fallback=(), on_ack_timeout=OnAckTimeout(tier="critical", steps=()))
PAGED = ["0 notify jira", "0 notify primary"]


def closed(source: str, kind: str = "resolve") -> Event:
    """A rule or an automation closes: no person is behind it."""
    return act(kind, by="", source=source)


AUTOMATIONS = [
    *(
        Row(
            f"{kind} by an automation in {source} drops no hold",
            [(0, Fire(HELD_REGULATED)), (1, closed(source, kind))],
            ["0 notify jira", "5 notify primary", "20 notify secondary"],
        )
        for source in ("jira", "pagerduty", "opsgenie")
        for kind in ("resolve", "false_alarm")
    ),
    Row(
        "nor that of a louder alert",
        [(0, Fire(REGULATED_UNTIMED)), (10, Fire(HELD_REGULATED)), (11, closed("pagerduty"))],
        ["0 notify jira", "0 notify ops", "15 notify primary", "30 notify secondary"],
    ),
    Row(
        "nor a step",
        [(0, Fire(REGULATED_CRITICAL)), (1, closed("jira"))],
        [*PAGED, "15 notify secondary"],
    ),
    Row(
        "nor the time for an acknowledgement",
        [(0, Fire(REGULATED)), (1, closed("jira"))],
        ["0 notify jira", "0 notify ops", "60 notify primary", "75 notify secondary"],
    ),
    Row(
        "the pager's echo of a resolution stops nothing that fires again before it is closed",
        [
            (0, Fire(REGULATED_CRITICAL)),
            (5, act("resolve", by="Carol", role="compliance")),
            (6, Fire(HELD_REGULATED)),
            (6.1, closed("pagerduty")),
        ],
        [*PAGED, "11 notify primary", "26 notify secondary"],
    ),
    Row(
        "it makes no earlier withdrawal void",
        [
            (0, Fire(REGULATED_CRITICAL)),
            (1, act("acknowledge")),
            (3, act("resolve", by="", source="jira", occurred_at=at_minute(3))),
            (4, act("unacknowledge", occurred_at=at_minute(2))),
        ],
        [*PAGED, "19 notify secondary"],
    ),
    Row(
        "the monitor clears within the hold: nobody is paged",
        [(0, Fire(HELD_REGULATED)), (3, Clear())],
        ["0 notify jira"],
        "awaiting_human",
    ),
    Row(
        "and fires again, without a hold",
        [(0, Fire(HELD_REGULATED)), (3, Clear()), (6, Fire(REGULATED_CRITICAL))],
        ["0 notify jira", "6 notify primary", "21 notify secondary"],
    ),
]
WITHDRAWALS = [
    Row(
        "of a person whose closing was denied",
        [(0, Fire(REGULATED_CRITICAL)), (5, act("resolve", role="responder")), (6, act("unacknowledge"))],
        [*PAGED, "21 notify secondary"],
    ),
    Row(
        "by the pager, after an automation closed the ticket",
        [
            (0, Fire(REGULATED_CRITICAL)),
            (4, closed("jira")),
            (5, act("acknowledge", source="pagerduty")),
            (35, act("unacknowledge", by="", source="pagerduty")),
        ],
        [*PAGED, "50 notify secondary"],
    ),
    Row(
        "after the monitor cleared: nobody is paged",
        [(0, Fire(REGULATED_CRITICAL)), (5, act("acknowledge")), (6, Clear()), (7, act("unacknowledge"))],
        PAGED,
        "awaiting_human",
    ),
    Row(
        "of a hold: the first step comes at once",
        [(0, Fire(HELD)), (2, act("acknowledge")), (3, act("unacknowledge"))],
        ["3 notify primary", "18 notify secondary"],
    ),
    Row(
        "of a hold after it fired again",
        [
            (0, Fire(HELD)),
            (6, act("acknowledge")),
            (60, Fire(HELD)),
            (61, act("acknowledge")),
            (62, act("unacknowledge")),
        ],
        ["5 notify primary", "62 notify primary", "77 notify secondary"],
    ),
    Row(
        "of a hold that a louder alert began again",
        [
            (0, Fire(but(UNTIMED, hold=9 * MINUTE))),
            (1, Fire(HELD)),
            (2, act("acknowledge")),
            (3, act("unacknowledge")),
        ],
        ["3 notify primary", "18 notify secondary"],
    ),
    Row(
        "of a held digest",
        [(0, Fire(but(LOW, hold=5 * MINUTE))), (1, act("acknowledge")), (2, act("unacknowledge"))],
        ["2 notify ops"],
    ),
    Row(
        "a louder alert after a denied closing, and a withdrawal",
        [
            (0, Fire(REGULATED_UNTIMED)),
            (1, act("resolve", role="responder")),
            (5, Fire(REGULATED_CRITICAL)),
            (6, act("acknowledge")),
            (7, act("unacknowledge")),
        ],
        ["0 notify jira", "0 notify ops", "5 notify primary", "22 notify secondary"],
    ),
]
TIMEOUTS = [
    Row("critical: the fallback beside the steps", [(0, Fire(TIMED))], ["0 primary", "10 ops", "15 secondary"]),
    Row("critical without a fallback: the steps", [(0, Fire(NOBODY_ELSE))], ["0 primary", "15 secondary"]),
    Row(
        "a later step of the quieter tier beside those of the louder one",
        [(0, Fire(LEAD))],
        ["0 ops", "60 primary", "75 secondary", "90 jira"],
    ),
    Row(
        "a louder alert beside it",
        [(0, Fire(but(LEAD, respond_within=None, on_ack_timeout=None))), (5, Fire(CRITICAL))],
        ["0 ops", "5 primary", "20 secondary", "90 jira"],
    ),
    Row(
        "an acknowledgement stops all of them",
        [(0, Fire(TIMED)), (12, act("acknowledge"))],
        ["0 primary", "10 ops"],
        "acknowledged",
    ),
    Row(
        "and its withdrawal resumes with what remains",
        [(0, Fire(TIMED)), (12, act("acknowledge")), (20, act("unacknowledge"))],
        ["0 primary", "10 ops", "35 secondary"],
    ),
]
HOLDS = [
    Row(
        "an acknowledgement of the quieter alert acknowledges nothing that is held",
        [(0, Fire(UNTIMED)), (10, Fire(HELD)), (12, act("acknowledge"))],
        ["0 ops", "15 primary", "30 secondary"],
    ),
    Row(
        "a silence neither",
        [(0, Fire(UNTIMED)), (10, Fire(HELD)), (12, act("silence", silence_seconds=60 * MINUTE))],
        ["0 ops", "15 primary", "30 secondary"],
    ),
    Row(
        "a silence that ends before the hold",
        [(0, Fire(UNTIMED)), (10, Fire(HELD)), (11, act("silence", silence_seconds=2 * MINUTE))],
        ["0 ops", "13 ops", "15 primary", "30 secondary"],
    ),
    Row(
        "a withdrawn acknowledgement neither",
        [(0, Fire(UNTIMED)), (10, Fire(HELD)), (11, act("acknowledge")), (12, act("unacknowledge"))],
        ["0 ops", "12 ops", "15 primary", "30 secondary"],
    ),
    Row(
        "a denied closing neither",
        [(0, Fire(REGULATED_UNTIMED)), (10, Fire(HELD)), (11, act("resolve", role="responder"))],
        ["0 jira", "0 ops", "15 primary", "30 secondary"],
    ),
    Row(
        "an alert of a tier in between neither",
        [(0, Fire(LOW)), (10, Fire(HELD)), (12, Fire(UNTIMED))],
        ["0 ops", "12 ops", "15 primary", "30 secondary"],
    ),
    Row(
        "the timeout for an acknowledgement neither: the rule notifies more",
        [(0, Fire(HIGH)), (58, Fire(but(HELD, steps=(Step(notify=(SECONDARY,)),))))],
        ["0 ops", "60 primary", "63 secondary", "75 secondary"],
    ),
    Row(
        "a clear ends it",
        [(0, Fire(REGULATED_UNTIMED)), (10, Fire(HELD)), (12, act("acknowledge")), (13, Clear())],
        ["0 jira", "0 ops"],
        "awaiting_human",
    ),
]


def notifications(player: TimelinePlayer) -> list[str]:
    return [line for line in player.sent if " notify " in line]


@pytest.mark.parametrize("row", [*AUTOMATIONS, *WITHDRAWALS], ids=lambda row: row.name)
def test_regulated_incident_notifies(row: Row) -> None:
    player = TimelinePlayer().play(row.events, row.until)
    assert notifications(player) == list(row.sent)
    assert player.state.state == row.state


@pytest.mark.parametrize("row", [*TIMEOUTS, *HOLDS], ids=lambda row: row.name)
def test_nothing_that_is_due_is_lost(row: Row) -> None:
    player = TimelinePlayer().play(row.events, row.until)
    assert [line.replace("notify ", "") for line in notifications(player)] == list(row.sent)
    assert player.state.state == row.state


def test_closing_by_automation_is_recorded_and_noted() -> None:
    player = TimelinePlayer().play([(0, Fire(REGULATED_CRITICAL)), (1, closed("pagerduty"))], 2)
    (denied,) = [one for one in player.audited if one.event == "closure_denied"]
    assert (denied.by, denied.text) == (
        "pagerduty",
        "resolved in pagerduty: not closed; a person with the role compliance must close it",
    )
    assert "1 note jira" in player.sent
    assert player.state.acknowledged_by == ""


# ── Flapping ────────────────────────────────────────────────────────────────────────────────────────────


def flapping(decision: Decision, period: float, hours: float = 6) -> Sequence[tuple[float, Event]]:
    """It is triggered, and clears halfway, again and again."""
    times = [period * number for number in range(int(hours * 60 / period))]
    return [event for at in times for event in ((at, Fire(decision)), (at + period / 2, Clear()))]


@pytest.mark.parametrize("period", [1, 2, 7, 10, 14])
def test_flapping_monitor_reaches_later_steps(period: float) -> None:
    """Each fire pages the first step, as it would in an incident of its own, and the second is paged as it was due."""
    player = TimelinePlayer().play(flapping(REGULATED_CRITICAL, period), 360)
    second = [line for line in notifications(player) if line.endswith("secondary")]
    assert second[0] == "15 notify secondary"
    assert 360 / (15 + 2 * period) - 1 <= len(second) <= 360 / 15
    assert sum(line.endswith("primary") for line in notifications(player)) == int(360 / period)
    assert len(set(player.keys)) == len(player.keys) - 1, "each page makes a sound; both pagers know the incident's key"


def test_flapping_monitor_is_raised() -> None:
    player = TimelinePlayer().play(flapping(REGULATED, 40), 359)
    assert player.state.tier == "critical"
    assert notifications(player)[:6] == [
        "0 notify jira",
        "0 notify ops",
        "40 notify ops",
        "60 notify primary",
        "75 notify secondary",
        "80 notify primary",
    ]


@pytest.mark.parametrize("first", [0, 5 * MINUTE])
def test_flapping_during_holds_stops_no_step(first: float) -> None:
    """Each later fire clears within its hold and pages nobody; the escalation of the first one goes on."""
    events = [(0, Fire(but(REGULATED_CRITICAL, hold=first or None))), (6, Clear())]
    events += [(8 + at, event) for at, event in flapping(HELD_REGULATED, 4, hours=1)]
    player = TimelinePlayer().play(events, 100)
    begins = int(first / MINUTE)
    assert notifications(player) == ["0 notify jira", f"{begins} notify primary", f"{15 + begins} notify secondary"]


def test_flapping_between_two_rules_reaches_the_later_steps_of_both() -> None:
    other = but(REGULATED_CRITICAL, steps=(Step(notify=(PRIMARY,)), Step(after=25 * MINUTE, notify=(OPS,))))
    events = [
        (10.0 * number, event)
        for number in range(20)
        for event in (Fire(other if number % 2 else REGULATED_CRITICAL), Clear())
    ]
    player = TimelinePlayer().play(events, 200)
    later = [line for line in notifications(player) if line.endswith(("secondary", "ops"))]
    assert later[:2] == ["15 notify secondary", "35 notify ops"]
    assert player.state.decision is not None
    assert len(player.state.decision.steps) <= 4


@pytest.mark.parametrize("quieter", [REGULATED_UNTIMED, but(LOW, regulated=True, closed_by="compliance")])
def test_quieter_alert_lowers_nothing_that_nobody_acknowledged(quieter: Decision) -> None:
    events = [(0, Fire(REGULATED_CRITICAL)), (5, Clear()), (8, Fire(quieter))]
    player = TimelinePlayer().play(events, 100)
    assert notifications(player) == [*PAGED, "8 notify primary", "15 notify secondary"]


def test_timeout_goes_on_under_a_rule_without_one() -> None:
    events = [(0, Fire(REGULATED)), (20, Clear()), (40, Fire(REGULATED_UNTIMED))]
    player = TimelinePlayer().play(events, 70)
    assert notifications(player)[-2:] == ["40 notify ops", "60 notify primary"]


def test_acknowledgement_ends_all_of_it() -> None:
    events = [*flapping(REGULATED_CRITICAL, 10, hours=0.2), (12, act("acknowledge"))]
    assert notifications(TimelinePlayer().play(sorted(events, key=lambda one: one[0]), 360))[-1] == "0 notify primary"
    events = [(0, Fire(REGULATED_CRITICAL)), (5, Clear()), (10, Fire(REGULATED_CRITICAL)), (12, act("acknowledge"))]
    player = TimelinePlayer().play(events, 360)
    assert notifications(player) == [*PAGED, "10 notify primary"]


def test_failed_page_is_retried_although_it_fires_again() -> None:
    """The second step failed for a moment, and waits for its retry when the first step is paged again."""
    player = TimelinePlayer(failing={"secondary"})
    player.play([(0, Fire(REGULATED_CRITICAL)), (14, Clear()), (15.5, Fire(REGULATED_CRITICAL))], 15.6)
    player.failing = ()
    player.play([], 20)
    assert notifications(player)[-2:] == ["15.5 notify primary", "16 notify secondary"]


# ── What is over ────────────────────────────────────────────────────────────────────────────────────────


def test_nobody_is_paged_or_reminded_of_what_is_over() -> None:
    player = TimelinePlayer(hanging={"secondary"}).play([(0, Fire(CRITICAL)), (20, Clear())], 21)
    player.hanging = ()
    player.play([], 22)
    assert notifications(player) == ["0 notify primary"]
    (dropped,) = [one for one in player.audited if one.event == "notifications_dropped"]
    assert dropped.text == "no longer needed, and not sent unless on its way: secondary"


def test_no_reminder_waits_for_what_is_over() -> None:
    player = TimelinePlayer().play([(0, Fire(CRITICAL)), (1, act("acknowledge"))], 2)
    player.hanging = {"primary"}
    player.play([(1000, act("resolve"))], 1001)
    player.hanging = ()
    player.play([], 1002)
    assert [line for line in player.sent if " remind " in line] == []
    assert player.sent[-1] == "1002 resolve primary"


def test_first_notification_of_a_fire_that_is_over_is_sent() -> None:
    """It cleared before any message was sent: somebody must read of it all the same."""
    player = TimelinePlayer(hanging={"primary"}).play([(0, Fire(CRITICAL)), (0.1, Clear())], 1)
    player.hanging = ()
    player.play([], 2)
    assert player.sent == ["2 notify primary", "2 resolve primary"]


def test_ticket_is_opened_although_it_is_over() -> None:
    player = TimelinePlayer(hanging={"jira"}).play([(0, Fire(but(CRITICAL, tickets=(JIRA,)))), (5, Clear())], 6)
    player.hanging = ()
    player.play([], 7)
    assert "7 notify jira" in player.sent
