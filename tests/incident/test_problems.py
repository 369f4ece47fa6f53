"""Several monitors in one incident: what joins a fire, what pages again, and what is over.

Rows read: minute, verb, destination, as in ``test_escalation.py``. A and B are problems of one incident.
"""

from dataclasses import dataclass

import pytest

from incident.message_builder import build_message
from incident.view import incident_view
from policy import Step, Target
from tests.incident.test_escalation import HELD
from tests.incident.timeline_player import (
    HIGH,
    JIRA,
    LOW,
    MINUTE,
    REGULATED,
    START,
    Clear,
    Event,
    Fire,
    TimelinePlayer,
    act,
)

LEGAL = Target(name="legal", type="slack", kind="post")
LEGAL_HIGH = HIGH.model_copy(update={"rule": "legal", "steps": (Step(notify=(LEGAL,)),)})
A, B, C = "monitor-a", "monitor-b", "monitor-c"
ACK = act("acknowledge")


@dataclass(frozen=True)
class Row:
    """What happens by the minute, and what is sent: notifications and resolutions only."""

    name: str
    events: list[tuple[float, Event]]
    sent: list[str]
    state: str = "notified"
    until: float = 120


ROWS = [
    Row(
        "a second one within the group window is the same fire",
        [(0, Fire(problem=A)), (10, Fire(problem=B))],
        ["0 notify primary", "15 notify secondary"],
    ),
    Row(
        "one that begins later than that after the last page pages again",
        [(0, Fire(problem=A)), (1, ACK), (16, Fire(problem=B)), (17, ACK)],
        ["0 notify primary", "16 notify primary"],
        "acknowledged",
    ),
    Row(
        "the last page counts, and not the first",
        [(0, Fire(problem=A)), (25, Fire(problem=B))],
        ["0 notify primary", "15 notify secondary"],
    ),
    Row(
        "a louder one pages",
        [(0, Fire(HIGH, problem=A)), (5, Fire(problem=B))],
        ["0 notify ops", "5 notify primary", "20 notify secondary"],
    ),
    Row(
        "a quieter one is an update",
        [(0, Fire(problem=A)), (1, ACK), (5, Fire(LOW, problem=B))],
        ["0 notify primary", "5 notify ops"],  # the digest
        "acknowledged",
    ),
    Row(
        "who must know and does not yet is notified once",
        [(0, Fire(problem=A)), (1, ACK), (5, Fire(LEGAL_HIGH, problem=B)), (6, Fire(LEGAL_HIGH, problem=C))],
        ["0 notify primary", "5 notify legal"],
        "acknowledged",
    ),
    Row(
        "a quieter one that begins later pages its own people, and the louder escalation goes on",
        [(0, Fire(problem=A)), (40, Fire(HIGH, problem=B))],
        ["0 notify primary", "15 notify secondary", "40 notify ops"],
    ),
    Row(
        "it resolves when all are clear",
        [(0, Fire(problem=A)), (1, Fire(problem=B)), (2, Clear(problem=A)), (5, Clear(problem=B))],
        ["0 notify primary", "5 resolve primary"],
        "resolved",
    ),
    Row(
        "the escalation goes on for the one that is left, if that is as loud",
        [(0, Fire(problem=A)), (1, Fire(problem=B)), (2, Clear(problem=A))],
        ["0 notify primary", "15 notify secondary"],
    ),
    Row(
        "it stops if what is left is quieter",
        [(0, Fire(problem=A)), (1, Fire(LOW, problem=B)), (2, Clear(problem=A))],
        ["0 notify primary", "1 notify ops"],
    ),
    Row(
        "what is left has its own time to be answered",
        [(0, Fire(problem=A)), (1, Fire(HIGH, problem=B)), (2, Clear(problem=A))],
        ["0 notify primary", "1 notify ops", "61 notify primary", "76 notify secondary"],
        until=80,
    ),
    Row(
        "one that fires again pages again, acknowledged or not",
        [(0, Fire(problem=A)), (1, Fire(problem=B)), (2, ACK), (3, Clear(problem=A)), (8, Fire(problem=A)), (9, ACK)],
        ["0 notify primary", "8 notify primary"],
        "acknowledged",
    ),
    Row(
        "a quieter one that fires again does not page for the louder one",
        [
            (0, Fire(problem=A)),
            (1, Fire(HIGH, problem=B)),
            (2, ACK),
            (3, Clear(problem=B)),
            (8, Fire(HIGH, problem=B)),
            (9, ACK),
        ],
        ["0 notify primary", "1 notify ops", "8 notify ops"],
        "acknowledged",
    ),
    Row(
        "a clear of what was never triggered here changes nothing",
        [(0, Fire(problem=A)), (1, Clear(problem=B))],
        ["0 notify primary", "15 notify secondary"],
    ),
    Row(
        "nor does a trigger from before it",
        [(0, Fire(problem=A)), (9, Clear(problem=B, at=8)), (10, Fire(problem=B, at=7)), (11, Clear(problem=A))],
        ["0 notify primary", "11 resolve primary"],
        "resolved",
    ),
    Row(
        "each has its own order",
        [
            (0, Fire(problem=A, at=0)),
            (1, Fire(problem=B, at=-9)),
            (2, Clear(problem=B, at=-8)),
            (3, Clear(problem=A, at=2)),
        ],
        ["0 notify primary", "3 resolve primary"],
        "resolved",
    ),
    Row(
        "each has its own hold",
        [(0, Fire(HELD, problem=A)), (3, Fire(HELD, problem=B)), (4, Clear(problem=A)), (9, ACK)],
        ["8 notify primary"],
        "acknowledged",
    ),
    Row(
        "one without a hold does not wait for that of another",
        [(0, Fire(HELD, problem=A)), (1, Fire(HIGH, problem=B)), (4, Clear(problem=A)), (5, ACK)],
        ["1 notify ops"],
        "acknowledged",
    ),
    Row(
        "what clears during its hold notifies nobody",
        [(0, Fire(HELD, problem=A)), (1, Fire(HELD, problem=B)), (2, Clear(problem=A)), (3, Clear(problem=B))],
        [],
        "resolved",
    ),
    Row(
        "a hold that ends within the group window joins the fire",
        [(0, Fire(problem=A)), (1, ACK), (5, Fire(HELD, problem=B))],
        ["0 notify primary"],
        "acknowledged",
    ),
    Row(
        "one regulated problem makes the whole incident one that a person closes",
        [(0, Fire(problem=A)), (1, Fire(REGULATED, problem=B)), (2, Clear(problem=A)), (3, Clear(problem=B)), (4, ACK)],
        ["0 notify primary", "1 notify jira", "1 notify ops"],
        "awaiting_human",
    ),
    Row(
        "a new problem of an incident that waits for its person pages",
        [(0, Fire(REGULATED, problem=A)), (1, ACK), (2, Clear(problem=A)), (30, Fire(problem=B)), (31, ACK)],
        ["0 notify jira", "0 notify ops", "30 notify primary"],
        "acknowledged",
    ),
    Row(
        "a person resolves all of it",
        [(0, Fire(problem=A)), (1, Fire(problem=B)), (2, act("resolve"))],
        ["0 notify primary", "2 resolve primary"],
        "resolved",
    ),
    Row(
        "what fires before the last updates are sent opens it again with that problem alone",
        [(0, Fire(problem=A)), (1, Fire(problem=B)), (2, act("resolve")), (3, Fire(problem=B)), (4, Clear(problem=B))],
        ["0 notify primary", "2 resolve primary", "3 notify primary", "4 resolve primary"],
        "resolved",
    ),
    Row(
        "reminders go on for what has them, whatever was acknowledged last",
        [(0, Fire(problem=A)), (1, ACK), (30, Fire(HIGH, problem=B)), (31, ACK)],
        ["0 notify primary", "30 notify ops", "271 remind primary"],
        "acknowledged",
        until=300,
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_problems(row: Row, tracks_problems: bool) -> None:
    if not tracks_problems:
        pytest.skip("incidents of earlier versions have one problem")
    player = TimelinePlayer().play(row.events, row.until)
    shown = [line for line in player.sent if line.split()[1] in {"notify", "remind", "resolve"}]
    assert shown == row.sent
    assert player.state.state == row.state


@pytest.fixture
def two(tracks_problems: bool) -> TimelinePlayer:
    if not tracks_problems:
        pytest.skip("incidents of earlier versions have one problem")
    return TimelinePlayer().play([(0, Fire(HIGH, problem=A)), (1, Fire(problem=B)), (2, Clear(problem=A))], 3)


def test_api_lists_each_problem(two: TimelinePlayer) -> None:
    view = incident_view(two.state, None)
    assert [(one.monitor, one.monitor_id, one.status, one.tier, one.rule) for one in view.problems] == [
        (A, A, "cleared", "high", "quality"),
        (B, B, "triggered", "critical", "errors"),
    ]
    assert (view.tier, view.rule, view.alert_count) == ("critical", "errors", 2)


def test_message_names_what_is_triggered_and_what_cleared(two: TimelinePlayer) -> None:
    content = build_message(two.state)
    facts = {fact.label: fact.value for fact in content.facts}
    assert facts["Triggered"] == f"{B} (critical, 31 %)"
    assert facts["Cleared"] == A
    two.play([(4, Fire(HIGH, problem=C))], 5)
    assert "+1 more problem" in build_message(two.state).headline


def test_updates_of_many_problems_are_few(tracks_problems: bool) -> None:
    if not tracks_problems:
        pytest.skip("incidents of earlier versions have one problem")
    player = TimelinePlayer().play([(0, Fire(HIGH, problem=A))], 0)
    player.play([(1, Fire(HIGH, problem=f"monitor-{number}")) for number in range(500)], 2)
    assert sum("note ops" in line for line in player.sent) < 15
    assert sum("notify" in line for line in player.sent) == 1
    assert len(player.state.problems) == 501
    player.play([(3, Clear(problem=name)) for name in list(player.state.problems)], 4)
    assert player.state.state == "resolved"


def test_jira_is_opened_once_for_all(tracks_problems: bool) -> None:
    if not tracks_problems:
        pytest.skip("incidents of earlier versions have one problem")
    ticketed = HIGH.model_copy(update={"tickets": (JIRA,)})
    player = TimelinePlayer().play([(0, Fire(ticketed, problem=A)), (20, Fire(ticketed, problem=B))], 21)
    assert [line for line in player.sent if line.endswith("notify jira")] == ["0 notify jira"]
    assert player.state.notified_at is not None
    assert (player.state.notified_at - START).total_seconds() == 20 * MINUTE
