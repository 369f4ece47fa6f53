"""A change that Arize reports: told to whoever lists changes, recorded, and nobody is paged."""

from datetime import UTC, datetime

from gateway.changes import change_workflow, read_change, report_change
from tests.vendors import Fault
from tests.workflows.stage import QUEUE, Stage

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
BODY = {"event": "prompt.version.created", "prompt": {"name": "support", "id": "1"}, "version": "8", "author": "bob"}


async def told(stage: Stage, delivery: str = "evt-1") -> int:
    change = read_change("prompt.version.created", BODY, delivery, NOW)
    assert change is not None
    handle = stage.client.get_workflow_handle(change_workflow(change))
    await report_change(stage.client, QUEUE, change)
    told = await handle.result()
    run = (await handle.describe()).run_id
    await report_change(stage.client, QUEUE, change)
    assert (await handle.describe()).run_id == run, "a redelivery starts nothing"
    return told


async def test_a_change_is_told_once_and_recorded(stage: Stage) -> None:
    assert await told(stage) == 3
    assert [one["payload"]["summary"] for one in stage.pagerduty.changes] == ["Prompt version created: support 8"] * 3
    (record,) = stage.log.read(kinds={"changed"})
    assert (record.text, record.by) == ("Prompt version created: support 8", "arize")
    assert record.data["told"] == ["managers", "primary", "secondary"]
    assert stage.paged() == []


async def test_who_cannot_be_told_is_in_the_record_and_wakes_nobody(stage: Stage) -> None:
    stage.pagerduty.always = Fault(status=400)
    assert await told(stage) == 0
    (record,) = stage.log.read(kinds={"changed"})
    assert record.data["not_told"] == ["managers", "primary", "secondary"]


def test_trying_the_webhook_out_is_no_change() -> None:
    assert read_change("webhook.test", {}, "evt", NOW) is None


def test_whatever_is_in_the_body_a_change_is_told() -> None:
    for body in ({}, {"data": 7, "labels": [1, None]}, {"prompt": {"name": "\x00"}, "url": "javascript:x"}):
        change = read_change("evaluator.version.created", body, "", NOW)
        assert change is not None
        assert change.text.startswith("Evaluator version created")
        assert change.url == ""
