"""What cannot be delivered reaches somebody else, and is tried again where that can help."""

from tests.vendors import Fault
from tests.workflows.stage import Stage, an_alert

BAD_KEY = Fault(status=400, body='{"status":"invalid event","message":"Event object is invalid"}')


async def test_a_wrong_key_tells_the_fallback_at_once(stage: Stage) -> None:
    stage.pagerduty.always = BAD_KEY
    await stage.fire()
    view = await stage.until(lambda view: view if view.receipts else None)
    assert [one.destination for one in view.receipts] == ["ops"]
    (message,) = stage.slack.messages
    assert "primary could not be told: PagerDuty answered 400" in str(message["blocks"])
    assert len(stage.pagerduty.requests) == 1, "a permanent error is not retried"
    assert view.state == "notified"
    await stage.after(minutes=16)
    await stage.until(lambda view: view.escalation == 2)


async def test_an_outage_is_waited_out(stage: Stage) -> None:
    stage.pagerduty.script(Fault(status=503), Fault(reset=True), Fault(status=429, headers={"Retry-After": "2"}))
    await stage.fire()
    await stage.after(seconds=30)
    await stage.settled("notified")
    assert len(stage.paged()) == 4, "three that failed and one that was taken, all under one key"
    assert len(set(stage.paged())) == 1
    assert stage.slack.messages == []


async def test_a_long_outage_tells_the_fallback_and_the_page_is_sent_when_it_ends(stage: Stage) -> None:
    stage.pagerduty.always = Fault(status=503)
    await stage.fire()
    await stage.in_time(lambda view: view.receipts, minutes=3)
    assert len(stage.slack.messages) == 1
    stage.pagerduty.always = None
    view = await stage.in_time(lambda view: view if len(view.receipts) == 2 else None, minutes=4)
    assert view.receipts[1].destination == "primary"
    assert view.escalation == 1


async def test_what_was_given_up_is_looked_for_before_it_is_sent_again(stage: Stage) -> None:
    """Slack took it, and no answer ever came: it is there, and said once."""
    stage.slack.always = Fault(reset=True, after=True)
    await stage.fire(an_alert("answer_relevance", 0.7))
    await stage.in_time(lambda view: any(one.destination == "primary" for one in view.receipts), minutes=3)
    stage.slack.always = None
    await stage.in_time(lambda view: any(one.destination == "ops" for one in view.receipts), minutes=2)
    assert len(stage.slack.messages) == 1


async def test_an_answer_ends_the_trying(stage: Stage) -> None:
    stage.pagerduty.always = Fault(status=503)
    await stage.fire()
    await stage.in_time(lambda view: view.receipts, minutes=3)
    await stage.act("acknowledge", "bob")
    await stage.until(lambda view: "acknowledged" in view.state)
    await stage.after(minutes=5)
    sent = len(stage.pagerduty.requests)
    stage.pagerduty.always = None
    await stage.after(hours=1)
    assert len(stage.pagerduty.requests) == sent


async def test_where_pager_and_fallback_are_both_dead_it_keeps_trying(stage: Stage) -> None:
    stage.pagerduty.always = stage.slack.always = Fault(status=503)
    await stage.fire()
    await stage.after(minutes=14)
    stage.slack.always = None
    await stage.in_time(lambda view: any(one.destination == "ops" for one in view.receipts), minutes=10)
    assert len({str(message["metadata"]) for message in stage.slack.messages}) == len(stage.slack.messages)


async def test_a_note_reaches_thread_and_ticket(stage: Stage) -> None:
    await stage.fire(an_alert("bias", 0.2, model="underwriting"))
    await stage.until(lambda view: len(view.receipts) == 2)
    await stage.act("annotate", "bob", note="rolled back to v41")
    await stage.until(lambda view: sum(one.what == "told_note" for one in view.timeline) == 2)
    assert "bob: rolled back to v41" in stage.slack.messages[1]["text"]
    assert stage.slack.messages[1]["thread_ts"] == stage.slack.messages[0]["ts"]
    assert "rolled back" in str(stage.jira.comments["AIGOV-1"])


async def test_a_callback_that_is_delivered_twice_counts_once(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    for _ in range(3):
        await stage.callback("acknowledge", "alice", id="pagerduty-01")
    view = await stage.settled("acknowledged")
    await stage.act("annotate", "bob", note="x")
    view = await stage.view()
    assert sum(one.what == "acknowledged" for one in view.timeline) == 1


async def test_an_answer_to_an_earlier_opening_is_dropped(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.callback("resolve", "alice", opening="00000000")
    await stage.act("annotate", "bob", note="still here")
    assert (await stage.view()).state == "notified"


async def test_the_audit_log_being_away_delays_no_page_and_loses_no_record(stage: Stage) -> None:
    import sqlite3
    from pathlib import Path

    path = Path(str(stage.log.database.url.database))
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    await stage.fire()
    await stage.settled("notified")
    assert len(stage.paged()) == 1
    await stage.callback("acknowledge", "alice")
    await stage.settled("acknowledged")
    blocker.execute("ROLLBACK")
    blocker.close()
    await stage.clear()
    records = await stage.closed()
    assert [record.what for record in records][:4] == ["received", "classified", "notified", "acknowledged"]
