"""Responder actions beyond acknowledge and resolve, and the updates that other places receive."""

from tests.vendors import Fault
from tests.workflows.harness import IncidentHarness, make_alert


def texts(harness: IncidentHarness) -> list[str]:
    """The texts in Slack's threads, in order."""
    return [one["text"] for one in harness.slack.messages if one["thread_ts"]]


async def event_names(harness: IncidentHarness) -> list[str]:
    return [entry.event for entry in (await harness.view()).timeline]


async def test_withdrawn_acknowledgement_resumes_escalation(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.callback("acknowledge", "Alice", id="1")
    await harness.until_state("acknowledged")
    await harness.advance(hours=1)
    await harness.callback("unacknowledge", "Alice", id="2")
    await harness.until_state("notified")
    await harness.advance(minutes=14)
    assert harness.page_keys("secondary") == []
    await harness.advance(minutes=2)
    await harness.until(lambda view: view.escalation_level == 2)
    assert len(harness.page_keys("secondary")) == len(harness.page_keys("managers")) == 1
    assert len(harness.page_keys("primary")) == 1
    await harness.callback("acknowledge", "Bob", id="3")
    view = await harness.until_state("acknowledged")
    assert view.acknowledged_by == "Bob"


async def test_acknowledgement_withdrawn_after_last_step_restarts_escalation(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.advance(hours=2)
    await harness.until(lambda view: view.escalation_level == 4)
    await harness.callback("acknowledge", "Alice", id="1")
    await harness.until_state("acknowledged")
    await harness.callback("unacknowledge", "Alice", id="2")
    await harness.until(lambda view: view.escalation_level == 1 and len(harness.page_keys("primary")) == 2)
    assert len(set(harness.page_keys("primary"))) == 2, "not folded into the first page"


async def test_expired_silence_restarts_escalation(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.callback("silence", "Alice", id="1", silence_seconds=3600)
    view = await harness.until_state("acknowledged")
    assert view.next_action.startswith("Notify again unless it is resolved: silenced by Alice")
    await harness.advance(minutes=59)
    assert len(harness.page_keys()) == 1
    await harness.advance(minutes=2)
    await harness.until(lambda view: view.state == "notified" and len(harness.page_keys("primary")) == 2)
    assert (await harness.view()).acknowledged_by == ""
    note = harness.pagerduty.events("trigger")[-1]["payload"]["custom_details"]["Note"]
    assert note == "The silence expired and the monitor is still triggered."


async def test_alert_that_clears_during_silence_stays_silent(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.callback("silence", "Alice", id="1", silence_seconds=3600)
    await harness.until_state("acknowledged")
    await harness.clear()
    await harness.until_closed()
    assert len(harness.page_keys()) == 1


async def test_tier_rise_during_silence_pages(harness: IncidentHarness) -> None:
    alert = make_alert("answer_relevance", 0.7)
    await harness.fire(alert)
    await harness.until_state("notified")
    await harness.callback("silence", "Alice", id="1", silence_seconds=3600)
    await harness.until_state("acknowledged")
    for number in range(2):
        await harness.fire(alert, event_id=f"again-{number}")
    await harness.until(lambda view: view.tier == "critical" and len(harness.page_keys("primary")) == 1)


async def test_false_alarm_closes_incident(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("answer_relevance", 0.7))
    await harness.until_state("notified")
    await harness.callback("false_alarm", "Alice", id="1")
    records = await harness.until_closed()
    assert [one.event for one in records].count("false_alarm") == 1
    assert texts(harness)[-1] == "Marked as false alarm by Alice."


async def test_false_alarm_does_not_close_regulated_incident(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("bias", 0.2, model="underwriting"))
    await harness.until(lambda view: len(view.receipts) == 2)
    await harness.callback("false_alarm", "Alice", id="1")
    await harness.until_state("awaiting_human")
    assert await harness.is_open()


async def test_threads_and_tickets_show_progress(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("bias", 0.2, model="underwriting"))
    await harness.until(lambda view: len(view.receipts) == 2)
    for number in range(4):
        await harness.fire(event_id=f"again-{number}")
        await harness.until(lambda view, seen=number + 2: view.alert_count == seen)
    await harness.callback("annotate", "Alice", id="1", note="looking at the deploy")
    await harness.callback("acknowledge", "Alice", id="2")
    await harness.callback("unacknowledge", "Alice", id="3")
    (ticket,) = harness.jira.comments
    await harness.until(lambda view: len(harness.jira.comments[ticket]) == 3)
    await harness.until(lambda view: len(texts(harness)) == 5)
    assert texts(harness) == [
        "Triggered again: 2 alerts so far, now 0.2.",
        "Triggered again: 5 alerts so far, now 0.2.",
        "Alice: looking at the deploy",
        "Acknowledged by Alice",
        "Acknowledgement withdrawn by Alice",
    ]
    (message,) = [one for one in harness.slack.messages if not one["thread_ts"]]
    assert "Acknowledged by" not in str(message["blocks"])


async def test_reopen_at_vendor_resumes_escalation(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    harness.pagerduty.always = Fault(status=503)
    await harness.act("resolve", "Bob")
    await harness.until_state("resolved")
    await harness.callback("reopen", "Alice", id="2")
    await harness.until_state("notified")
    assert (await event_names(harness))[-1] == "reopened"
    harness.pagerduty.always = None
    await harness.advance(minutes=16)
    await harness.until(lambda view: len(harness.page_keys("secondary")) == 1)


async def test_reopen_withdraws_acknowledgement(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.callback("acknowledge", "Alice", id="1")
    await harness.until_state("acknowledged")
    await harness.callback("reopen", "Alice", id="2")
    view = await harness.until_state("notified")
    assert view.acknowledged_by == ""


async def test_reassignment_at_vendor_is_noted(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("answer_relevance", 0.7))
    await harness.until_state("notified")
    await harness.callback("escalate", "Alice", id="1", note="Bob")
    await harness.callback("reassign", "Alice", id="2", note="Carol")
    await harness.until(lambda view: len(texts(harness)) == 2)
    assert texts(harness) == ["Alice escalated in pagerduty to Bob", "Alice reassigned in pagerduty to Carol"]
    assert harness.page_keys() == []
