"""What keeps an incident quiet: maintenance windows and flapping.

Rows read: minute, verb, destination, as in ``test_problems.py``.
"""

import pytest

from incident.suppression import in_maintenance
from incident.view import incident_view
from policy import Decision
from policy.decision import Flapping, MaintenanceSpan
from tests.incident.test_escalation import HELD
from tests.incident.test_problems import ACK, A, B, Row
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
    at_minute,
)


def during(decision: Decision, *spans: tuple[float, float]) -> Decision:
    """The decision with maintenance windows, in minutes."""
    windows = [
        MaintenanceSpan(since=at_minute(since) or START, until=at_minute(until) or START, reason="re-index")
        for since, until in spans
    ]
    return decision.model_copy(update={"maintenance": tuple(windows)})


def flapping(decision: Decision, changes: int = 4) -> Decision:
    return decision.model_copy(
        update={"flapping": Flapping(changes=changes, within=60 * MINUTE, until_stable=30 * MINUTE)}
    )


WINDOW = during(CRITICAL, (-10, 60))
MAINTENANCE = [
    Row("what is triggered in it waits", [(0, Fire(WINDOW))], [], "suppressed", until=59),
    Row("what still is when it ends is notified then, once", [(0, Fire(WINDOW)), (20, Fire(WINDOW))],
        ["60 notify primary", "75 notify secondary"]),
    Row("what clears before notifies nobody", [(0, Fire(WINDOW)), (50, Clear())], [], "resolved"),
    Row("what began before it has been paged, and its next step waits",
        [(0, Fire(during(CRITICAL, (5, 60))))], ["0 notify primary", "60 notify secondary"]),
    Row("its resolution is sent at once",
        [(0, Fire(during(CRITICAL, (5, 60)))), (20, Clear())], ["0 notify primary", "20 resolve primary"], "resolved"),
    Row("windows that overlap are one",
        [(0, Fire(during(CRITICAL, (-10, 30), (20, 45), (45, 60))))], ["60 notify primary", "75 notify secondary"]),
    Row("a hold goes on in it, and the later end counts",
        [(58, Fire(during(HELD, (0, 60)))), (70, ACK)], ["63 notify primary"], "acknowledged"),
    Row("a window that begins during the hold counts, too",
        [(0, Fire(during(HELD, (3, 60)))), (70, ACK)], ["60 notify primary"], "acknowledged"),
    Row("a regulated incident's ticket is opened all the same",
        [(0, Fire(during(REGULATED, (-10, 60))))], ["0 notify jira"], "suppressed", until=59),
    Row("another monitor of the incident is not in it",
        [(0, Fire(WINDOW, problem=A)), (5, Fire(HIGH, problem=B)), (6, ACK), (10, Clear(problem=A))],
        ["5 notify ops"], "acknowledged"),
    Row("one that fires again in it waits",
        [(0, Fire(during(CRITICAL, (10, 60)), problem=A)), (1, Fire(problem=B)), (2, ACK), (3, Clear(problem=A)),
         (20, Fire(during(CRITICAL, (10, 60)), problem=A)), (70, ACK)],
        ["0 notify primary", "60 notify primary"], "acknowledged"),
    Row("a louder alert in it waits, too",
        [(0, Fire(during(HIGH, (5, 60)))), (10, Fire(during(CRITICAL, (5, 60)))), (61, ACK)],
        ["0 notify ops", "60 notify primary"], "acknowledged"),
]  # fmt: skip
_CRITICAL, _HIGH, _HELD = flapping(CRITICAL), flapping(HIGH), flapping(HELD)


def flaps(decision: Decision, times: int, every: float = 4, problem: str = A) -> list[tuple[float, Event]]:
    """Triggered and cleared again and again; B keeps the incident open."""
    events: list[tuple[float, Event]] = []
    for number in range(times):
        events.append((1 + number * every, Fire(decision, problem=problem)))
        events.append((3 + number * every, Clear(problem=problem)))
    return events


OPEN: list[tuple[float, Event]] = [(0, Fire(_HIGH, problem=B)), (0, ACK)]
FLAPPING = [
    Row("after the fourth change nothing more is sent",
        [*OPEN, *flaps(_HIGH, 8), (40, ACK)], ["0 notify ops", "5 notify ops"], "acknowledged"),
    Row("what is cleared when it has been stable for long enough is over",
        [*OPEN, *flaps(_HIGH, 8), (40, ACK), (50, Clear(problem=B))],
        ["0 notify ops", "5 notify ops", "61 resolve ops", "61 resolve ops"], "resolved"),
    Row("what is triggered by then pages again, if the flapping was acknowledged",
        [*OPEN, *flaps(_HIGH, 4), (17, Fire(_HIGH, problem=A)), (18, ACK), (60, ACK)],
        ["0 notify ops", "5 notify ops", "47 notify ops"], "acknowledged"),
    Row("otherwise its escalation has gone on",
        [(0, Fire(_CRITICAL, problem=B)), *flaps(_CRITICAL, 4), (17, Fire(_CRITICAL, problem=A))],
        ["0 notify primary", "5 notify primary", "15 notify secondary"], until=80),
    Row("a louder alert pages while it flaps",
        [*OPEN, *flaps(_HIGH, 4), (17, Fire(_CRITICAL, problem=A)), (18, ACK)],
        ["0 notify ops", "5 notify ops", "17 notify primary"], "acknowledged", until=20),
    Row("what its hold keeps quiet does not flap",
        [*OPEN, *flaps(_HELD, 8), (40, ACK)], ["0 notify ops"], "acknowledged"),
    Row("slow changes are no flapping",
        [*OPEN, *flaps(_HIGH, 3, every=40), (90, ACK)],
        ["0 notify ops", "41 notify ops", "81 notify ops"], "acknowledged", until=140),
    Row("a person may resolve it",
        [(0, Fire(_HIGH, problem=A)), (1, ACK), (2, Fire(LOW, problem=B)), (3, Clear(problem=A)),
         (4, Fire(_HIGH, problem=A)), (5, Clear(problem=A)), (6, Clear(problem=B))],
        ["0 notify ops", "4 notify ops", "35 resolve ops", "35 resolve ops"], "resolved"),
]  # fmt: skip


@pytest.mark.parametrize("row", [*MAINTENANCE, *FLAPPING], ids=lambda row: row.name)
def test_quiet(row: Row, tracks_problems: bool) -> None:
    if not tracks_problems:
        pytest.skip("incidents of earlier versions know neither")
    player = TimelinePlayer().play(row.events, row.until)
    shown = [line for line in player.sent if line.split()[1] in {"notify", "remind", "resolve"}]
    assert shown == row.sent
    assert player.state.state == row.state


def test_api_says_why_nobody_is_notified(tracks_problems: bool) -> None:
    if not tracks_problems:
        pytest.skip("incidents of earlier versions know no maintenance")
    player = TimelinePlayer().play([(0, Fire(WINDOW))], 1)
    view = incident_view(player.state, player.machine.next_deadline())
    assert view.state == "suppressed"
    assert view.problems[0].suppressed == "re-index (maintenance, until 2026-11-24 04:00:00 UTC)"
    assert (
        view.next_action == "Notify if it is still triggered, after maintenance: re-index, at 2026-11-24 04:00:00 UTC"
    )
    assert [entry.text for entry in player.state.timeline if entry.event == "suppressed"] == [
        "error rate: in maintenance for 1h: re-index"
    ]


def test_flapping_is_counted_and_shown(tracks_problems: bool) -> None:
    if not tracks_problems:
        pytest.skip("incidents of earlier versions know no flapping")
    player = TimelinePlayer().play([*OPEN, *flaps(_HIGH, 2)], 8)
    assert [entry.text for entry in player.state.timeline if entry.event == "flapping"] == [
        f"{A} is flapping: 4 changes in 6m"
    ]
    assert [one.flapping for one in incident_view(player.state, None).problems] == [False, True]
    player.play([], 40)
    assert [entry.text for entry in player.state.timeline if entry.event == "flapping_ended"] == [
        f"{A} is cleared, and flaps no more"
    ]


@pytest.mark.parametrize(
    ("minute", "until"), [(-1, None), (0, 30), (29, 30), (30, None), (40, 70), (59, 70), (65, 70), (70, None)]
)
def test_windows_at_their_ends(minute: float, until: float | None) -> None:
    spans = during(CRITICAL, (0, 30), (40, 60), (50, 70)).maintenance
    found = in_maintenance(spans, at_minute(minute) or START)
    assert (found and found.until) == at_minute(until)
