"""No notification waits for another one that is less urgent, or that somebody else fails to take."""

import asyncio
import sqlite3
from pathlib import Path

from tests.vendors import Fault, Request
from tests.workflows.harness import IncidentHarness, make_alert

SLOW = Fault(status=503, headers={"Retry-After": "3600"})


async def test_reminders_of_a_dead_pager_delay_no_fallback(harness: IncidentHarness) -> None:
    """Acknowledged; the pager dies; reminders wait for it. When it fires again, the fallback is notified."""
    harness.change_policy("remind: 4h", "remind: 30m")
    await harness.fire(event_id="1")
    await harness.until_state("notified")
    await harness.act("acknowledge", "bob")
    await harness.until(lambda view: any(one.event == "update_sent_acknowledge" for one in view.timeline))
    harness.pagerduty.always = SLOW
    for _ in range(26):
        await harness.advance(minutes=30)
    await harness.fire(harness.alert, "2")
    view = await harness.advance_until(lambda view: view if harness.slack.messages else None, minutes=1)
    assert view.refire_count == 1


async def test_reminders_of_a_dead_channel_delay_no_fallback(harness: IncidentHarness) -> None:
    harness.change_policy("    fallback: [primary]", "    fallback: [primary]\n    remind: 1h")
    await harness.fire(make_alert("answer_relevance", 0.7), "1")
    await harness.until_state("notified")
    await harness.act("acknowledge", "bob")
    harness.slack.always = SLOW
    for _ in range(10):
        await harness.advance(hours=1)
    await harness.fire(harness.alert, "2")
    await harness.advance_until(lambda _: harness.page_keys(), minutes=2)


async def test_retry_of_a_page_waits_for_no_update(harness: IncidentHarness) -> None:
    """The pager limits the rate of an acknowledgement. It fires again, and the page fails for three minutes."""
    failing = True

    def fault(request: Request) -> Fault | None:
        if request.body.get("event_action") == "acknowledge":
            return Fault(status=429, headers={"Retry-After": "3600"})
        return Fault(status=503) if failing and "/" in request.body["dedup_key"] else None

    await harness.fire(event_id="1")
    await harness.until_state("notified")
    harness.pagerduty.choose = fault
    await harness.act("acknowledge", "bob")
    await harness.advance(minutes=31)
    await harness.fire(harness.alert, "2")
    await harness.advance_until(lambda view: any(one.destination == "ops" for one in view.receipts), minutes=1)
    failing = False
    await harness.advance_until(lambda _: len(harness.pagerduty.paged) == 2, minutes=1)


async def test_page_whose_response_was_lost_folds_no_later_page(harness: IncidentHarness) -> None:
    """PagerDuty takes the page, and its answers are lost; the fallback is acknowledged; it fires again."""
    harness.pagerduty.always = Fault(reset=True, after=True)
    await harness.fire(event_id="1")
    await harness.advance_until(lambda view: any(one.destination == "ops" for one in view.receipts), minutes=1)
    await harness.act("acknowledge", "bob", source="slack")
    harness.pagerduty.always = None
    await harness.advance(minutes=36)
    await harness.fire(harness.alert, "2")
    await harness.until(lambda view: any(one.destination == "primary" for one in view.receipts))
    assert len(harness.pagerduty.paged) == 2, "the second page makes a sound"


async def test_locked_database_delays_no_post(harness: IncidentHarness) -> None:
    """A regulated low incident flaps while the database of audit log and digests is locked; then it is high."""
    await harness.fire(make_alert("percent_empty", 0.2, model="underwriting"), "0")
    await harness.until(lambda view: view.receipts)
    blocker = sqlite3.connect(Path(str(harness.audit_log.database.url.database)), isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    for number in range(9):
        await harness.clear()
        await harness.until(lambda view: view.cleared)
        await harness.fire(harness.alert, f"flap-{number}")
        await harness.until(lambda view, count=number + 1: view.refire_count == count)
    same = {name: getattr(harness.alert, name) for name in ("identity", "monitor_id", "monitor")}
    await harness.send(make_alert("bias", 0.2, model="underwriting").model_copy(update=same), "high")
    await harness.until(lambda view: view.tier == "high")
    async with asyncio.timeout(60):
        while not harness.slack.messages:
            await asyncio.sleep(0.1)
    blocker.execute("ROLLBACK")
    blocker.close()


async def test_closed_incident_leaves_none_open_at_the_pager(harness: IncidentHarness) -> None:
    await harness.fire(event_id="1")
    await harness.until_state("notified")
    await harness.act("acknowledge", "bob")
    for _ in range(21):
        await harness.advance(hours=4)
    await harness.until(lambda view: sum(one.event == "reminded" for one in view.timeline) >= 20)
    await harness.clear()
    await harness.until_closed()
    assert not harness.pagerduty.open
