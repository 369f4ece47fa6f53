"""What is accepted while Temporal is away: kept on disk, delivered in its order, and only once."""

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio import workflow
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from alerts import incident_id
from gateway.changes import change_workflow, read_change
from gateway.encryption import EncryptionError, Keyring
from gateway.intake import IncidentOverError, UnavailableError
from gateway.spool import Item, Spool, SpoolError
from tests.gateway.conftest import House
from tests.gateway.station import Station, an_alert, opened
from workflows.messages import Answer

pytestmark = pytest.mark.asyncio(loop_scope="session")


def item(lane: str, content: object = 1) -> Item:
    return Item(lane, "alert", json.dumps(content).encode())


async def waiting(spool: Spool, lane: str) -> list[object]:
    return [json.loads(one.content) for one in await spool.first(lane, 100)]


# ── The file ────────────────────────────────────────────────────────────────────────────────────────────


async def test_it_keeps_the_order_of_each_lane_and_outlives_its_process(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    await asyncio.gather(*(spool.put([item("b" if number % 3 else "a", number)]) for number in range(30)))
    spool.close()
    del spool
    again = Spool(tmp_path / "spool.db")
    assert await waiting(again, "a") == list(range(0, 30, 3))
    assert await waiting(again, "b") == [number for number in range(30) if number % 3]
    assert again.depth.items == 30
    assert again.depth.oldest is not None
    assert await again.lanes(10) == ["a", "b"]
    await again.drop("a", await again.first("a", 100))
    assert not again.holds("a")
    assert await again.lanes(10) == ["b"]
    await again.drop("b", await again.first("b", 100))
    assert (again.depth.items, again.depth.bytes, again.depth.oldest) == (0, 0, None)


async def test_it_says_how_long_the_oldest_waits(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    assert spool.depth.age == 0
    await spool.put([item("a")])
    await asyncio.sleep(0.02)
    await spool.put([item("b")])
    assert spool.depth.age >= 0.02
    await spool.drop("a", await spool.first("a", 1))
    assert spool.depth.age < 0.02 or spool.depth.oldest is not None


async def test_when_it_is_full_it_takes_no_more_and_drops_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", limit=2_000)
    for number in range(7):
        await spool.put([item("a", number)])
    with pytest.raises(SpoolError, match=r"the spool is full: 1,757 of 2,000 bytes"):
        await spool.put([item("a", 7)])
    assert await waiting(spool, "a") == list(range(7))
    await spool.drop("a", await spool.first("a", 1))
    await spool.put([item("a", 8)])


async def test_two_gateways_never_share_one(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    with pytest.raises(SpoolError, match="give each gateway a TOCSIN_STATE_DIR of its own"):
        Spool(tmp_path / "spool.db")
    spool.close()


async def test_nothing_in_it_can_be_read_without_the_key(tmp_path: Path) -> None:
    old, new = Keyring([b"o" * 32]), Keyring([b"n" * 32, b"o" * 32])
    spool = Spool(tmp_path / "spool.db", old)
    await spool.put([item("a", "what a customer said")])
    spool.close()
    del spool
    assert not any(b"customer" in file.read_bytes() for file in tmp_path.iterdir())
    rotated = Spool(tmp_path / "spool.db", new)
    await rotated.put([item("a", "and another")])
    assert await waiting(rotated, "a") == ["what a customer said", "and another"]
    rotated.close()
    del rotated
    without = Spool(tmp_path / "spool.db", Keyring([b"x" * 32]))
    with pytest.raises(EncryptionError, match="TOCSIN_ENCRYPTION_KEY does not name"):
        await without.first("a", 10)
    assert without.depth.items == 2, "it is kept for whoever has the key"


FULL_DISK = """
import asyncio, json, resource, sys
from pathlib import Path
from gateway.spool import Item, Spool, SpoolError

async def main():
    spool = Spool(Path(sys.argv[1]))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    kept = []
    for number in range(10_000):
        try:
            await spool.put([Item("a", "alert", json.dumps([number, "x" * 1000]).encode())])
        except SpoolError as error:
            fault = str(error)
            break
        kept.append(number)
    try:
        await spool.ping()
        alive = "ok"
    except SpoolError as error:
        alive = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await spool.ping()
    await spool.put([Item("a", "alert", b"[-1]")])
    there = [json.loads(one.content)[0] for one in await spool.first("a", 20_000)]
    print(json.dumps({"kept": kept, "there": there, "fault": fault, "alive": alive, "items": spool.depth.items}))

asyncio.run(main())
"""


async def test_a_full_disk_is_no_lost_alert(tmp_path: Path) -> None:
    """The kernel itself refuses to let the file grow; what was answered before is there, and it goes on afterwards."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "spool.db")]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told["kept"]) > 20
    assert told["there"] == [*told["kept"], -1]
    assert told["items"] == len(told["there"])
    assert told["fault"].startswith("the spool cannot be written: ")
    assert told["alive"].startswith("cannot be written: ")


# ── The way through it ──────────────────────────────────────────────────────────────────────────────────


@pytest_asyncio.fixture(loop_scope="session")
async def station(house: House, tmp_path: Path) -> AsyncIterator[Station]:
    async with opened(house, tmp_path) as station:
        yield station


async def test_what_came_while_temporal_was_away_is_delivered_in_its_order(station: Station) -> None:
    alert = an_alert(station.house)
    await station.wire.cut()
    values = [0.3, 0.4, 0.5, 0.6]
    taken = [
        await station.intake.take(alert.model_copy(update={"value": value}), f"evt-{value}-{alert.monitor}")
        for value in values
    ]
    assert {one.state for one in taken} == {"spooled"}
    await station.wire.mend()
    await station.empty()
    one = await station.house.until(incident_id(alert), lambda one: one["alerts"] == 4)
    assert one["alert"]["value"] == 0.6, "the last one is the latest"
    assert await station.runs(alert) == 1


async def test_a_fire_that_came_and_went_meanwhile_is_seen_to_have_gone(station: Station) -> None:
    alert = an_alert(station.house)
    await station.wire.cut()
    await station.intake.take(alert)
    await station.intake.take(alert.model_copy(update={"status": "cleared"}))
    await station.wire.mend()
    await station.house.until(incident_id(alert), lambda one: one.get("state") == "closed", 20)
    assert await station.runs(alert) == 1


async def test_a_gateway_that_starts_again_delivers_what_the_one_before_kept(house: House, tmp_path: Path) -> None:
    alert = an_alert(house)
    async with opened(house, tmp_path) as before:
        await before.wire.cut()
        assert (await before.intake.take(alert, "evt-before")).state == "spooled"
    del before
    gc.collect()  # as the process that held the file would have ended
    async with opened(house, tmp_path) as after:
        await after.empty()
        await house.until(incident_id(alert), lambda one: one["state"] == "notified")
        assert (await after.intake.take(alert, "evt-before")).state == "joined", "a redelivery is known"
    assert (await house.until(incident_id(alert), lambda one: one))["alerts"] == 1


async def test_a_lost_answer_opens_nothing_twice(station: Station) -> None:
    """Temporal took the start and its answer was lost; by the time it is tried again, somebody has closed it."""
    house, alert = station.house, an_alert(station.house)
    assert (await station.intake.take(an_alert(house))).state == "started", "the wire is warm"
    station.wire.lose_answers()
    assert (await station.intake.take(alert)).state == "spooled"
    incident = incident_id(alert)
    await house.until(incident, lambda one: one.get("state") == "notified")
    await house.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={"by": "rosa"})
    await house.until(incident, lambda one: one["state"] == "closed")
    await station.wire.cut()
    await station.wire.mend()
    await station.empty()
    assert await station.runs(alert) == 1
    assert (await station.intake.take(alert)).state == "started", "and a new fire is a new incident"


async def test_a_lost_answer_is_counted_once(station: Station) -> None:
    alert = an_alert(station.house)
    assert (await station.intake.take(alert)).state == "started"
    station.wire.lose_answers()
    assert (await station.intake.take(alert.model_copy(update={"value": 0.9}))).state == "spooled"
    await station.wire.cut()
    await station.wire.mend()
    await station.empty()
    assert (await station.intake.take(alert.model_copy(update={"value": 0.7}))).state == "joined"
    await station.house.until(incident_id(alert), lambda one: one["alert"]["value"] == 0.7)
    assert (await station.house.until(incident_id(alert), lambda one: one))["alerts"] == 3


async def test_what_a_person_did_meanwhile_is_done_after_what_it_is_about(station: Station) -> None:
    alert = an_alert(station.house)
    incident = incident_id(alert)
    await station.wire.cut()
    await station.intake.take(alert)
    told = await station.intake.take_answer(incident, Answer(act="acknowledge", by="alice", via="pagerduty", id="a-1"))
    assert not told, "kept, and not told yet"
    await station.wire.mend()
    one = await station.house.until(incident, lambda one: one.get("state") == "acknowledged", 20)
    assert one["acknowledged_by"] == "alice"
    assert await station.intake.take_answer(incident, Answer(act="resolve", by="alice"))
    await station.house.until(incident, lambda one: one["state"] == "closed")
    with pytest.raises(IncidentOverError):
        await station.intake.take_answer(incident, Answer(act="resolve", by="alice"))


async def test_a_change_waits_too(station: Station) -> None:
    from datetime import UTC, datetime

    change = read_change("prompt.version.created", {"name": "p"}, "evt-spooled-change", datetime.now(UTC))
    assert change is not None
    await station.wire.cut()
    assert not await station.intake.take_change(change)
    await station.wire.mend()
    await station.empty()
    assert await station.house.client.get_workflow_handle(change_workflow(change)).result() == 0
    assert await station.intake.take_change(change), "a redelivery starts nothing"


async def test_one_incident_that_cannot_be_told_holds_up_no_other(station: Station) -> None:
    """What nobody can deliver, since another version wrote it, stays in the spool, where it shows; the others go by."""
    stuck = Item("incident-x-0123456789ab", "answer", b'{"act": "applaud", "by": "alice"}')
    alert = an_alert(station.house)
    await station.wire.cut()
    await station.spool.put([stuck])
    await station.intake.take(alert)
    await station.wire.mend()
    await station.house.until(incident_id(alert), lambda one: one.get("state") == "notified", 20)
    assert station.spool.depth.items == 1
    assert station.spool.holds(stuck.lane)


@workflow.defn
class Over:
    @workflow.run
    async def run(self) -> None:
        """Ends at once."""


async def test_what_was_ended_before_anybody_heard_of_it_is_opened_anew(station: Station) -> None:
    house, alert = station.house, an_alert(station.house)
    ended = await house.client.start_workflow("Over", id=incident_id(alert), task_queue="nobody-works-here")
    await ended.terminate()
    await station.wire.cut()
    assert (await station.intake.take(alert)).state == "spooled"
    await station.wire.mend()
    await house.until(incident_id(alert), lambda one: one.get("state") == "notified", 20)


async def test_one_incident_that_nobody_can_tell_about_holds_up_no_other(station: Station) -> None:
    """Whether its alert arrived before is for a worker to say, and none comes: that is no outage of Temporal."""
    house, stuck, other = station.house, an_alert(station.house), an_alert(station.house)
    queue, runner = "they-left", UnsandboxedWorkflowRunner()
    async with Worker(house.client, task_queue=queue, workflows=[Over], workflow_runner=runner):
        await house.client.execute_workflow("Over", id=incident_id(stuck), task_queue=queue)
    await station.wire.cut()
    for alert in (stuck, other):
        assert (await station.intake.take(alert)).state == "spooled"
    await station.wire.mend()
    await house.until(incident_id(other), lambda one: one.get("state") == "notified", 20)
    await asyncio.sleep(6)  # by now it was asked, and nobody answered
    assert station.spool.holds(incident_id(stuck)), "it is kept until somebody knows"
    assert (await station.intake.take(an_alert(house))).state == "started", "and Temporal counts as there"


async def test_with_no_room_left_nothing_is_promised(station: Station) -> None:
    station.spool._limit = 10
    await station.wire.cut()
    with pytest.raises(UnavailableError, match="the spool is full"):
        await station.intake.take(an_alert(station.house))
    with pytest.raises(UnavailableError, match="the spool is full"):
        await station.intake.take_answer("incident-x-0123456789ab", Answer(act="acknowledge", by="alice"))
    await station.wire.mend()
    alert = an_alert(station.house)
    assert (await station.intake.take(alert)).state == "started", "and it goes on by itself once Temporal is back"
