"""What fires again pages again, in the incident that is open for another reason.

Rows read: minute, verb, destination, as in ``test_escalation.py``.
"""

from datetime import timedelta

import pytest

from alerts import Alert
from alerts.bounded import json_size
from incident.events import GroupedAlert
from incident.limits import STATE_BYTES
from incident.message_builder import build_message
from incident.outbox import KEPT_MESSAGES, KEPT_PAGES
from incident.view import incident_view
from tests.incident.test_escalation import HELD, Row
from tests.incident.timeline_player import (
    CRITICAL,
    HIGH,
    LOW,
    MINUTE,
    PROBLEM,
    REGULATED,
    START,
    Clear,
    Event,
    Fire,
    TimelinePlayer,
    act,
    at_minute,
)

REGULATED_CRITICAL = CRITICAL.model_copy(update={"regulated": True, "closed_by": "compliance"})
ACKNOWLEDGED = ["0 notify primary", "5 acknowledge primary"]
AGAIN = ["40 notify primary", "55 notify secondary"]
ROWS = [
    Row(
        "31 minutes after the last alert of an acknowledged incident",
        [(0, Fire()), (5, act("acknowledge")), (40, Fire())],
        [*ACKNOWLEDGED, *AGAIN],
    ),
    Row(
        "within 30 minutes it is a repeat, and each repeat begins them again",
        [(0, Fire()), (5, act("acknowledge")), (30, Fire()), (59, Fire())],
        ACKNOWLEDGED,
        "acknowledged",
    ),
    Row(
        "the acknowledgement of the second escalation stops it",
        [(0, Fire()), (5, act("acknowledge")), (40, Fire()), (45, act("acknowledge", by="bob"))],
        [*ACKNOWLEDGED, "40 notify primary", "45 acknowledge primary", "45 acknowledge primary"],
        "acknowledged",
    ),
    Row(
        "an acknowledgement from before it fired again does not stop it",
        [
            (0, Fire()),
            (5, act("acknowledge")),
            (40, Fire()),
            (41, act("acknowledge", by="bob", occurred_at=at_minute(39))),
        ],
        [*ACKNOWLEDGED, *AGAIN],
    ),
    Row(
        "a resolution from before it fired again does not close it",
        [(0, Fire()), (5, act("acknowledge")), (40, Fire()), (41, act("resolve", occurred_at=at_minute(39)))],
        [*ACKNOWLEDGED, *AGAIN],
    ),
    Row(
        "it happened 40 minutes later, and both arrive together",
        [(50, Fire(at=0)), (50, act("acknowledge", occurred_at=at_minute(5))), (50.1, Fire(at=45))],
        ["50 notify primary", "50 acknowledge primary", "50.1 notify primary", "65.1 notify secondary"],
    ),
    Row(
        "it arrives late, and happened before the acknowledgement",
        [(0, Fire(at=0)), (20, act("acknowledge")), (60, Fire(at=10))],
        ["0 notify primary", "15 notify secondary", "20 acknowledge primary", "20 acknowledge secondary"],
        "acknowledged",
    ),
    Row(
        "it waited in a spool: the time at which the gateway received it counts",
        [(0, Fire(received=0)), (20, act("acknowledge")), (60, Fire(received=10)), (61, Fire(received=40))],
        ["0 notify primary", "15 notify secondary", "20 acknowledge primary", "20 acknowledge secondary"],
        "acknowledged",
    ),
    Row(
        "it waited in a spool, and was received 31 minutes after the last one",
        [(0, Fire(received=0)), (5, act("acknowledge")), (40, Fire(received=31))],
        [*ACKNOWLEDGED, *AGAIN],
    ),
    Row(
        "its sender states a constant time, and it waited in a spool",
        [(0, Fire(at=-60, received=0)), (5, act("acknowledge")), (40, Fire(at=-60, received=1))],
        ACKNOWLEDGED,
        "acknowledged",
    ),
    Row(
        "its sender states a constant time: the time of arrival counts",
        [(0, Fire(at=-60)), (5, act("acknowledge")), (40, Fire(at=-60))],
        [*ACKNOWLEDGED, *AGAIN],
    ),
    Row(
        "a silence lasts as long as it was asked for, and then it pages",
        [(0, Fire()), (5, act("silence", silence_seconds=60 * MINUTE)), (40, Fire())],
        [*ACKNOWLEDGED, "65 notify primary", "80 notify secondary"],
    ),
    Row(
        "a quieter alert pages again: what is acknowledged has not cleared",
        [(0, Fire()), (5, act("acknowledge")), (40, Fire(HIGH))],
        [*ACKNOWLEDGED, *AGAIN],
    ),
    Row(
        "the hold counts again, and an acknowledgement ends it",
        [(0, Fire(HELD)), (6, act("acknowledge")), (40, Fire(HELD)), (42, act("acknowledge"))],
        ["5 notify primary", "6 acknowledge primary", "42 acknowledge primary"],
        "acknowledged",
    ),
    Row(
        "after the hold it pages",
        [(0, Fire(HELD)), (6, act("acknowledge")), (40, Fire(HELD))],
        ["5 notify primary", "6 acknowledge primary", "45 notify primary", "60 notify secondary"],
    ),
    Row(
        "a regulated incident that waits for a person pages at once when it fires after a clear",
        [(0, Fire(REGULATED_CRITICAL)), (5, act("acknowledge")), (10, Clear()), (11, Fire(REGULATED_CRITICAL))],
        [*ACKNOWLEDGED, "11 notify primary", "26 notify secondary"],
    ),
    Row(
        "a regulated incident whose closing was denied pages after 31 minutes",
        [(0, Fire(REGULATED_CRITICAL)), (5, act("resolve", role="responder")), (40, Fire(REGULATED_CRITICAL))],
        [*ACKNOWLEDGED, *AGAIN],
    ),
    Row(
        "after a clear the quieter rule decides by itself, and a louder alert pages again",
        [
            (0, Fire(REGULATED_CRITICAL)),
            (5, act("acknowledge")),
            (10, Clear()),
            (11, Fire(HIGH)),
            (12, Fire(REGULATED_CRITICAL)),
        ],
        [*ACKNOWLEDGED, "11 notify ops", "12 notify primary", "27 note ops", "27 notify secondary"],
    ),
    Row(
        "a digest is a digest",
        [(0, Fire(LOW)), (5, act("acknowledge")), (40, Fire(LOW))],
        ["0 notify ops", "40 notify ops"],
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_fires_again(row: Row) -> None:
    player = TimelinePlayer().play(row.events, row.until)
    assert player.sent == list(row.sent)
    assert player.state.state == row.state


def test_long_after_its_last_alert_it_pages_again_whether_or_not_anybody_answered(tracks_problems: bool) -> None:
    """Arize sends edges only. Incidents of earlier versions leave it to the escalation that is over."""
    sent = TimelinePlayer().play([(0, Fire()), (40, Fire())], 120).sent
    assert sent == ["0 notify primary", "15 notify secondary", *(AGAIN if tracks_problems else [])]


def test_second_page_has_its_own_keys() -> None:
    """PagerDuty folds a trigger with the key of an acknowledged incident into it, without a sound."""
    player = TimelinePlayer().play([(0, Fire()), (5, act("acknowledge")), (40, Fire())], 41)
    first, second = player.keys
    assert first != second
    assert len({one.key for one in player.state.receipts}) == 2


def test_every_text_says_fires_again() -> None:
    player = TimelinePlayer().play([(0, Fire(HIGH)), (5, act("acknowledge")), (40, Fire(HIGH))], 39)
    player.play([(40, Fire(HIGH))], 40)
    refired = next(one for one in player.state.timeline if one.event == "refired")
    assert refired.text == "fires again 40m after its last alert"
    assert player.state.acknowledged_by == ""
    view, message = incident_view(player.state, None), build_message(player.state)
    assert view.refire_count == 1
    assert [fact.value for fact in message.facts if fact.label == "Fired again"] == ["1 time"]


def test_page_of_a_refire_says_why_it_comes() -> None:
    player = TimelinePlayer().play([(0, Fire()), (5, act("acknowledge"))], 39)
    player.hanging = ["primary"]
    (page,) = player.play([(40, Fire())], 40).state.pending
    assert (page.target.name, page.note) == ("primary", "Fires again 40m after its last alert.")


def test_regulated_refire_keeps_closing_role() -> None:
    """The alert that fires again does not name the model: the closing role and the ticket stay."""
    events = [(0, Fire(REGULATED)), (5, act("acknowledge")), (10, Clear()), (11, Fire(CRITICAL)), (12, Clear())]
    player = TimelinePlayer().play(events, 13)
    assert player.state.decision is not None
    assert (player.state.decision.regulated, player.state.decision.closed_by) == (True, "compliance")
    assert player.state.state == "awaiting_human"
    assert "11 notify primary" in player.sent
    assert player.sent.count("0 notify jira") == 1
    assert "11 note jira" in player.sent, "the ticket says that it fires again"


def test_incident_that_fires_for_weeks_stays_small() -> None:
    """A regulated one waits for its officer, while its monitor flaps each hour."""
    player = TimelinePlayer()
    events: list[tuple[float, Event]] = []
    for hour in range(24 * 21):
        events += [(60 * hour, Fire(REGULATED_CRITICAL)), (60 * hour + 5, act("acknowledge")), (60 * hour + 9, Clear())]
    player.play(events, until=60 * 24 * 21)
    pages = [line for line in player.sent if line.endswith("notify primary")]
    assert (player.state.refire_count, len(pages), len(set(player.keys))) == (503, 504, 504)
    assert len(player.state.receipts) <= KEPT_PAGES + KEPT_MESSAGES
    assert json_size(player.state) < STATE_BYTES // 4
    updates = [line for line in player.sent if " acknowledge primary" in line]
    assert len(updates) <= len(pages) * KEPT_MESSAGES
    player.play([(60 * 24 * 21 + 1, act("resolve", by="Carol", role="compliance"))], until=60 * 24 * 21 + 2)
    assert player.sent[-KEPT_PAGES:] == [f"{60 * 24 * 21 + 1} resolve primary"] * KEPT_PAGES


def test_pager_that_answers_nothing_leaves_the_incident_small() -> None:
    """Three weeks of acknowledgements wait for it: each message gets the last one."""
    player = TimelinePlayer()
    player.play([(0, Fire(REGULATED_CRITICAL)), (5, act("acknowledge")), (9, Clear())], until=10)
    player.hanging = {"primary"}
    events: list[tuple[float, Event]] = []
    for hour in range(1, 24 * 21):
        events += [(60 * hour, Fire(REGULATED_CRITICAL)), (60 * hour + 5, act("acknowledge", by=f"bob-{hour}"))]
        events += [(60 * hour + 9, Clear())]
    player.play(events, until=60 * 24 * 21)
    updates = [one.note for one in player.state.pending if one.verb == "acknowledge"]
    assert updates == ["Acknowledged by bob-1", "Acknowledged by bob-503"]


def arrived(first: float, last: float | None = None) -> GroupedAlert:
    """Repeats that a gateway received from the first minute to the last."""
    alert = Alert(monitor="error rate", monitor_id="m-1", metric="error_rate", value=0.31)
    at, last_at = at_minute(first), at_minute(last)
    return GroupedAlert(alert=alert, problem=PROBLEM, received_at=at, last_received_at=last_at)


@pytest.mark.parametrize(
    ("batch", "again"),
    [
        ([arrived(10), arrived(20), arrived(30), arrived(40)], 0),
        ([arrived(10, 40)], 0),
        ([arrived(10), arrived(20), arrived(51)], 1),
        ([arrived(10, 20), arrived(51)], 1),
    ],
)
def test_alerts_that_waited_together_count_from_each_other(batch: list[GroupedAlert], again: int) -> None:
    player = TimelinePlayer().play([(0, Fire(received=0)), (5, act("acknowledge"))], 5)
    player.machine.add_alerts(batch, CRITICAL, START + timedelta(minutes=52))
    assert player.state.refire_count == again


def test_alert_that_another_gateway_kept_is_not_the_last_one() -> None:
    player = TimelinePlayer().play([(0, Fire(received=0)), (5, act("acknowledge"))], 5)
    for minute, received in ((25, 25), (45, 45), (46, 10), (50, 50)):
        player.machine.add_alerts([arrived(received)], CRITICAL, START + timedelta(minutes=minute))
    assert player.state.refire_count == 0


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([(1, act("acknowledge")), (40, Fire(repeated=True))], "acknowledged"),
        ([(1, Clear()), (2, Fire(repeated=True))], "resolved"),
        ([(1, act("resolve")), (2, Fire(repeated=True))], "resolved"),
    ],
    ids=["long after an acknowledgement", "after a clear", "after a person resolved it"],
)
def test_redelivery_is_no_fire(events: list[tuple[float, Event]], state: str) -> None:
    player = TimelinePlayer().play([(0, Fire()), *events], 60)
    assert [line for line in player.sent if "notify" in line] == ["0 notify primary"]
    assert player.state.state == state


def test_redelivery_leaves_a_regulated_incident_to_its_person() -> None:
    events: list[tuple[float, Event]] = [(0, Fire(REGULATED_CRITICAL)), (1, act("acknowledge")), (2, Clear())]
    player = TimelinePlayer().play([*events, (50, Fire(REGULATED_CRITICAL, repeated=True))], 60)
    assert (player.state.state, player.state.cleared) == ("awaiting_human", True)
    assert player.state.acknowledged_by == "alice"
    assert "older_alert" in player.events
    both = [Fire(REGULATED_CRITICAL, repeated=True), Fire(REGULATED_CRITICAL)]
    assert player.play([(61, one) for one in both], 62).sent[-1] == "61 notify primary"


@pytest.mark.parametrize(
    ("acknowledged", "sent"),
    [
        (True, ["0 notify ops", "5 acknowledge ops", "10 refresh ops", "10 notify ops"]),
        (False, ["0 notify ops", "10 refresh ops"]),
    ],
)
def test_trigger_after_no_data_is_another_fire(acknowledged: bool, sent: list[str]) -> None:
    """Who looks for missing data does not know that the metric is bad."""
    answer: list[tuple[float, Event]] = [(5, act("acknowledge"))] if acknowledged else []
    player = TimelinePlayer().play([(0, Fire(HIGH, status="no_data")), *answer, (10, Fire(HIGH, value=0.9))], 11)
    assert [line for line in player.sent if "note" not in line] == sent
    assert player.state.alert is not None
    assert (player.state.alert.status, player.state.alert.value) == ("triggered", 0.9)
    assert player.play([(12, Fire(HIGH, value=0.9))], 13).state.refire_count == acknowledged


def test_silence_for_missing_data_is_none_for_a_trigger() -> None:
    silence = act("silence", silence_seconds=86_400)
    player = TimelinePlayer().play([(0, Fire(status="no_data")), (1, silence), (10, Fire(value=0.9))], 11)
    assert player.sent[-1] == "10 notify primary"


def test_no_data_after_a_clear_is_decided_about() -> None:
    player = TimelinePlayer().play([(0, Fire(REGULATED_CRITICAL))], 1)
    without_data = arrived(2)
    assert not player.machine.takes_no_data(without_data)
    player.play([(2, Clear())], 3)
    assert player.state.state == "awaiting_human"
    assert player.machine.takes_no_data(without_data)
    assert player.play([(4, Fire(REGULATED_CRITICAL, status="no_data"))], 5).sent[-1] == "4 notify primary"
