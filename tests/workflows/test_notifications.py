"""A notification that cannot be sent: the fallback is notified, and what may still succeed is retried."""

import re
import sqlite3
from pathlib import Path

from tests.vendors import Fault
from tests.workflows.harness import IncidentHarness, make_alert

BAD_KEY = Fault(status=400, body='{"status":"invalid event","message":"Event object is invalid"}')


async def test_permanent_error_notifies_fallback_immediately(harness: IncidentHarness) -> None:
    harness.pagerduty.always = BAD_KEY
    await harness.fire()
    view = await harness.until(lambda view: view if view.receipts else None)
    assert [one.destination for one in view.receipts] == ["ops"]
    (message,) = harness.slack.messages
    assert "primary could not be notified: PagerDuty answered 400" in str(message["blocks"])
    assert len(harness.pagerduty.requests) == 1, "a permanent error is not retried"
    assert view.state == "notified"
    await harness.advance(minutes=16)
    await harness.until(lambda view: view.escalation_level == 2)


async def test_short_outage_is_retried_with_same_key(harness: IncidentHarness) -> None:
    harness.pagerduty.script(Fault(status=503), Fault(reset=True), Fault(status=429, headers={"Retry-After": "2"}))
    await harness.fire()
    await harness.advance(seconds=30)
    await harness.until_state("notified")
    assert len(harness.page_keys()) == 4, "three attempts that failed and one that succeeded, all under one key"
    assert len(set(harness.page_keys())) == 1
    assert harness.slack.messages == []


async def test_long_outage_notifies_fallback_then_pages(harness: IncidentHarness) -> None:
    harness.pagerduty.always = Fault(status=503)
    await harness.fire()
    await harness.advance_until(lambda view: view.receipts, minutes=3)
    assert len(harness.slack.messages) == 1
    harness.pagerduty.always = None
    view = await harness.advance_until(lambda view: view if len(view.receipts) == 2 else None, minutes=4)
    assert view.receipts[1].destination == "primary"
    assert view.escalation_level == 1


async def test_retry_after_giveup_finds_earlier_message(harness: IncidentHarness) -> None:
    """Slack stored the message and its response was lost: the retry finds it and posts no second one."""
    harness.slack.always = Fault(reset=True, after=True)
    await harness.fire(make_alert("answer_relevance", 0.7))
    await harness.advance_until(lambda view: any(one.destination == "primary" for one in view.receipts), minutes=3)
    harness.slack.always = None
    await harness.advance_until(lambda view: any(one.destination == "ops" for one in view.receipts), minutes=2)
    assert len(harness.slack.messages) == 1


async def test_acknowledgement_ends_retries(harness: IncidentHarness) -> None:
    harness.pagerduty.always = Fault(status=503)
    await harness.fire()
    await harness.advance_until(lambda view: view.receipts, minutes=3)
    await harness.act("acknowledge", "bob")
    await harness.until(lambda view: "acknowledged" in view.state)
    await harness.advance(minutes=5)
    sent = len(harness.pagerduty.requests)
    harness.pagerduty.always = None
    await harness.advance(hours=1)
    assert len(harness.pagerduty.requests) == sent


async def test_retries_continue_while_pager_and_fallback_fail(harness: IncidentHarness) -> None:
    harness.pagerduty.always = harness.slack.always = Fault(status=503)
    await harness.fire()
    await harness.advance(minutes=14)
    harness.slack.always = None
    await harness.advance_until(lambda view: any(one.destination == "ops" for one in view.receipts), minutes=10)
    assert len({str(message["metadata"]) for message in harness.slack.messages}) == len(harness.slack.messages)


async def test_note_reaches_thread_and_ticket(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("bias", 0.2, model="underwriting"))
    await harness.until(lambda view: len(view.receipts) == 2)
    await harness.act("annotate", "bob", note="rolled back to v41")
    await harness.until(lambda view: sum(one.event == "update_sent_note" for one in view.timeline) == 2)
    assert "bob: rolled back to v41" in harness.slack.messages[1]["text"]
    assert harness.slack.messages[1]["thread_ts"] == harness.slack.messages[0]["ts"]
    assert "rolled back" in str(harness.jira.comments["AIGOV-1"])


async def test_redelivered_callback_counts_once(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    for _ in range(3):
        await harness.callback("acknowledge", "alice", id="pagerduty-01")
    view = await harness.until_state("acknowledged")
    await harness.act("annotate", "bob", note="x")
    view = await harness.view()
    assert sum(one.event == "acknowledged" for one in view.timeline) == 1


async def test_action_for_earlier_run_is_dropped(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.callback("resolve", "alice", first_run_id="00000000")
    await harness.act("annotate", "bob", note="still here")
    assert (await harness.view()).state == "notified"


async def test_locked_audit_log_delays_no_page(harness: IncidentHarness) -> None:
    path = Path(str(harness.audit_log.database.url.database))
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    await harness.fire()
    await harness.until_state("notified")
    assert len(harness.page_keys()) == 1
    await harness.callback("acknowledge", "alice")
    await harness.until_state("acknowledged")
    blocker.execute("ROLLBACK")
    blocker.close()
    await harness.clear()
    records = await harness.until_closed()
    assert [record.event for record in records][:4] == ["received", "classified", "notified", "acknowledged"]


async def test_updates_that_fail_delay_no_later_page(harness: IncidentHarness) -> None:
    """Dozens of notes for a ticket that cannot be written wait; the next fire is paged."""
    await harness.fire(make_alert(model="underwriting"), "1")
    await harness.until(lambda view: len(view.receipts) == 2)
    harness.jira.always = Fault(status=503)
    await harness.callback("acknowledge", "Alice Example", id="pagerduty-1")
    for number in range(50):
        await harness.callback("annotate", "Alice Example", id=f"slack-{number}", note=f"looking, {number}")
    await harness.until(lambda view: sum(one.event == "annotated" for one in view.timeline) == 50)
    await harness.advance(minutes=31)
    await harness.fire(harness.alert, "2")
    await harness.until(lambda view: len(harness.page_keys("primary")) == 2)
    harness.jira.always = None
    await harness.advance_until(lambda _: len(harness.jira.comments.get("AIGOV-1", ())) >= 50, minutes=2)
    written = re.findall(r"looking, (\d+)", str(harness.jira.comments["AIGOV-1"]))
    assert list(dict.fromkeys(written)) == [str(number) for number in range(50)], "in their order"


async def test_fallback_waits_for_no_update_of_pager(harness: IncidentHarness) -> None:
    """The update about the acknowledgement fails at the pager. The next fire finds it still failing."""
    await harness.fire(event_id="1")
    await harness.until_state("notified")
    harness.pagerduty.always = Fault(status=503)
    await harness.act("acknowledge", "bob")
    await harness.advance(minutes=31)
    await harness.fire(harness.alert, "2")
    await harness.advance_until(lambda view: any(one.destination == "ops" for one in view.receipts), seconds=20)
    harness.pagerduty.always = None
    await harness.advance_until(lambda _: len(set(harness.page_keys("primary"))) == 2, minutes=3)
