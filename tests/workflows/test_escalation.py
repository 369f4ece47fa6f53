"""Page, wait, escalate, acknowledge, remind: the rules of tests/incident, here with real time and vendors."""

from tests.vendors import Fault
from tests.workflows.harness import IncidentHarness, make_alert


async def test_paged_acknowledged_cleared_closed(harness: IncidentHarness) -> None:
    await harness.fire()
    view = await harness.until_state("notified")
    assert (view.tier, view.rule, view.escalation_level, view.team) == ("critical", "errors", 1, "support")
    assert harness.page_keys() == [f"{view.id}.{view.first_run_id[-8:]}"]
    await harness.callback("acknowledge", "Alice Example")
    view = await harness.until_state("acknowledged")
    assert view.acknowledged_by == "Alice Example"
    await harness.clear()
    records = await harness.until_closed()
    assert [record.event for record in records] == [
        "received", "classified", "notified", "acknowledged", "cleared", "update_sent_resolve"
    ]  # fmt: skip
    assert [event["event_action"] for event in harness.pagerduty.events()] == ["trigger", "resolve"]


async def test_unacknowledged_incident_escalates_on_schedule(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.advance(minutes=14, seconds=50)
    assert (await harness.view()).escalation_level == 1
    assert not harness.page_keys("secondary")
    await harness.advance(seconds=15)
    view = await harness.until(lambda view: view if len(view.receipts) == 3 else None)
    assert view.escalation_level == 2
    assert (
        len(harness.page_keys("primary")),
        len(harness.page_keys("secondary")),
        len(harness.page_keys("managers")),
    ) == (1, 1, 1)
    await harness.advance(minutes=15)
    await harness.until(lambda view: len(view.receipts) == 4)
    await harness.advance(minutes=15)
    await harness.until(lambda view: len(view.receipts) == 5)
    assert len(set(harness.page_keys("secondary"))) == 3, (
        "a pager folds a repeated key silently, so each repeated page has its own"
    )
    await harness.advance(hours=5)
    assert len((await harness.view()).receipts) == 5


async def test_acknowledgement_stops_every_later_step(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.advance(minutes=16)
    await harness.until(lambda view: len(view.receipts) == 3)
    await harness.act("acknowledge", "bob")
    await harness.advance(hours=3)
    assert len(harness.page_keys()) == 3
    # The API's acknowledgement reaches every page that PagerDuty received.
    assert len({event["dedup_key"] for event in harness.pagerduty.events("acknowledge")}) == 1
    assert len(harness.pagerduty.events("acknowledge")) == 3


async def test_acknowledgement_before_receipt_counts(harness: IncidentHarness) -> None:
    harness.pagerduty.script(Fault(delay=4.0, after=True))
    await harness.fire()
    await harness.until(lambda view: view.decision)
    await harness.callback("acknowledge", "Early Bird")
    view = await harness.until_state("acknowledged")
    assert view.receipts == ()
    await harness.until(lambda view: view.receipts)
    await harness.advance(hours=1)
    view = await harness.view()
    assert (view.state, view.acknowledged_by, len(harness.page_keys())) == ("acknowledged", "Early Bird", 1)


async def test_early_api_acknowledgement_reaches_pager(harness: IncidentHarness) -> None:
    harness.pagerduty.script(Fault(delay=1.0, after=True))
    await harness.fire()
    await harness.until(lambda view: view.decision)
    await harness.act("acknowledge", "bob")
    await harness.until(lambda view: any(one.event == "update_sent_acknowledge" for one in view.timeline))
    assert [event["event_action"] for event in harness.pagerduty.events()] == ["trigger", "acknowledge"]


async def test_acknowledgement_reaches_other_services_of_same_vendor(harness: IncidentHarness) -> None:
    """Each service has its own incident at PagerDuty, and a callback does not name the service."""
    await harness.fire()
    await harness.until_state("notified")
    harness.pagerduty.script(Fault(delay=1.0, after=True), Fault(delay=1.0, after=True))
    await harness.advance(minutes=15, seconds=1)
    await harness.until(lambda view: view.escalation_level == 2)
    await harness.callback("acknowledge", "alice")
    await harness.until(lambda view: sum(one.event == "update_sent_acknowledge" for one in view.timeline) == 3)
    assert {event["routing_key"] for event in harness.pagerduty.events("acknowledge")} == {
        "key-primary",
        "key-secondary",
        "key-managers",
    }


async def test_vendor_echo_is_no_second_acknowledgement(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.act("acknowledge", "bob")
    await harness.callback("acknowledge", "", id="pagerduty-echo")
    await harness.act("annotate", "bob", note="x")
    view = await harness.view()
    assert [one.by for one in view.timeline if one.event == "acknowledged"] == ["bob"]


async def test_acknowledged_open_incident_reminds(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.act("acknowledge", "bob")
    for turn in (1, 2):
        await harness.advance(hours=4, seconds=5)
        await harness.until(
            lambda view, turn=turn: sum(one.event == "update_sent_remind" for one in view.timeline) == turn
        )
    assert len(harness.page_keys()) == 3
    assert len(set(harness.page_keys())) == 3
    assert "REMINDER" in harness.pagerduty.events("trigger")[1]["payload"]["summary"]


async def test_second_acknowledgement_takes_over(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("answer_relevance", 0.7))
    await harness.until_state("notified")
    await harness.act("acknowledge", "bob")
    view = await harness.act("acknowledge", "carol")
    assert view.acknowledged_by == "carol"
    assert [one.by for one in view.timeline if one.event == "acknowledged"] == ["bob", "carol"]
    await harness.until(lambda view: any(one.event == "update_sent_refresh" for one in view.timeline))
    message, *thread = harness.slack.messages
    assert "carol" in str(message["blocks"])
    assert "Acknowledged by carol, who takes over from bob" in [one["text"] for one in thread]


async def test_ack_timeout_raises_post_to_critical(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("answer_relevance", 0.7))
    view = await harness.until_state("notified")
    assert (view.tier, harness.page_keys()) == ("high", [])
    await harness.advance(minutes=61)
    view = await harness.until(lambda view: view if view.tier == "critical" and len(view.receipts) == 2 else None)
    assert len(harness.page_keys("primary")) == 1
    await harness.advance(minutes=15)
    await harness.until(lambda view: len(view.receipts) == 4)


async def test_acknowledged_post_keeps_its_tier(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("answer_relevance", 0.7))
    await harness.until_state("notified")
    await harness.act("acknowledge", "bob")
    await harness.advance(hours=30)
    view = await harness.view()
    assert (view.tier, view.state, harness.page_keys()) == ("high", "acknowledged", [])
    assert "Acknowledged" in str(harness.slack.messages[0]["blocks"]), "the post names the person who acknowledged"
