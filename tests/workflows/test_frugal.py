"""What an incident costs, and that it is right all the same."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.api.enums.v1 import EventType

from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.workflows.stage import Stage, an_alert, staged


@pytest.fixture
async def real(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[Stage]:
    async with staged(tmp_path, pagerduty, slack, jira, real=True) as stage:
        yield stage


async def events(stage: Stage) -> Counter[str]:
    history = await stage.handle.fetch_history()
    return Counter(EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower() for event in history.events)


async def test_a_whole_life_is_twenty_nine_events(real: Stage) -> None:
    """Paged, acknowledged by a callback, cleared: a bill is made of these. Each one that comes is to be meant."""
    stage = real
    await stage.fire()
    await asyncio.sleep(1)  # whoever asks, or says something, while it is at work costs one more workflow task
    await stage.settled("notified")
    await stage.callback("acknowledge", "Alice", id="pagerduty-1")
    await asyncio.sleep(1)
    await stage.settled("acknowledged")
    await stage.clear()
    records = await stage.closed()
    assert await events(stage) == {
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
    assert [one.what for one in records] == [
        "received",
        "classified",
        "notified",
        "acknowledged",
        "cleared",
        "told_resolve",
    ]


async def test_it_is_listed_under_what_the_gateway_decided_from_its_beginning(real: Stage) -> None:
    stage = real
    async with stage.unattended():
        await stage.fire()
        there = (await stage.handle.describe()).search_attributes
        assert (there["TocsinRule"], there["TocsinTier"], there["TocsinTeam"]) == (
            ["errors"],
            ["critical"],
            ["support"],
        )
    await stage.settled("notified")
    assert "TocsinTier" not in str(await upserts(stage))
    assert (await stage.view()).decision == stage.policies[-1].decide(stage.alert, datetime.now(UTC))


async def test_where_the_gateway_does_not_decide_a_worker_does(real: Stage) -> None:
    """A gateway without the destinations' secrets does not know what the console stands in for."""
    stage = real
    stage.intake._handover._decide = lambda *_: None
    await stage.fire()
    await stage.settled("notified")
    there = (await stage.handle.describe()).search_attributes
    assert (there["TocsinRule"], there["TocsinTier"]) == (["errors"], ["critical"])
    assert "TocsinTier" in str(await upserts(stage))
    assert (await events(stage))["activity_task_scheduled"] == 2


async def test_the_gateways_decision_is_about_the_first_alerts_alone(stage: Stage) -> None:
    """What comes before anybody has looked is decided with what is known by then: by the third it is critical."""
    async with stage.unattended():
        for value in (0.7, 0.69, 0.68):
            await stage.fire(an_alert("answer_relevance", value))
    view = await stage.until(lambda view: view if view.tier == "critical" else None)
    assert (view.alerts, view.decision.rule if view.decision else "") == (3, "many")
    assert [one.text.split(":")[0] for one in view.timeline if one.what == "classified"] == [
        "high by rule quality",
        "critical by rule many",
    ]


async def upserts(stage: Stage) -> list[str]:
    history = await stage.handle.fetch_history()
    return [
        str(event.upsert_workflow_search_attributes_event_attributes)
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES
    ]


async def test_alerts_and_answers_are_heard_in_the_order_in_which_they_came(real: Stage) -> None:
    stage = real
    await stage.fire()
    await stage.settled("notified")
    async with stage.unattended():
        await stage.callback("acknowledge", "Alice", id="pagerduty-1")
        await stage.fire(stage.alert.model_copy(update={"value": 0.5}))
        await stage.clear()
    records = await stage.closed()
    assert [one.what for one in records if one.what in {"acknowledged", "joined", "cleared"}] == [
        "acknowledged",
        "joined",
        "cleared",
    ]


async def test_an_acknowledgement_behind_repeats_is_heard_before_the_step_that_is_due(real: Stage) -> None:
    """A worker is asked about the repeats in front of it, and meanwhile the step's time comes."""
    stage = real
    stage.change_policy("after: 15m", "after: 6s")
    await stage.fire()
    await stage.settled("notified")
    async with stage.unattended():
        await stage.fire(stage.alert.model_copy(update={"value": 0.4}))
        await stage.callback("annotate", "Alice", id="pagerduty-1", note="looking")
        await stage.fire(stage.alert.model_copy(update={"value": 0.5}))
        await stage.callback("acknowledge", "Alice", id="pagerduty-2")
        while "TIMER_FIRED" not in str(await stage.handle.fetch_history()):
            await asyncio.sleep(0.05)
    view = await stage.settled("acknowledged")
    assert (view.alerts, view.escalation) == (3, 1)
    await asyncio.sleep(3)
    assert len(stage.paged()) == 1


async def test_an_answer_is_recorded_once_though_the_log_is_locked(stage: Stage, tmp_path: Path) -> None:
    """What the log does not take at once is recorded as soon as it does, by an activity."""
    await stage.fire()
    await stage.settled("notified")
    lock = sqlite3.connect(tmp_path / "audit.db", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    await stage.callback("acknowledge", "Alice", id="pagerduty-1")
    async with asyncio.timeout(20):
        while (await events(stage))["activity_task_scheduled"] < 2:
            await asyncio.sleep(0.1)
    lock.execute("ROLLBACK")
    lock.close()
    await stage.clear()
    records = await stage.closed()
    assert [one.what for one in records].count("acknowledged") == 1
    assert (await events(stage))["activity_task_scheduled"] == 3


async def test_a_timer_that_rings_for_nothing_rings_once(stage: Stage) -> None:
    """Acknowledged, the timer of the escalation stays, and wakes nobody; the reminder comes at its time."""
    await stage.fire()
    await stage.settled("notified")
    await stage.callback("acknowledge", "Alice", id="pagerduty-1")
    await stage.settled("acknowledged")
    await stage.after(minutes=200)
    assert len(stage.paged()) == 1
    assert (await events(stage))["timer_fired"] == 1
    await stage.after(minutes=41)
    await stage.until(lambda view: any(one.what == "reminded" for one in view.timeline))
    reminded = next(one.at for one in (await stage.view()).timeline if one.what == "reminded")
    acknowledged = (await stage.view()).acknowledged_at
    assert acknowledged is not None
    assert abs((reminded - acknowledged).total_seconds() - 4 * 3600) < 5


async def test_what_stays_resolved_for_long_is_listed_as_that(real: Stage) -> None:
    """A pager that does not answer keeps it from being closed; whoever looks for it finds it."""
    stage = real
    await stage.fire()
    await stage.settled("notified")
    stage.pagerduty.always = Fault(status=503)
    await stage.clear()
    await stage.settled("resolved")
    assert (await stage.handle.describe()).search_attributes["TocsinState"] == ["notified"]
    async with asyncio.timeout(40):
        while (await stage.handle.describe()).search_attributes["TocsinState"] != ["resolved"]:
            await asyncio.sleep(0.2)
    stage.pagerduty.always = None
    await stage.closed()
    assert len({event["dedup_key"] for event in stage.pagerduty.events("resolve")}) == 1
