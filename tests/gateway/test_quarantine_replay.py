"""Replays of the quarantine, and what happens while the database or Temporal is unavailable."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts import shape_of_json
from gateway.quarantine.delivery import Received
from tests.gateway.conftest import GatewayHarness
from tests.gateway.intake_harness import Intake, detection, open_intake, unavailable_temporal
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_replay_opens_the_right_incident_once(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        body = detection()
        delivery = await intake.quarantine(body)
        reporting = (await intake.call("GET", f"/{delivery}")).json()["incident"]
        (refused,) = await intake.replay(delivery)
        assert refused["outcome"] == "unreadable", "there is no mapping yet"
        intake.add_mapping()
        (result,) = await intake.replay(delivery)
        assert (result["outcome"], result["state"]) == ("replayed", "started")
        again = await intake.replay(delivery)
        assert (again[0]["outcome"], again[0]["incident"]) == ("already_replayed", result["incident"])
        one = await gateway.until(result["incident"], lambda one: one["state"] == "notified")
        assert (one["alert"]["monitor"], one["alert"]["value"], one["rule"]) == (body["detector"]["title"], 0.4, "all")
        assert one["alert_count"] == 1
        found = (await intake.call("GET", f"/{delivery}")).json()
        assert found["state"] == "replayed"
        assert (found["replayed"]["by"], found["replayed"]["incident"]) == ("rosa", result["incident"])
        closed = await gateway.until(reporting, lambda one: one["state"] == "closed")
        assert closed["resolved_by"] == "rosa"


async def test_replay_leaves_incident_open_while_shape_is_left(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        first, second = [await intake.quarantine(detection(left=True)) for _ in range(2)]
        reporting = (await intake.call("GET", f"/{first}")).json()["incident"]
        await gateway.until(reporting, lambda one: one["state"] == "notified")
        intake.add_mapping()
        await intake.replay(first)
        noted = await gateway.until(
            reporting, lambda one: any("1 of this shape left" in e["text"] for e in one["timeline"])
        )
        assert noted["state"] == "notified"
        await intake.replay(second)
        assert (await gateway.until(reporting, lambda one: one["state"] == "closed"))["resolved_by"] == "rosa"


async def test_parallel_replays_open_one_incident(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        deliveries = [await intake.quarantine(detection(), event_id=f"evt-parallel-{n}") for n in range(3)]
        intake.add_mapping()
        results = [
            one for many in await asyncio.gather(*(intake.replay(*deliveries) for _ in range(5))) for one in many
        ]
        assert {one["outcome"] for one in results} <= {"replayed", "already_replayed"}
        incidents = {(one["id"], one["incident"]) for one in results}
        assert len(incidents) == 3
        for _, incident in incidents:
            one = await gateway.until(incident, lambda one: one["state"] == "notified")
            assert one["alert_count"] == 1
            assert len([each async for each in gateway.client.list_workflows(f"WorkflowId = '{incident}'")]) <= 1


async def test_replay_survives_crash_before_and_after_temporal(gateway: GatewayHarness, tmp_path: Path) -> None:
    """The plan is stored; the process ends before or after Temporal has the alert; the keeper finishes it."""
    for sent in (False, True):
        async with open_intake(gateway, tmp_path / str(sent)) as intake:
            delivery = await intake.quarantine(detection())
            row = await intake.services.quarantine.store.get(delivery)
            assert row is not None
            assert row.delivery is not None
            intake.add_mapping()
            alert = intake.services.replay.read(row.delivery)
            planned = await intake.services.quarantine.store.plan(delivery, alert, "rosa", "responder")
            assert planned is not None
            incident = ""
            if sent:
                incident = (await intake.services.ingester.accept_alert(alert, alert.event_id, resent=True)).incident
                await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={})
                await gateway.until(incident, lambda one: one["state"] == "closed")
            intake.policy = intake.load("")  # the mapping is gone: the plan does not need it
            await intake.keep()
            found = (await intake.call("GET", f"/{delivery}")).json()
            assert (found["state"], found["replayed"]["by"]) == ("replayed", "rosa")
            if sent:
                assert found["replayed"]["state"] in {"recorded", "joined"}
                assert (await gateway.until(incident, lambda one: one))["state"] == "closed", "it is not opened twice"
            else:
                one = await gateway.until(found["replayed"]["incident"], lambda one: one["state"] == "notified")
                assert one["alert_count"] == 1


async def test_replayed_alert_keeps_the_time_of_its_arrival(gateway: GatewayHarness, tmp_path: Path) -> None:
    """Otherwise a repeat from before an acknowledgement fires again."""
    async with open_intake(gateway, tmp_path) as intake:
        body, arrived = detection(), datetime.now(UTC) - timedelta(minutes=20)
        received = Received(json.dumps(body).encode(), "evt-early", "", "application/json", arrived)
        await intake.services.quarantine.take_in(received, shape_of_json(body), ("nothing reads it",))
        delivery = (await intake.call("GET", "")).json()["deliveries"][0]["id"]
        intake.add_mapping()
        (result,) = await intake.replay(delivery)
        one = await gateway.until(result["incident"], lambda one: one["state"] == "notified")
        (late,) = [entry["text"] for entry in one["timeline"] if entry["event"] == "processed_late"]
        assert f"received it at {arrived:%Y-%m-%d %H:%M:%S} UTC, 20m" in late


async def test_report_lost_in_crash_is_sent_later(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        body = {"never reported": 1}
        received = Received(json.dumps(body).encode(), "evt-lost", "", "application/json", datetime.now(UTC))
        await intake.services.quarantine.store.put(received.delivery(shape_of_json(body), ("nothing reads it",)))
        incident = (await intake.call("GET", "")).json()["deliveries"][0]["incident"]
        assert (await gateway.call("GET", f"/api/incidents/{incident}")).status_code == 404
        await intake.keep()
        assert (await gateway.until(incident, lambda one: one["state"] == "notified"))["alert_count"] == 1
        await intake.keep()
        assert (await gateway.until(incident, lambda one: one))["alert_count"] == 1


async def test_new_delivery_after_resolve_opens_incident_again(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        incident = (await intake.send({"resolved by a person": 1})).json()["incident"]
        await gateway.until(incident, lambda one: one["state"] == "notified")
        await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={})
        await gateway.until(incident, lambda one: one["state"] == "closed")
        assert (await intake.call("GET", "")).json()["waiting"] == 1, "the delivery still waits for a replay"
        await intake.send({"resolved by a person": 2})
        await gateway.until(incident, lambda one: one["state"] == "notified")


async def test_spool_takes_delivery_while_database_is_unavailable(gateway: GatewayHarness, tmp_path: Path) -> None:
    database = tmp_path / "database"
    in_its_place = database / "gateway.db"  # a folder: nothing can open it
    in_its_place.mkdir(parents=True)
    async with open_intake(gateway, tmp_path, dedup_store_url=f"sqlite:///{database}/gateway.db") as intake:
        answer = await intake.send({"database is unavailable": 1})
        assert (answer.status_code, answer.json()["state"]) == (202, "quarantined")
        await gateway.until(answer.json()["incident"], lambda one: one["state"] == "notified")
        ready = (await intake.http.get("/readyz", headers={"Authorization": "Bearer v-token"})).json()
        assert (ready["ready"], ready["spooled"]["items"]) == (True, 1)
        assert "unable to open database file" in ready["quarantine"]
        assert (await intake.call("GET", "")).status_code == 503
        in_its_place.rmdir()
        draining = asyncio.create_task(intake.services.ingester.drain())
        await wait_until(lambda: _waiting(intake, 1))
        draining.cancel()
        one = await gateway.until(answer.json()["incident"], lambda one: one)
        assert one["alert_count"] == 1


async def test_503_while_database_and_spool_are_unavailable(gateway: GatewayHarness, tmp_path: Path) -> None:
    (tmp_path / "database" / "gateway.db").mkdir(parents=True)
    url = f"sqlite:///{tmp_path}/database/gateway.db"
    async with open_intake(gateway, tmp_path, dedup_store_url=url, spool_limit=100) as intake:
        answer = await intake.send({"nothing takes it": 1})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "neither the gateway's database nor the spool" in answer.json()["detail"]


async def test_quarantine_works_while_temporal_is_unavailable(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path, client=await unavailable_temporal()) as intake:
        body = {"temporal is unavailable": 1}
        answer = await intake.send(body, "evt-offline")
        assert (answer.status_code, answer.json()["state"]) == (202, "quarantined")
        assert (await intake.call("GET", "")).json()["waiting"] == 1
        assert intake.services.spool.depth.items == 1, "the report of it"


async def _waiting(intake: Intake, count: int) -> bool:
    answer = await intake.call("GET", "")
    return answer.status_code == 200 and answer.json()["waiting"] == count
