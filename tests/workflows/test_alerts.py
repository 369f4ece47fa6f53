"""What alerts do to an incident: hold, join, rise, clear, come again."""

import pytest

from alerts import incident_id
from tests.vendors import Fault
from tests.workflows.stage import Stage, an_alert

LATENCY = an_alert("p95_latency_ms", 6200, threshold=5000)
RELEVANCE = an_alert("answer_relevance", 0.7)


async def test_what_heals_within_its_hold_pages_nobody(stage: Stage) -> None:
    await stage.fire(LATENCY)
    view = await stage.settled("holding")
    assert "still triggered" in view.awaiting
    await stage.after(minutes=4)
    await stage.clear(1200)
    records = await stage.closed()
    assert [record.what for record in records] == ["received", "classified", "holding", "cleared"]
    assert stage.pagerduty.requests == []


async def test_what_lasts_longer_than_its_hold_pages(stage: Stage) -> None:
    await stage.fire(LATENCY)
    await stage.settled("holding")
    await stage.after(minutes=4)
    assert stage.paged() == []
    await stage.after(minutes=1, seconds=1)
    await stage.settled("notified")
    assert len(stage.paged()) == 1


async def test_an_acknowledgement_ends_a_hold(stage: Stage) -> None:
    await stage.fire(LATENCY)
    await stage.settled("holding")
    await stage.act("acknowledge", "bob")
    await stage.after(minutes=30)
    assert (await stage.view()).state == "acknowledged"
    assert stage.paged() == []


async def test_a_repeat_joins_and_pages_nobody(stage: Stage) -> None:
    assert (await stage.fire()).state == "started"
    await stage.settled("notified")
    for number in range(5):
        assert (await stage.fire(an_alert(value=0.4 + number / 100))).state == "joined"
    view = await stage.until(lambda view: view if view.alerts == 6 else None)
    assert view.alert
    assert view.alert.value == pytest.approx(0.44)
    assert len(stage.paged()) == 1


async def test_many_at_once_are_one_incident_and_one_page(stage: Stage) -> None:
    import asyncio

    states = await asyncio.gather(*(stage.fire(event_id=f"evt-{number}") for number in range(200)))
    assert sorted(taken.state for taken in states) == ["joined"] * 199 + ["started"]
    view = await stage.until(lambda view: view if view.alerts == 200 and view.receipts else None)
    assert len(stage.paged()) == 1
    history = await stage.handle.fetch_history()
    assert len(history.events) < 60, "repeats that arrive together share a signal"
    assert view.state == "notified"


async def test_a_redelivery_counts_once(stage: Stage) -> None:
    await stage.fire(event_id="evt-1")
    await stage.settled("notified")
    await stage.fire(an_alert(value=0.5), event_id="evt-2")
    await stage.until(lambda view: view.alerts == 2)
    assert (await stage.fire(event_id="evt-1")).state == "joined"
    await stage.fire(an_alert(value=0.6), event_id="evt-3")
    view = await stage.until(lambda view: view if view.alerts >= 3 else None)
    assert view.alerts == 3


async def test_a_worse_repeat_raises_the_tier_and_pages(stage: Stage) -> None:
    await stage.fire(RELEVANCE)
    await stage.settled("notified")
    await stage.act("acknowledge", "bob")
    for value in (0.6, 0.5, 0.4):
        await stage.fire(an_alert("answer_relevance", value))
    view = await stage.until(lambda view: view if view.tier == "critical" and len(view.receipts) == 2 else None)
    assert (view.rule, view.state, view.acknowledged_by) == ("many", "notified", "")
    assert len(stage.paged("primary")) == 1
    await stage.after(minutes=16)
    await stage.until(lambda view: len(view.receipts) == 4)


async def test_a_milder_repeat_lowers_nothing(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.fire(an_alert(value=0.01))
    view = await stage.until(lambda view: view if view.alerts == 2 else None)
    assert (view.tier, view.rule) == ("critical", "errors")


async def test_no_data_is_noted_and_puts_no_fire_out(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.intake.take(stage.alert.model_copy(update={"status": "no_data", "value": None}))
    view = await stage.until(lambda view: view if any(one.what == "no_data" for one in view.timeline) else None)
    assert view.state == "notified"
    await stage.after(minutes=16)
    await stage.until(lambda view: len(view.receipts) == 3)


async def test_a_clear_with_nothing_open_is_recorded(stage: Stage) -> None:
    taken = await stage.intake.take(an_alert(status="CLEARED"))
    assert taken.state == "recorded"


async def test_triggered_again_while_the_last_messages_are_on_their_way_is_a_new_fire(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    stage.pagerduty.script(Fault(delay=1.5))
    await stage.clear()
    await stage.settled("resolved")
    await stage.fire(an_alert(value=0.5), event_id="evt-again")
    view = await stage.until(lambda view: view if view.state == "notified" and len(view.receipts) == 2 else None)
    assert len(set(stage.paged("primary"))) == 2, "under the old key nobody would hear it"
    assert view.resolved_by == ""


async def test_after_the_close_the_next_alert_opens_a_new_incident(stage: Stage) -> None:
    await stage.fire()
    first = await stage.settled("notified")
    await stage.clear()
    await stage.closed()
    assert (await stage.fire(event_id="evt-2")).state == "started"
    second = await stage.settled("notified")
    assert second.id == first.id
    assert second.opening != first.opening
    assert len(set(stage.paged())) == 2


async def test_two_segments_are_two_incidents() -> None:
    premium = an_alert(segment={"customer_tier": "premium"})
    free = an_alert(segment={"customer_tier": "free"})
    assert incident_id(premium) != incident_id(free)
