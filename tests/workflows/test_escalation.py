"""Page, wait, escalate, acknowledge, remind."""

from tests.vendors import Fault
from tests.workflows.stage import Stage, an_alert


async def test_paged_acknowledged_cleared_closed(stage: Stage) -> None:
    await stage.fire()
    view = await stage.settled("notified")
    assert (view.tier, view.rule, view.escalation, view.team) == ("critical", "errors", 1, "support")
    assert stage.paged() == [f"{view.id}.{view.opening[:8]}"]
    await stage.callback("acknowledge", "Alice Example")
    view = await stage.settled("acknowledged")
    assert view.acknowledged_by == "Alice Example"
    await stage.clear()
    records = await stage.closed()
    assert [record.what for record in records] == [
        "received", "classified", "notified", "acknowledged", "cleared", "told_resolve"
    ]  # fmt: skip
    assert [event["event_action"] for event in stage.pagerduty.events()] == ["trigger", "resolve"]


async def test_silence_climbs_the_steps_at_their_times(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.after(minutes=14, seconds=50)
    assert (await stage.view()).escalation == 1
    assert not stage.paged("secondary")
    await stage.after(seconds=15)
    view = await stage.until(lambda view: view if len(view.receipts) == 3 else None)
    assert view.escalation == 2
    assert (len(stage.paged("primary")), len(stage.paged("secondary")), len(stage.paged("managers"))) == (1, 1, 1)
    await stage.after(minutes=15)
    await stage.until(lambda view: len(view.receipts) == 4)
    await stage.after(minutes=15)
    await stage.until(lambda view: len(view.receipts) == 5)
    assert len(set(stage.paged("secondary"))) == 3, "each repeated page has a key of its own, or nobody hears it"
    await stage.after(hours=5)
    assert len((await stage.view()).receipts) == 5


async def test_an_acknowledgement_stops_every_later_step(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.after(minutes=16)
    await stage.until(lambda view: len(view.receipts) == 3)
    await stage.act("acknowledge", "bob")
    await stage.after(hours=3)
    assert len(stage.paged()) == 3
    # The API's acknowledgement shows in PagerDuty, on all that was sent.
    assert len({event["dedup_key"] for event in stage.pagerduty.events("acknowledge")}) == 1
    assert len(stage.pagerduty.events("acknowledge")) == 3


async def test_an_acknowledgement_before_the_receipt_counts(stage: Stage) -> None:
    stage.pagerduty.script(Fault(delay=2.0, after=True))
    await stage.fire()
    await stage.until(lambda view: view.decision)
    await stage.callback("acknowledge", "early bird")
    view = await stage.settled("acknowledged")
    assert view.receipts == ()
    await stage.until(lambda view: view.receipts)
    await stage.after(hours=1)
    view = await stage.view()
    assert (view.state, view.acknowledged_by, len(stage.paged())) == ("acknowledged", "early bird", 1)


async def test_an_acknowledgement_from_elsewhere_before_the_receipt_reaches_the_pager(stage: Stage) -> None:
    stage.pagerduty.script(Fault(delay=1.0, after=True))
    await stage.fire()
    await stage.until(lambda view: view.decision)
    await stage.act("acknowledge", "bob")
    await stage.until(lambda view: any(one.what == "told_acknowledge" for one in view.timeline))
    assert [event["event_action"] for event in stage.pagerduty.events()] == ["trigger", "acknowledge"]


async def test_an_acknowledgement_in_one_service_reaches_the_others_of_the_same_vendor(stage: Stage) -> None:
    """Each service has an incident of its own at PagerDuty; a callback does not say which one it came from."""
    await stage.fire()
    await stage.settled("notified")
    stage.pagerduty.script(Fault(delay=1.0, after=True), Fault(delay=1.0, after=True))
    await stage.after(minutes=15, seconds=1)
    await stage.until(lambda view: view.escalation == 2)
    await stage.callback("acknowledge", "alice")
    await stage.until(lambda view: sum(one.what == "told_acknowledge" for one in view.timeline) == 3)
    assert {event["routing_key"] for event in stage.pagerduty.events("acknowledge")} == {
        "key-primary",
        "key-secondary",
        "key-managers",
    }


async def test_a_vendors_echo_of_an_acknowledgement_is_no_answer(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.act("acknowledge", "bob")
    await stage.callback("acknowledge", "", id="pagerduty-echo")
    await stage.act("annotate", "bob", note="x")
    view = await stage.view()
    assert [one.by for one in view.timeline if one.what == "acknowledged"] == ["bob"]


async def test_acknowledged_and_still_open_reminds(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.act("acknowledge", "bob")
    for turn in (1, 2):
        await stage.after(hours=4, seconds=5)
        await stage.until(lambda view, turn=turn: sum(one.what == "told_remind" for one in view.timeline) == turn)
    assert len(stage.paged()) == 3
    assert len(set(stage.paged())) == 3
    assert "REMINDER" in stage.pagerduty.events("trigger")[1]["payload"]["summary"]


async def test_a_second_acknowledgement_is_recorded_and_changes_nothing(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.act("acknowledge", "bob")
    view = await stage.act("acknowledge", "carol")
    assert view.acknowledged_by == "bob"
    assert [one.by for one in view.timeline if one.what == "acknowledged"] == ["bob", "carol"]


async def test_nobody_answers_a_post_in_time_so_it_becomes_critical(stage: Stage) -> None:
    await stage.fire(an_alert("answer_relevance", 0.7))
    view = await stage.settled("notified")
    assert (view.tier, stage.paged()) == ("high", [])
    await stage.after(minutes=61)
    view = await stage.until(lambda view: view if view.tier == "critical" and len(view.receipts) == 2 else None)
    assert len(stage.paged("primary")) == 1
    await stage.after(minutes=15)
    await stage.until(lambda view: len(view.receipts) == 4)


async def test_an_answered_post_stays_what_it_is(stage: Stage) -> None:
    await stage.fire(an_alert("answer_relevance", 0.7))
    await stage.settled("notified")
    await stage.act("acknowledge", "bob")
    await stage.after(hours=30)
    view = await stage.view()
    assert (view.tier, view.state, stage.paged()) == ("high", "acknowledged", [])
    assert "Acknowledged" in str(stage.slack.messages[0]["blocks"]), "the post shows who is on it"
