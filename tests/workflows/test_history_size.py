"""The events that an incident writes to its history, and the order in which it processes what arrives."""

import asyncio
import sqlite3
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from temporalio.api.enums.v1 import EventType

from tests.vendors import Fault
from tests.waiting import wait_until
from tests.workflows.harness import IncidentHarness, make_alert


async def events(harness: IncidentHarness) -> Counter[str]:
    history = await harness.handle.fetch_history()
    return Counter(EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower() for event in history.events)


async def test_whole_incident_takes_twenty_nine_events(real: IncidentHarness) -> None:
    """Paged, acknowledged by a callback, cleared. Temporal bills by these events: each new one must be intended."""
    harness = real

    async def idle_after(workflow_tasks: int) -> None:
        # Reading the history costs no event; a query or signal during a workflow task costs another workflow task.
        await wait_until(lambda: completed_tasks(harness, workflow_tasks))

    await harness.fire()
    await idle_after(2)
    await harness.until_state("notified")
    await harness.callback("acknowledge", "Alice", id="pagerduty-1")
    await idle_after(3)
    await harness.until_state("acknowledged")
    await harness.clear()
    records = await harness.until_closed()
    assert await events(harness) == {
        "workflow_execution_started": 1,
        "workflow_task_scheduled": 5,
        "workflow_task_started": 5,
        "workflow_task_completed": 5,
        "marker_recorded": 1,
        "activity_task_scheduled": 2,
        "activity_task_started": 2,
        "activity_task_completed": 2,
        "timer_started": 1,
        "upsert_workflow_search_attributes": 2,
        "workflow_execution_signaled": 2,
        "workflow_execution_completed": 1,
    }
    assert [one.event for one in records] == [
        "received",
        "classified",
        "notified",
        "acknowledged",
        "cleared",
        "update_sent_resolve",
    ]


async def test_search_attributes_are_set_at_start(real: IncidentHarness) -> None:
    harness = real
    async with harness.without_worker():
        await harness.fire()
        listed = (await harness.handle.describe()).search_attributes
        assert (listed["TocsinRule"], listed["TocsinTier"], listed["TocsinTeam"]) == (
            ["errors"],
            ["critical"],
            ["support"],
        )
    await harness.until_state("notified")
    assert "TocsinTier" not in str(await upserts(harness))
    assert (await harness.view()).decision == harness.policies[-1].decide(harness.alert, datetime.now(UTC))


async def test_worker_decides_if_gateway_does_not(real: IncidentHarness) -> None:
    """A gateway without the destinations' secrets does not know which of them the console replaces."""
    harness = real
    harness.gateway_decides = False
    await harness.fire()
    await harness.until_state("notified")
    listed = (await harness.handle.describe()).search_attributes
    assert (listed["TocsinRule"], listed["TocsinTier"]) == (["errors"], ["critical"])
    assert "TocsinTier" in str(await upserts(harness))
    assert (await events(harness))["activity_task_scheduled"] == 2


async def test_gateway_decision_covers_first_alerts_only(harness: IncidentHarness) -> None:
    """Alerts that arrive before the first workflow task are decided by a worker: the third makes it critical."""
    async with harness.without_worker():
        for value in (0.7, 0.69, 0.68):
            await harness.fire(make_alert("answer_relevance", value))
    view = await harness.until(lambda view: view if view.tier == "critical" else None)
    assert (view.alert_count, view.decision.rule if view.decision else "") == (3, "many")
    assert [one.text.split(":")[0] for one in view.timeline if one.event == "classified"] == [
        "high by rule quality",
        "critical by rule many",
    ]


async def fired_timers(harness: IncidentHarness) -> int:
    return (await events(harness))["timer_fired"]


async def scheduled_activities(harness: IncidentHarness, number: int) -> bool:
    return (await events(harness))["activity_task_scheduled"] >= number


async def listed_as_resolved(harness: IncidentHarness) -> bool:
    return (await harness.handle.describe()).search_attributes["TocsinState"] == ["resolved"]


async def completed_tasks(harness: IncidentHarness, number: int) -> bool:
    found = await events(harness)
    return found["workflow_task_completed"] == found["workflow_task_scheduled"] == number


async def upserts(harness: IncidentHarness) -> list[str]:
    history = await harness.handle.fetch_history()
    return [
        str(event.upsert_workflow_search_attributes_event_attributes)
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES
    ]


async def test_events_are_processed_in_arrival_order(real: IncidentHarness) -> None:
    harness = real
    await harness.fire()
    await harness.until_state("notified")
    async with harness.without_worker():
        await harness.callback("acknowledge", "Alice", id="pagerduty-1")
        await harness.fire(harness.alert.model_copy(update={"value": 0.5}))
        await harness.clear()
    records = await harness.until_closed()
    assert [one.event for one in records if one.event in {"acknowledged", "alert_added", "cleared"}] == [
        "acknowledged",
        "alert_added",
        "cleared",
    ]


async def test_queued_acknowledgement_stops_step_that_is_due(real: IncidentHarness) -> None:
    """The step becomes due while a worker classifies the repeats that arrived before the acknowledgement."""
    harness = real
    harness.change_policy("after: 15m", "after: 12s")
    await harness.fire()
    await harness.until_state("notified")
    async with harness.without_worker():
        await harness.fire(harness.alert.model_copy(update={"value": 0.4}))
        await harness.callback("annotate", "Alice", id="pagerduty-1", note="looking")
        await harness.fire(harness.alert.model_copy(update={"value": 0.5}))
        await harness.callback("acknowledge", "Alice", id="pagerduty-2")
        await wait_until(lambda: fired_timers(harness))
    view = await harness.until_state("acknowledged")
    assert (view.alert_count, view.escalation_level) == (3, 1)
    await asyncio.sleep(3)
    assert len(harness.page_keys()) == 1


async def test_action_is_recorded_once_despite_locked_log(harness: IncidentHarness, tmp_path: Path) -> None:
    """Events that the locked log refuses are written by an activity when the lock is released."""
    await harness.fire()
    await harness.until_state("notified")
    lock = sqlite3.connect(tmp_path / "audit.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    await harness.callback("acknowledge", "Alice", id="pagerduty-1")
    await wait_until(lambda: scheduled_activities(harness, 2))
    lock.execute("ROLLBACK")
    lock.close()
    await harness.clear()
    records = await harness.until_closed()
    assert [one.event for one in records].count("acknowledged") == 1
    assert (await events(harness))["activity_task_scheduled"] == 3


async def test_obsolete_timer_fires_once(harness: IncidentHarness) -> None:
    """After an acknowledgement the escalation's timer fires without effect; the reminder comes at its time."""
    await harness.fire()
    await harness.until_state("notified")
    await harness.callback("acknowledge", "Alice", id="pagerduty-1")
    await harness.until_state("acknowledged")
    await harness.advance(minutes=200)
    assert len(harness.page_keys()) == 1
    assert (await events(harness))["timer_fired"] == 1
    await harness.advance(minutes=41)
    await harness.until(lambda view: any(one.event == "reminded" for one in view.timeline))
    reminded = next(one.at for one in (await harness.view()).timeline if one.event == "reminded")
    acknowledged = (await harness.view()).acknowledged_at
    assert acknowledged is not None
    assert abs((reminded - acknowledged).total_seconds() - 4 * 3600) < 5


async def test_slow_close_is_listed_as_resolved(real: IncidentHarness) -> None:
    """A pager that fails delays the close; the incident is listed as resolved meanwhile."""
    harness = real
    await harness.fire()
    await harness.until_state("notified")
    harness.pagerduty.always = Fault(status=503)
    await harness.clear()
    await harness.until_state("resolved")
    assert (await harness.handle.describe()).search_attributes["TocsinState"] == ["notified"]
    await wait_until(lambda: listed_as_resolved(harness), 0.2)
    harness.pagerduty.always = None
    await harness.until_closed()
    assert len({event["dedup_key"] for event in harness.pagerduty.events("resolve")}) == 1
