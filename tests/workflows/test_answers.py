"""What people do beyond acknowledging and resolving, and how the others are told of it."""

from tests.vendors import Fault
from tests.workflows.stage import Stage, an_alert


def texts(stage: Stage) -> list[str]:
    """What stands in Slack's threads, in order."""
    return [one["text"] for one in stage.slack.messages if one["thread_ts"]]


async def whats(stage: Stage) -> list[str]:
    return [entry.what for entry in (await stage.view()).timeline]


async def test_an_acknowledgement_taken_back_lets_the_escalation_go_on_from_where_it_stood(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.callback("acknowledge", "Alice", id="1")
    await stage.settled("acknowledged")
    await stage.after(hours=1)
    await stage.callback("unacknowledge", "Alice", id="2")
    await stage.settled("notified")
    await stage.after(minutes=14)
    assert stage.paged("secondary") == []
    await stage.after(minutes=2)
    await stage.until(lambda view: view.escalation == 2)
    assert len(stage.paged("secondary")) == len(stage.paged("managers")) == 1
    assert len(stage.paged("primary")) == 1
    await stage.callback("acknowledge", "Bob", id="3")
    view = await stage.settled("acknowledged")
    assert view.acknowledged_by == "Bob"


async def test_taken_back_after_the_last_step_it_begins_again(stage: Stage) -> None:
    await stage.fire()
    await stage.after(hours=2)
    await stage.until(lambda view: view.escalation == 4)
    await stage.callback("acknowledge", "Alice", id="1")
    await stage.settled("acknowledged")
    await stage.callback("unacknowledge", "Alice", id="2")
    await stage.until(lambda view: view.escalation == 1 and len(stage.paged("primary")) == 2)
    assert len(set(stage.paged("primary"))) == 2, "heard, not folded into the first page"


async def test_a_silence_ends_and_it_begins_again(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.callback("silence", "Alice", id="1", seconds=3600)
    view = await stage.settled("acknowledged")
    assert view.awaiting.startswith("Begin again unless it is resolved: silenced by Alice")
    await stage.after(minutes=59)
    assert len(stage.paged()) == 1
    await stage.after(minutes=2)
    await stage.until(lambda view: view.state == "notified" and len(stage.paged("primary")) == 2)
    assert (await stage.view()).acknowledged_by == ""
    note = stage.pagerduty.events("trigger")[-1]["payload"]["custom_details"]["Note"]
    assert note == "The silence is over, and it still burns."


async def test_what_heals_while_it_is_silenced_stays_silent(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.callback("silence", "Alice", id="1", seconds=3600)
    await stage.settled("acknowledged")
    await stage.clear()
    await stage.closed()
    assert len(stage.paged()) == 1


async def test_what_gets_worse_while_it_is_silenced_is_heard(stage: Stage) -> None:
    alert = an_alert("answer_relevance", 0.7)
    await stage.fire(alert)
    await stage.settled("notified")
    await stage.callback("silence", "Alice", id="1", seconds=3600)
    await stage.settled("acknowledged")
    for number in range(2):
        await stage.fire(alert, event_id=f"again-{number}")
    await stage.until(lambda view: view.tier == "critical" and len(stage.paged("primary")) == 1)


async def test_a_false_alarm_is_closed_and_says_so(stage: Stage) -> None:
    await stage.fire(an_alert("answer_relevance", 0.7))
    await stage.settled("notified")
    await stage.callback("false_alarm", "Alice", id="1")
    records = await stage.closed()
    assert [one.what for one in records].count("false_alarm") == 1
    assert texts(stage)[-1] == "Called a false alarm by Alice."


async def test_a_regulated_one_is_no_false_alarm_before_its_person_says_so(stage: Stage) -> None:
    await stage.fire(an_alert("bias", 0.2, model="underwriting"))
    await stage.until(lambda view: len(view.receipts) == 2)
    await stage.callback("false_alarm", "Alice", id="1")
    await stage.settled("awaiting_human")
    assert await stage.is_open()


async def test_threads_and_tickets_tell_how_it_goes_on(stage: Stage) -> None:
    await stage.fire(an_alert("bias", 0.2, model="underwriting"))
    await stage.until(lambda view: len(view.receipts) == 2)
    for number in range(4):
        await stage.fire(event_id=f"again-{number}")
        await stage.until(lambda view, seen=number + 2: view.alerts == seen)
    await stage.callback("annotate", "Alice", id="1", note="looking at the deploy")
    await stage.callback("acknowledge", "Alice", id="2")
    await stage.callback("unacknowledge", "Alice", id="3")
    (ticket,) = stage.jira.comments
    await stage.until(lambda view: len(stage.jira.comments[ticket]) == 3)
    await stage.until(lambda view: len(texts(stage)) == 5)
    assert texts(stage) == [
        "Triggered again: 2 alerts so far, now 0.2.",
        "Triggered again: 5 alerts so far, now 0.2.",
        "Alice: looking at the deploy",
        "Acknowledged by Alice",
        "Alice took the acknowledgement back",
    ]
    (message,) = [one for one in stage.slack.messages if not one["thread_ts"]]
    assert "Acknowledged by" not in str(message["blocks"])


async def test_what_is_opened_again_there_is_not_forgotten_here(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    stage.pagerduty.always = Fault(status=503)
    await stage.act("resolve", "Bob")
    await stage.settled("resolved")
    await stage.callback("reopen", "Alice", id="2")
    await stage.settled("notified")
    assert (await whats(stage))[-1] == "reopened"
    stage.pagerduty.always = None
    await stage.after(minutes=16)
    await stage.until(lambda view: len(stage.paged("secondary")) == 1)


async def test_a_reopened_one_that_somebody_has_is_nobodys_again(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.callback("acknowledge", "Alice", id="1")
    await stage.settled("acknowledged")
    await stage.callback("reopen", "Alice", id="2")
    view = await stage.settled("notified")
    assert view.acknowledged_by == ""


async def test_who_has_it_elsewhere_is_noted_and_pages_nobody(stage: Stage) -> None:
    await stage.fire(an_alert("answer_relevance", 0.7))
    await stage.settled("notified")
    await stage.callback("escalate", "Alice", id="1", note="Bob")
    await stage.callback("reassign", "Alice", id="2", note="Carol")
    await stage.until(lambda view: len(texts(stage)) == 2)
    assert texts(stage) == ["Alice escalated in pagerduty to Bob", "Alice reassigned in pagerduty to Carol"]
    assert stage.paged() == []
