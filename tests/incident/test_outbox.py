"""What keeps an incident from notifying somebody, and what it keeps of the messages that it sent."""

from alerts.bounded import json_size
from incident.limits import STATE_BYTES
from tests.incident.test_refire import REGULATED_CRITICAL
from tests.incident.timeline_player import (
    CRITICAL,
    HIGH,
    MINUTE,
    REGULATED,
    Clear,
    Event,
    Fire,
    TimelinePlayer,
    act,
)

DAY = 24 * 60
QUIET_HIGH = HIGH.model_copy(update={"respond_within": None, "on_ack_timeout": None})


def test_destination_that_is_its_own_fallback_is_retried() -> None:
    """Its token is revoked: nobody else is there to be notified."""
    decision = QUIET_HIGH.model_copy(update={"fallback": HIGH.steps[0].notify})
    player = TimelinePlayer(failing={"ops"}, permanent=True).play([(0, Fire(decision))], 10)
    player.failing = ()
    player.play([], 12)
    assert player.sent[-1].endswith("notify ops")
    assert player.sent.count("0 FAILED ops") == 1


def test_other_fallback_is_notified_although_one_is_the_destination_itself() -> None:
    decision = CRITICAL.model_copy(update={"fallback": (*CRITICAL.steps[0].notify, *HIGH.steps[0].notify)})
    player = TimelinePlayer(failing={"primary"}, permanent=True).play([(0, Fire(decision))], 10)
    assert player.sent == ["0 FAILED primary", "0 notify ops"]


def test_reminders_for_a_dead_pager_stay_few() -> None:
    """The last one rings when the pager works again, and none of those before."""
    player = TimelinePlayer()
    decision = CRITICAL.model_copy(update={"remind": 5 * MINUTE})
    player.play([(0, Fire(decision)), (1, act("acknowledge"))], 2)
    player.hanging = {"primary"}
    player.play([], 7 * DAY)
    reminders = [one for one in player.state.pending if one.verb == "remind"]
    assert [one.key.rpartition(":")[2] for one in reminders] == ["remind-1-primary", "remind-2015-primary"]
    assert json_size(player.state) < STATE_BYTES // 4


def test_every_page_is_resolved_at_the_pager() -> None:
    """Four days of reminders, and thirty fires: none of them stays open there."""
    events: list[tuple[float, Event]] = []
    for hour in range(30):
        events += [(60 * hour, Fire(REGULATED_CRITICAL)), (60 * hour + 5, act("acknowledge")), (60 * hour + 9, Clear())]
    player = TimelinePlayer().play(events, 5 * DAY)
    paged = {one.id for one in player.state.receipts if one.type == "pagerduty"}
    assert len(paged) > 50
    assert set(player.keys) <= paged
    player.play([(5 * DAY + 1, act("resolve", by="Carol", role="compliance"))], 5 * DAY + 2)
    assert player.sent.count(f"{5 * DAY + 1} resolve primary") == len(paged)


def test_notes_for_a_dead_ticket_keep_nothing_from_a_live_channel() -> None:
    decision = REGULATED.model_copy(update={"respond_within": None, "on_ack_timeout": None})
    player = TimelinePlayer().play([(0, Fire(decision)), (1, act("acknowledge"))], 1)
    player.hanging = {"jira"}
    notes: list[tuple[float, Event]] = [
        (2 + number / 100, act("annotate", note=f"{number} " + "x" * 2000, id=f"n-{number}")) for number in range(150)
    ]
    player.play([*notes, (40, Fire(decision))], 41)
    assert sum(" note ops" in line for line in player.sent) >= 150
    assert "40 refresh ops" in player.sent
    assert json_size(player.state) < STATE_BYTES // 4
