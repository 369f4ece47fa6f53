"""Alerts and callbacks that arrive out of order, and problems that fire again, on a real server with a real gateway."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from alerts import Alert, incident_id
from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.ingester import AlertIngester
from gateway.ingest.spool import Spool
from incident.events import ResponderAction
from tests.workflows.harness import QUEUE, IncidentHarness, make_alert

BIAS = make_alert("bias", 0.2, model="underwriting")


def minutes_ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


def triggered(minutes: float, metric: str = "error_rate", **changes: Any) -> Alert:
    """An alert that happened that many minutes ago."""
    return make_alert(metric, evaluated_at=minutes_ago(minutes).isoformat(), **changes)


def cleared(minutes: float, metric: str = "error_rate", **changes: Any) -> Alert:
    return triggered(minutes, metric, status="CLEARED", metric_value=0.01, **changes)


async def event_count(harness: IncidentHarness, event: str) -> int:
    view = await harness.view()
    return sum(one.event == event for one in view.timeline)


async def test_older_clear_closes_nothing(harness: IncidentHarness) -> None:
    await harness.fire(triggered(5))
    await harness.until_state("notified")
    assert (await harness.send(cleared(6))).state == "joined"
    await harness.until(lambda view: any(one.event == "older_alert" for one in view.timeline))
    await harness.advance(minutes=16)
    await harness.until(lambda view: view.escalation_level == 2)
    await harness.send(cleared(4))
    records = await harness.until_closed()
    assert "older_alert" in [one.event for one in records], "it is in the audit log"


async def test_trigger_older_than_closing_clear_opens_nothing(harness: IncidentHarness) -> None:
    await harness.fire(triggered(10))
    await harness.until_state("notified")
    await harness.send(cleared(5))
    await harness.until_closed()
    assert (await harness.send(triggered(7, metric_value=0.4), "late")).state == "recorded"
    assert len(harness.page_keys()) == 1
    assert (await harness.send(triggered(1, metric_value=0.4), "next")).state == "started"
    await harness.until_state("notified")
    assert len(harness.page_keys()) == 2


async def test_trigger_after_clear_that_overtook_it_opens_nothing(harness: IncidentHarness) -> None:
    """The clear came first, when no incident was open."""
    assert (await harness.send(cleared(5))).state == "recorded"
    assert (await harness.send(triggered(6))).state == "recorded"
    assert (await harness.fire(triggered(4))).state == "started"
    await harness.until_state("notified")


@pytest.mark.parametrize("stated", ["", "0001-01-01T00:00:00Z", "2026-11-26", "2999-01-01T00:00:00Z"])
async def test_time_that_orders_nothing_pages_each_time(harness: IncidentHarness, stated: str) -> None:
    """Without a usable time, the order of arrival counts: no fire is lost, no clear either."""
    times: dict[str, Any] = {"triggered_at": stated} if stated else {}
    for number in range(2):
        assert (await harness.fire(make_alert(**times), f"trigger-{number}")).state == "started"
        await harness.until_state("notified")
        await harness.send(make_alert(status="CLEARED", **times), f"clear-{number}")
        await harness.until_closed()
    assert len(set(harness.page_keys())) == 2


async def test_constant_time_with_real_clears_pages_each_time(harness: IncidentHarness) -> None:
    constant = minutes_ago(60).isoformat()
    for number in range(3):
        await harness.fire(make_alert(triggered_at=constant, metric_value=0.3 + number / 10), f"trigger-{number}")
        await harness.until_state("notified")
        times: dict[str, Any] = {"triggered_at": constant, "cleared_at": minutes_ago(10 - number).isoformat()}
        await harness.send(make_alert(status="CLEARED", **times), f"clear-{number}")
        await harness.until_closed()
    assert len(set(harness.page_keys())) == 3


async def test_last_clear_is_known_to_other_gateways(harness: IncidentHarness) -> None:
    """Another gateway has the same database, and has seen nothing of the incident."""
    await harness.fire(triggered(10))
    await harness.until_state("notified")
    await harness.send(cleared(5))
    await harness.until_closed()
    other = harness.another_gateway()
    assert (await other.accept_alert(triggered(7, metric_value=0.4), "late")).state == "recorded"


async def test_without_dedup_store_the_closed_incident_knows_its_clear(harness: IncidentHarness) -> None:
    await harness.fire(triggered(10))
    await harness.until_state("notified")
    await harness.send(cleared(5))
    await harness.until_closed()
    other = harness.another_gateway("sqlite:////proc/nowhere/gateway.db")
    assert (await other.accept_alert(triggered(7, metric_value=0.4), "late")).state == "recorded"
    assert (await other.accept_alert(triggered(2, metric_value=0.4), "next")).state == "started", "newer than the clear"


async def test_older_trigger_pages_if_nobody_knows_the_clear(harness: IncidentHarness) -> None:
    """What keeps Tocsin quiet fails open."""
    await harness.fire(triggered(10))
    await harness.until_state("notified")
    await harness.handle.terminate()
    other = harness.another_gateway("sqlite:////proc/nowhere/gateway.db")
    assert (await other.accept_alert(triggered(7, metric_value=0.4), "late")).state == "started"


async def test_older_withdrawal_withdraws_nothing(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.callback("acknowledge", "Alice", id="2", occurred_at=minutes_ago(1))
    await harness.until_state("acknowledged")
    await harness.callback("unacknowledge", "Alice", id="1", occurred_at=minutes_ago(2))
    await harness.until(lambda view: any(one.event == "older_action" for one in view.timeline))
    await harness.advance(hours=1)
    assert (await harness.view()).acknowledged_by == "Alice"
    assert harness.page_keys("secondary") == []


async def test_acknowledged_incident_that_fires_again_pages(harness: IncidentHarness) -> None:
    await harness.fire(event_id="1")
    await harness.until_state("notified")
    await harness.callback("acknowledge", "Alice")
    await harness.until_state("acknowledged")
    await harness.advance(minutes=10)
    await harness.fire(event_id="2")
    await harness.until(lambda view: view.alert_count == 2)
    assert len(harness.page_keys()) == 1, "a repeat"
    await harness.advance(minutes=31)
    await harness.fire(event_id="3")
    view = await harness.until(lambda view: view if len(view.receipts) == 2 else None)
    assert (view.state, view.acknowledged_by, view.refire_count) == ("notified", "", 1)
    assert len(set(harness.page_keys("primary"))) == 2
    note = harness.pagerduty.events("trigger")[-1]["payload"]["custom_details"]["Note"]
    assert note.startswith("Fires again 31m after its last alert")
    await harness.advance(minutes=16)
    await harness.until(lambda view: view.escalation_level == 2)


async def test_regulated_incident_that_fires_after_clear_pages(harness: IncidentHarness) -> None:
    """Nobody's fire is swallowed by a case that is open for another reason."""
    alert = make_alert(model="underwriting")
    await harness.fire(alert, "1")
    await harness.until(lambda view: len(view.receipts) == 2)
    await harness.callback("acknowledge", "Alice")
    await harness.clear()
    await harness.until_state("awaiting_human")
    await harness.fire(alert, "2")
    view = await harness.until(lambda view: view if len(view.receipts) == 3 else None)
    assert (view.state, view.regulated, view.acknowledged_by) == ("notified", True, "")
    assert len(set(harness.page_keys("primary"))) == 2
    assert len(harness.jira.issues) == 1
    await harness.until(lambda view: "Fires again after it had cleared" in str(harness.jira.comments))


async def test_later_alert_makes_incident_regulated(harness: IncidentHarness) -> None:
    """The first alert names no model; a later one of the same monitor names a regulated one, at the same tier."""
    await harness.fire(make_alert("bias", 0.2, model=""))
    await harness.until_state("notified")
    await harness.send(BIAS, "2")
    await harness.until(lambda view: view.regulated and len(view.receipts) == 2)
    await harness.send(BIAS.model_copy(update={"status": "cleared"}), "3")
    view = await harness.until_state("awaiting_human")
    assert view.closed_by == "compliance"
    assert list(harness.jira.issues) == ["AIGOV-1"]


async def test_clear_that_names_regulated_model_closes_nothing(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("bias", 0.2, model=""))
    await harness.until_state("notified")
    await harness.send(BIAS.model_copy(update={"status": "cleared"}), "2")
    view = await harness.until_state("awaiting_human")
    assert (view.regulated, view.closed_by) == (True, "compliance")
    await harness.until(lambda view: len(harness.jira.issues) == 1)


async def test_alerts_that_arrive_together_make_incident_regulated(harness: IncidentHarness) -> None:
    async with harness.without_worker():
        harness.gateway_decides = False
        await harness.fire(make_alert("bias", 0.2, model=""), "1")
        await harness.send(BIAS, "2")
    view = await harness.until(lambda view: view if len(view.receipts) == 2 else None)
    assert (view.id, view.regulated) == (incident_id(BIAS), True)


async def test_acknowledgement_before_any_worker_ran_counts(real: IncidentHarness) -> None:
    """As from a spool: it names no run. Temporal had the incident already."""
    async with real.without_worker():
        await real.fire(event_id="1")
        done = ResponderAction(type="acknowledge", by="alice", occurred_at=datetime.now(UTC))
        assert await real.ingester.accept_action(real.handle.id, done)
        await asyncio.sleep(0.5)
    assert (await real.until_state("acknowledged")).acknowledged_by == "alice"


async def test_resolution_swallows_no_later_trigger(harness: IncidentHarness) -> None:
    """No worker ran: all of it is processed together, in the order in which it arrived."""
    async with harness.without_worker():
        harness.gateway_decides = False
        await harness.fire(harness.alert, "1")
        resolved = ResponderAction(type="resolve", by="bob", role="responder")
        assert await harness.ingester.accept_action(harness.handle.id, resolved)
        await harness.send(harness.alert, "2")
    view = await harness.until_state("notified")
    events = [entry.event for entry in view.timeline]
    assert events.index("resolved") < events.index("reopened") < len(events) - 1
    assert view.alert_count == 2


@pytest.mark.parametrize("kind", ["acknowledge", "resolve"])
async def test_spooled_action_of_closed_incident_touches_no_newer_one(
    real: IncidentHarness, tmp_path: Path, kind: str
) -> None:
    """One of two gateways is cut off from Temporal when its user acts through the API."""
    await real.fire(event_id="1")
    await real.until_state("notified")
    cut_off = await Client.connect("127.0.0.1:1", lazy=True, data_converter=pydantic_data_converter)
    spool, store = Spool(tmp_path / "spool-a.db"), DedupStore(f"sqlite:///{tmp_path}/gateway.db")
    # As gateway/action_service.py makes it, which names no run.
    about = {"by": "alice", "role": "responder", "source": "api", "id": "api-1", "occurred_at": datetime.now(UTC)}
    action = ResponderAction.model_validate({"type": kind, **about})
    assert not await AlertIngester(cut_off, QUEUE, store, spool).accept_action(real.handle.id, action)
    await real.clear()
    await real.until_closed()
    await real.fire(real.alert, "2")
    await real.until_state("notified")
    drain = asyncio.create_task(AlertIngester(real.client, QUEUE, store, spool).drain())
    view = await real.until(lambda view: view if "older_action" in [one.event for one in view.timeline] else None)
    drain.cancel()
    assert (view.state, view.acknowledged_by, view.resolved_by) == ("notified", "", "")
