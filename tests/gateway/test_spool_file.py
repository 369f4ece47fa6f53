"""The spool's file: the order of its queues, its limit, and what survives a restart."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts import Alert
from alerts.bounded import json_size
from gateway.ingest.spool import Spool, SpoolError
from gateway.ingest.starter import MAX_GROUPS
from gateway.ingest.submission import Submission, group_repeats, split_batch
from incident.events import AlertBatch
from incident.limits import MESSAGE_BYTES
from tests.gateway.spool_harness import item


async def contents(spool: Spool, queue: str) -> list[object]:
    return [json.loads(stored.content) for stored in await spool.first(queue, 100)]


# ── The file ────────────────────────────────────────────────────────────────────────────────────────────


async def test_queues_keep_their_order_across_restarts(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    await asyncio.gather(*(spool.put([item("b" if number % 3 else "a", number)]) for number in range(30)))
    spool.close()
    reopened = Spool(tmp_path / "spool.db")
    assert await contents(reopened, "a") == list(range(0, 30, 3))
    assert await contents(reopened, "b") == [number for number in range(30) if number % 3]
    assert reopened.depth.items == 30
    assert reopened.depth.oldest is not None
    assert await reopened.queues(10) == ["a", "b"]
    await reopened.remove("a", await reopened.first("a", 100))
    assert not reopened.holds("a")
    assert await reopened.queues(10) == ["b"]
    await reopened.remove("b", await reopened.first("b", 100))
    assert (reopened.depth.items, reopened.depth.bytes, reopened.depth.oldest) == (0, 0, None)


async def test_depth_gives_the_age_of_the_oldest_item(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    assert spool.depth.age == 0
    await spool.put([item("a")])
    await asyncio.sleep(0.02)
    await spool.put([item("b")])
    assert spool.depth.age >= 0.02
    await spool.remove("a", await spool.first("a", 1))
    assert spool.depth.age < 0.02 or spool.depth.oldest is not None


async def test_full_spool_refuses_items_and_drops_none(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", limit=2_000)
    for number in range(7):
        await spool.put([item("a", number)])
    with pytest.raises(SpoolError, match=r"the spool is full: 1,757 of 2,000 bytes"):
        await spool.put([item("a", 7)])
    assert await contents(spool, "a") == list(range(7))
    await spool.remove("a", await spool.first("a", 1))
    await spool.put([item("a", 8)])


async def test_two_gateways_cannot_share_a_spool(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    with pytest.raises(SpoolError, match="give each gateway a TOCSIN_STATE_DIR of its own"):
        Spool(tmp_path / "spool.db")
    spool.close()
    Spool(tmp_path / "spool.db").close()


async def test_closed_spool_is_opened_again_by_use(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    await spool.put([item("a", 1)])
    spool.close()
    await spool.put([item("a", 2)])
    assert await contents(spool, "a") == [1, 2]
    assert spool.depth.items == 2
    with pytest.raises(SpoolError, match="another gateway has the spool"):
        Spool(tmp_path / "spool.db")
    spool.close()


async def test_alert_keeps_the_time_of_its_arrival() -> None:
    received = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    alert = Alert(monitor="error rate", monitor_id="m-1", metric="error_rate", value=0.31)
    restored = Submission.from_spool(Submission(alert, received_at=received).to_spool())
    assert [group.received_at for group in group_repeats([restored])] == [received]


@pytest.mark.parametrize(("minutes", "groups"), [([0, 10, 20, 50], [(0, 50)]), ([0, 31], [(0,), (31,)])])
async def test_group_hides_no_long_gap(minutes: list[int], groups: list[tuple[int, ...]]) -> None:
    """The incident decides by the gap whether an alert fires again."""
    begin = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    alert = Alert(monitor="error rate", monitor_id="m-1", metric="error_rate", value=0.31)
    sent = [Submission(alert, received_at=begin + timedelta(minutes=minute)) for minute in minutes]
    stated = [Submission(alert.model_copy(update={"occurred_at": one.received_at})) for one in sent]
    for submissions in (sent, stated):
        assert len(group_repeats(submissions)) == len(groups)
    assert [
        tuple((at - begin) // timedelta(minutes=1) for at in (one.received_at, one.last_received_at) if at)
        for one in group_repeats(sent)
    ] == groups


async def test_parts_count_the_groups_that_are_sent() -> None:
    """Equal alerts that are far apart are groups of their own, each with its alert."""
    alert, now = Alert(monitor="m", tags={f"label {number}": "x" * 200 for number in range(62)}), datetime.now(UTC)
    left = [Submission(alert, f"e-{number}", received_at=now + timedelta(minutes=31 * number)) for number in range(100)]
    while left:
        part, left = split_batch(left, MAX_GROUPS, MESSAGE_BYTES)
        groups = group_repeats(part)
        assert len(groups) <= MAX_GROUPS
        assert len(groups) == 1 or json_size(AlertBatch(alerts=tuple(groups))) <= MESSAGE_BYTES * 1.1
