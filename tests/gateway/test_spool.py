"""The spool: durable while Temporal is unavailable, delivered in order, and only once."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from temporalio import workflow
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from alerts import Alert, incident_id, normalise
from gateway.ingest.actions import IncidentClosedError
from gateway.ingest.changes import change_workflow, read_change
from gateway.ingest.ingester import UnavailableError
from gateway.ingest.spool import Item, Spool
from gateway.security.encryption import Keyring
from incident.events import ResponderAction
from tests.gateway.conftest import GatewayHarness
from tests.gateway.spool_harness import SpoolHarness, item, make_alert, open_spool_harness
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def contents(spool: Spool, queue: str) -> list[object]:
    return [json.loads(stored.content) for stored in await spool.first(queue, 100)]


# ── The file ────────────────────────────────────────────────────────────────────────────────────────────


async def test_cancelled_put_is_stored_and_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db")
    first, second = (asyncio.create_task(spool.put([item("a", number)])) for number in (1, 2))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    assert await contents(spool, "a") == [1, 2]
    assert spool.depth.items == 2
    spool.close()


async def test_contents_cannot_be_read_without_the_key(tmp_path: Path) -> None:
    old, new = Keyring([b"o" * 32]), Keyring([b"n" * 32, b"o" * 32])
    spool = Spool(tmp_path / "spool.db", old)
    await spool.put([item("a", "a customer's text")])
    spool.close()
    assert not any(b"customer" in file.read_bytes() for file in tmp_path.iterdir())
    rotated = Spool(tmp_path / "spool.db", new)
    await rotated.put([item("a", "another text")])
    assert await contents(rotated, "a") == ["a customer's text", "another text"]
    rotated.close()
    without = Spool(tmp_path / "spool.db", Keyring([b"x" * 32]))
    for stored in await without.first("a", 10):
        assert (stored.content, "TOCSIN_ENCRYPTION_KEY does not name" in stored.fault) == (b"", True)
    assert without.depth.items == 2, "the item stays for a gateway that has the key"


FULL_DISK = """
import asyncio, json, resource, sys
from pathlib import Path
from gateway.ingest.spool import Item, Spool, SpoolError

async def main():
    spool = Spool(Path(sys.argv[1]))
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    stored = []
    for number in range(10_000):
        try:
            await spool.put([Item("a", "alert", json.dumps([number, "x" * 1000]).encode())])
        except SpoolError as error:
            fault = str(error)
            break
        stored.append(number)
    try:
        await spool.ping()
        ping = "ok"
    except SpoolError as error:
        ping = str(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    await spool.ping()
    await spool.put([Item("a", "alert", b"[-1]")])
    found = [json.loads(item.content)[0] for item in await spool.first("a", 20_000)]
    print(json.dumps({"stored": stored, "found": found, "fault": fault, "ping": ping, "items": spool.depth.items}))

asyncio.run(main())
"""


async def test_full_disk_loses_no_alert(tmp_path: Path) -> None:
    """The kernel refuses to let the file grow. The stored items stay, and the spool recovers when there is room."""
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "spool.db")]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert len(result["stored"]) > 20
    assert result["found"] == [*result["stored"], -1]
    assert result["items"] == len(result["found"])
    assert result["fault"].startswith("the spool cannot be written: ")
    assert result["ping"].startswith("cannot be written: ")


# ── From the spool to Temporal ──────────────────────────────────────────────────────────────────────────


@pytest_asyncio.fixture(loop_scope="session")
async def harness(gateway: GatewayHarness, tmp_path: Path) -> AsyncIterator[SpoolHarness]:
    async with open_spool_harness(gateway, tmp_path) as harness:
        yield harness


async def test_spooled_alerts_are_delivered_in_order(harness: SpoolHarness) -> None:
    alert = make_alert(harness.gateway)
    await harness.proxy.cut()
    values = [0.3, 0.4, 0.5, 0.6]
    accepted = [
        await harness.ingester.accept_alert(alert.model_copy(update={"value": value}), f"evt-{value}-{alert.monitor}")
        for value in values
    ]
    assert {each.state for each in accepted} == {"spooled"}
    await harness.proxy.restore()
    await harness.until_drained()
    view = await harness.gateway.until(incident_id(alert), lambda view: view["alert_count"] == 4)
    assert view["alert"]["value"] == 0.6, "the last alert is the latest"
    assert await harness.count_runs(alert) == 1


async def test_spooled_clear_closes_its_spooled_incident(harness: SpoolHarness) -> None:
    alert = make_alert(harness.gateway)
    await harness.proxy.cut()
    await harness.ingester.accept_alert(alert)
    await harness.ingester.accept_alert(alert.model_copy(update={"status": "cleared"}))
    await harness.proxy.restore()
    await harness.gateway.until(incident_id(alert), lambda view: view.get("state") == "closed", 60)
    assert await harness.count_runs(alert) == 1


async def test_restarted_gateway_delivers_the_spool(gateway: GatewayHarness, tmp_path: Path) -> None:
    alert = make_alert(gateway)
    async with open_spool_harness(gateway, tmp_path) as before:
        await before.proxy.cut()
        assert (await before.ingester.accept_alert(alert, "evt-before")).state == "spooled"
    async with open_spool_harness(gateway, tmp_path) as after:
        await after.until_drained()
        await gateway.until(incident_id(alert), lambda view: view["state"] == "notified")
        assert (await after.ingester.accept_alert(alert, "evt-before")).state == "joined", (
            "the redelivery is recognised"
        )
    assert (await gateway.until(incident_id(alert), lambda view: view))["alert_count"] == 1


async def test_lost_response_opens_no_second_incident(harness: SpoolHarness) -> None:
    """Temporal started the incident, and the response was lost. The incident is closed before the retry."""
    gateway, alert = harness.gateway, make_alert(harness.gateway)
    assert (await harness.ingester.accept_alert(make_alert(gateway))).state == "started", "the connection is open"
    harness.proxy.drop_responses()
    assert (await harness.ingester.accept_alert(alert)).state == "spooled"
    incident = incident_id(alert)
    await gateway.until(incident, lambda view: view.get("state") == "notified")
    await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={"by": "rosa"})
    await gateway.until(incident, lambda view: view["state"] == "closed")
    await harness.proxy.cut()
    await harness.proxy.restore()
    await harness.until_drained()
    assert await harness.count_runs(alert) == 1
    assert (await harness.ingester.accept_alert(alert)).state == "started", "a new alert is a new incident"


async def test_lost_response_counts_the_alert_once(harness: SpoolHarness) -> None:
    alert = make_alert(harness.gateway)
    assert (await harness.ingester.accept_alert(alert)).state == "started"
    harness.proxy.drop_responses()
    assert (await harness.ingester.accept_alert(alert.model_copy(update={"value": 0.9}))).state == "spooled"
    await harness.proxy.cut()
    await harness.proxy.restore()
    await harness.until_drained()
    assert (await harness.ingester.accept_alert(alert.model_copy(update={"value": 0.7}))).state == "joined"
    await harness.gateway.until(incident_id(alert), lambda view: view["alert"]["value"] == 0.7)
    assert (await harness.gateway.until(incident_id(alert), lambda view: view))["alert_count"] == 3


async def test_spooled_action_follows_its_spooled_alert(harness: SpoolHarness) -> None:
    alert = make_alert(harness.gateway)
    incident = incident_id(alert)
    await harness.proxy.cut()
    await harness.ingester.accept_alert(alert)
    delivered = await harness.ingester.accept_action(
        incident, ResponderAction(type="acknowledge", by="alice", source="pagerduty", id="a-1")
    )
    assert not delivered, "the spool has it"
    await harness.proxy.restore()
    view = await harness.gateway.until(incident, lambda view: view.get("state") == "acknowledged", 60)
    assert view["acknowledged_by"] == "alice"
    await harness.until_drained()  # what was delivered is deleted a moment later; until then, actions queue behind it
    assert await harness.ingester.accept_action(incident, ResponderAction(type="resolve", by="alice"))
    await harness.gateway.until(incident, lambda view: view["state"] == "closed")
    with pytest.raises(IncidentClosedError):
        await harness.ingester.accept_action(incident, ResponderAction(type="resolve", by="alice"))


async def test_spooled_action_is_for_the_incident_that_its_alert_opens(harness: SpoolHarness) -> None:
    """Through the API, before the incident opened, and so with an earlier time."""
    alert = make_alert(harness.gateway)
    incident = incident_id(alert)
    await harness.proxy.cut()
    await harness.ingester.accept_alert(alert)
    at = datetime.now(UTC) - timedelta(seconds=1)
    action = ResponderAction(type="acknowledge", by="alice", source="api", id="api-1", occurred_at=at)
    assert not await harness.ingester.accept_action(incident, action)
    await harness.proxy.restore()
    view = await harness.gateway.until(incident, lambda view: view.get("state") == "acknowledged", 60)
    assert view["acknowledged_by"] == "alice"


async def test_change_is_spooled_and_delivered(harness: SpoolHarness) -> None:
    change = read_change("prompt.version.created", {"name": "p"}, "evt-spooled-change", datetime.now(UTC))
    assert change is not None
    await harness.proxy.cut()
    assert not await harness.ingester.accept_change(change)
    await harness.proxy.restore()
    await harness.until_drained()
    assert await harness.gateway.client.get_workflow_handle(change_workflow(change)).result() == 0
    assert await harness.ingester.accept_change(change), "a redelivery starts nothing"


async def test_unreadable_item_blocks_no_other_queue(harness: SpoolHarness) -> None:
    """An item of another version, which cannot be delivered, stays visible in the spool. Other queues proceed."""
    stuck = Item("incident-x-0123456789ab", "action", b'{"act": "applaud", "by": "alice"}')
    alert = make_alert(harness.gateway)
    await harness.proxy.cut()
    await harness.spool.put([stuck])
    await harness.ingester.accept_alert(alert)
    await harness.proxy.restore()
    await harness.gateway.until(incident_id(alert), lambda view: view.get("state") == "notified", 60)
    await wait_until(lambda: _is_settled(harness, stuck.queue))


async def _is_settled(harness: SpoolHarness, queue: str) -> bool:
    """Whether the spool holds one item, of this queue."""
    return harness.spool.depth.items == 1 and harness.spool.holds(queue)


@workflow.defn
class Ended:
    @workflow.run
    async def run(self) -> None:
        """Ends at once."""


async def test_spooled_alert_reopens_a_terminated_incident(harness: SpoolHarness) -> None:
    gateway, alert = harness.gateway, make_alert(harness.gateway)
    ended = await gateway.client.start_workflow("Ended", id=incident_id(alert), task_queue="no-worker")
    await ended.terminate()
    await harness.proxy.cut()
    assert (await harness.ingester.accept_alert(alert)).state == "spooled"
    await harness.proxy.restore()
    await gateway.until(incident_id(alert), lambda view: view.get("state") == "notified", 60)


async def test_missing_worker_blocks_no_other_queue(harness: SpoolHarness) -> None:
    """Only a worker can answer whether the alert arrived before, and none runs. That is no outage of Temporal."""
    gateway, stuck, other = harness.gateway, make_alert(harness.gateway), make_alert(harness.gateway)
    queue, runner = "no-worker-left", UnsandboxedWorkflowRunner()
    async with Worker(gateway.client, task_queue=queue, workflows=[Ended], workflow_runner=runner):
        await gateway.client.execute_workflow("Ended", id=incident_id(stuck), task_queue=queue)
    await harness.proxy.cut()
    for alert in (stuck, other):
        assert (await harness.ingester.accept_alert(alert)).state == "spooled"
    await harness.proxy.restore()
    await gateway.until(incident_id(other), lambda view: view.get("state") == "notified", 60)
    await asyncio.sleep(6)  # longer than the query for the earlier alert takes
    assert harness.spool.holds(incident_id(stuck)), "the item stays until a worker answers"
    assert (await harness.ingester.accept_alert(make_alert(gateway))).state == "started", "Temporal counts as available"


async def test_full_spool_makes_the_ingester_unavailable(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_spool_harness(gateway, tmp_path, limit=10) as harness:
        await harness.proxy.cut()
        with pytest.raises(UnavailableError, match="the spool is full"):
            await harness.ingester.accept_alert(make_alert(gateway))
        with pytest.raises(UnavailableError, match="the spool is full"):
            await harness.ingester.accept_action(
                "incident-x-0123456789ab", ResponderAction(type="acknowledge", by="alice")
            )
        await harness.proxy.restore()
        assert (await harness.ingester.accept_alert(make_alert(gateway))).state == "started", (
            "it recovers with Temporal"
        )


def labelled(gateway: GatewayHarness, monitor: str, number: int, size: int, **changes: object) -> Alert:
    """A legal alert of a monitor, with a value of its own, of about ``size`` bytes."""
    labels = {f"label {key} {'k' * 200}": "v" * min(size // 64 - 210, 255) for key in range(64)}
    body = gateway.alert(monitor_name=monitor, monitor_id=monitor, metric_value=0.3 + number / 1000, tags=labels)
    body["notes"] = "n" * (size // 3)
    return normalise({**body, **changes})


async def test_outage_of_large_alerts_is_delivered_in_order(harness: SpoolHarness) -> None:
    """Temporal is unavailable: sixteen alerts of 180 kB, an acknowledgement, and another monitor's alert; then it is
    back."""
    gateway = harness.gateway
    await harness.proxy.cut()
    alerts = [labelled(gateway, "paused monitor", number, 180_000) for number in range(16)]
    incident = incident_id(alerts[0])
    for alert in alerts:
        assert (await harness.ingester.accept_alert(alert)).state == "spooled"
    action = ResponderAction(type="acknowledge", by="dana", id="spooled-ack")
    assert not await harness.ingester.accept_action(incident, action)
    with capture_logs() as logs:
        await harness.proxy.restore()
        await harness.until_drained()
    assert [one["event"] for one in logs].count("temporal_recovered") == 1
    await gateway.until(incident, lambda one: one["alert_count"] == 16 and one["acknowledged_by"] == "dana")


async def test_action_and_alert_pass_an_item_that_cannot_be_read(gateway: GatewayHarness, tmp_path: Path) -> None:
    """It was encrypted with a key that is gone: it stays, is named, and nothing of its incident waits behind it."""
    alert = make_alert(gateway)
    incident = incident_id(alert)
    sealed = Spool(tmp_path / "spool.db", Keyring([b"o" * 32]))
    await sealed.put([Item(incident, "alert", b"{}")])
    sealed.close()
    async with open_spool_harness(gateway, tmp_path) as harness:

        async def named() -> bool:
            return any("TOCSIN_ENCRYPTION_KEY does not name" in text for text in harness.ingester.stuck.texts())

        await wait_until(named)
        assert (await harness.ingester.accept_alert(alert)).state == "started"
        await gateway.until(incident, lambda one: one.get("state") == "notified")
        action = ResponderAction(type="acknowledge", by="dana", id="passing-ack")
        assert await harness.ingester.accept_action(incident, action)
        assert harness.spool.depth.items == 1
