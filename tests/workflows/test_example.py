"""The example of docs/testing.md."""

from tests.workflows.harness import IncidentHarness, make_alert


async def test_acknowledged_incident_is_not_escalated(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("error_rate", 0.31))
    view = await harness.until_state("notified")
    assert (view.tier, view.rule) == ("critical", "errors")

    await harness.act("acknowledge", by="alice")
    await harness.advance(minutes=30)  # takes no real time
    assert len(harness.page_keys("primary")) == 1
    assert harness.page_keys("secondary") == []

    await harness.clear()
    records = await harness.until_closed()
    assert "acknowledged" in [record.event for record in records]
