"""Alerts of an incident: hold, repeat, tier rise, clear, alert after the close."""

import asyncio

import pytest

from alerts import incident_id
from tests.vendors import Fault
from tests.workflows.harness import IncidentHarness, make_alert

LATENCY = make_alert("p95_latency_ms", 6200, threshold=5000)
RELEVANCE = make_alert("answer_relevance", 0.7)


async def test_alert_that_clears_during_hold_pages_nobody(harness: IncidentHarness) -> None:
    await harness.fire(LATENCY)
    view = await harness.until_state("holding")
    assert "still triggered" in view.next_action
    await harness.advance(minutes=4)
    await harness.clear(1200)
    records = await harness.until_closed()
    assert [record.event for record in records] == ["received", "classified", "holding", "cleared"]
    assert harness.pagerduty.requests == []


async def test_alert_that_outlasts_hold_pages(harness: IncidentHarness) -> None:
    await harness.fire(LATENCY)
    await harness.until_state("holding")
    await harness.advance(minutes=4)
    assert harness.page_keys() == []
    await harness.advance(minutes=1, seconds=1)
    await harness.until_state("notified")
    assert len(harness.page_keys()) == 1


async def test_acknowledgement_ends_hold(harness: IncidentHarness) -> None:
    await harness.fire(LATENCY)
    await harness.until_state("holding")
    await harness.act("acknowledge", "bob")
    await harness.advance(minutes=30)
    assert (await harness.view()).state == "acknowledged"
    assert harness.page_keys() == []


async def test_repeat_joins_and_pages_nobody(harness: IncidentHarness) -> None:
    assert (await harness.fire()).state == "started"
    await harness.until_state("notified")
    for number in range(5):
        assert (await harness.fire(make_alert(value=0.4 + number / 100))).state == "joined"
    view = await harness.until(lambda view: view if view.alert_count == 6 else None)
    assert view.alert
    assert view.alert.value == pytest.approx(0.44)
    assert len(harness.page_keys()) == 1


async def test_many_concurrent_alerts_are_one_page(harness: IncidentHarness) -> None:
    states = await asyncio.gather(*(harness.fire(event_id=f"evt-{number}") for number in range(200)))
    assert sorted(accepted.state for accepted in states) == ["joined"] * 199 + ["started"]
    view = await harness.until(lambda view: view if view.alert_count == 200 and view.receipts else None)
    assert len(harness.page_keys()) == 1
    history = await harness.handle.fetch_history()
    assert len(history.events) < 60, "repeats that arrive together share a signal"
    assert view.state == "notified"


async def test_redelivery_counts_once(harness: IncidentHarness) -> None:
    await harness.fire(event_id="evt-1")
    await harness.until_state("notified")
    await harness.fire(make_alert(value=0.5), event_id="evt-2")
    await harness.until(lambda view: view.alert_count == 2)
    assert (await harness.fire(event_id="evt-1")).state == "joined"
    await harness.fire(make_alert(value=0.6), event_id="evt-3")
    view = await harness.until(lambda view: view if view.alert_count >= 3 else None)
    assert view.alert_count == 3


async def test_worse_repeat_raises_tier_and_pages(harness: IncidentHarness) -> None:
    await harness.fire(RELEVANCE)
    await harness.until_state("notified")
    await harness.act("acknowledge", "bob")
    for value in (0.6, 0.5, 0.4):
        await harness.fire(make_alert("answer_relevance", value))
    view = await harness.until(lambda view: view if view.tier == "critical" and len(view.receipts) == 2 else None)
    assert (view.rule, view.state, view.acknowledged_by) == ("many", "notified", "")
    assert len(harness.page_keys("primary")) == 1
    await harness.advance(minutes=16)
    await harness.until(lambda view: len(view.receipts) == 4)


async def test_milder_repeat_keeps_tier(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.fire(make_alert(value=0.01))
    view = await harness.until(lambda view: view if view.alert_count == 2 else None)
    assert (view.tier, view.rule) == ("critical", "errors")


async def test_no_data_is_recorded_and_resolves_nothing(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.send(harness.alert.model_copy(update={"status": "no_data", "value": None}))
    view = await harness.until(lambda view: view if any(one.event == "no_data" for one in view.timeline) else None)
    assert view.state == "notified"
    await harness.advance(minutes=16)
    await harness.until(lambda view: len(view.receipts) == 3)


async def test_clear_without_open_incident_is_recorded(harness: IncidentHarness) -> None:
    accepted = await harness.send(make_alert(status="CLEARED"))
    assert accepted.state == "recorded"


async def test_trigger_during_final_updates_reopens_and_pages(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    harness.pagerduty.script(Fault(delay=3))
    await harness.clear()
    await harness.until_state("resolved")
    await harness.fire(make_alert(value=0.5), event_id="evt-again")
    view = await harness.until(lambda view: view if view.state == "notified" and len(view.receipts) == 2 else None)
    assert len(set(harness.page_keys("primary"))) == 2, "a pager folds a trigger under the old key silently"
    assert view.resolved_by == ""


async def test_no_data_during_final_updates_is_decided_about(harness: IncidentHarness) -> None:
    """A moment later it would open an incident of its own."""
    await harness.fire()
    await harness.until_state("notified")
    harness.pagerduty.script(Fault(delay=3))
    await harness.clear()
    await harness.until_state("resolved")
    await harness.send(harness.alert.model_copy(update={"status": "no_data", "value": None}), "evt-3")
    view = await harness.until(lambda view: view if len(view.receipts) == 2 else None)
    texts = [one.text for one in view.timeline if one.event == "reopened"]
    assert texts == ["opened again: its monitor has no data, before it was closed"]
    assert (view.state, view.rule, view.resolved_by) == ("notified", "otherwise", ""), "it is in the daily digest"


async def test_alert_after_close_opens_new_incident(harness: IncidentHarness) -> None:
    await harness.fire()
    first = await harness.until_state("notified")
    await harness.clear()
    await harness.until_closed()
    assert (await harness.fire(event_id="evt-2")).state == "started"
    second = await harness.until_state("notified")
    assert second.id == first.id
    assert second.first_run_id != first.first_run_id
    assert len(set(harness.page_keys())) == 2


async def test_two_segments_are_two_incidents() -> None:
    premium = make_alert(segment={"customer_tier": "premium"})
    free = make_alert(segment={"customer_tier": "free"})
    assert incident_id(premium) != incident_id(free)
