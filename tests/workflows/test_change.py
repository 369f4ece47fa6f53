"""A change that Arize reports: sent to its subscribers, recorded, and nobody is paged."""

from datetime import UTC, datetime

from gateway.ingest.changes import change_workflow, read_change, report_change
from tests.vendors import Fault
from tests.workflows.harness import QUEUE, IncidentHarness

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
BODY = {"event": "prompt.version.created", "prompt": {"name": "support", "id": "1"}, "version": "8", "author": "bob"}


async def report(harness: IncidentHarness, event_id: str = "evt-1") -> int:
    change = read_change("prompt.version.created", BODY, event_id, NOW)
    assert change is not None
    handle = harness.client.get_workflow_handle(change_workflow(change))
    await report_change(harness.client, QUEUE, change)
    sent = await handle.result()
    run = (await handle.describe()).run_id
    await report_change(harness.client, QUEUE, change)
    assert (await handle.describe()).run_id == run, "a redelivery starts nothing"
    return sent


async def test_change_is_sent_once_and_recorded(harness: IncidentHarness) -> None:
    assert await report(harness) == 3
    assert [one["payload"]["summary"] for one in harness.pagerduty.changes] == ["Prompt version created: support 8"] * 3
    (record,) = harness.audit_log.read(events={"changed"})
    assert (record.text, record.by) == ("Prompt version created: support 8", "arize")
    assert record.data["sent"] == ["managers", "primary", "secondary"]
    assert harness.page_keys() == []


async def test_failed_change_event_is_recorded_and_pages_nobody(harness: IncidentHarness) -> None:
    harness.pagerduty.always = Fault(status=400)
    assert await report(harness) == 0
    (record,) = harness.audit_log.read(events={"changed"})
    assert record.data["failed"] == ["managers", "primary", "secondary"]


def test_webhook_test_is_no_change() -> None:
    assert read_change("webhook.test", {}, "evt", NOW) is None


def test_malformed_change_body_still_makes_change() -> None:
    for body in ({}, {"data": 7, "labels": [1, None]}, {"prompt": {"name": "\x00"}, "url": "javascript:x"}):
        change = read_change("evaluator.version.created", body, "", NOW)
        assert change is not None
        assert change.text.startswith("Evaluator version created")
        assert change.url == ""
