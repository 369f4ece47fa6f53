"""Digests: incidents are gathered in the ledger, and each is sent in exactly one digest."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from temporalio.client import WorkflowHandle

from activities.contracts import SendDigestResult
from activities.digest import period_edges
from audit import DigestLedger
from audit.digests import DigestItem
from policy import Target
from tests.integrations.notifications import make_content
from tests.vendors import Fault
from tests.workflows.harness import QUEUE, IncidentHarness, make_alert
from workflows.contracts import DIGEST_WORKFLOW, DigestInput

OPS = Target(name="ops", type="slack", kind="post")
DUE = DigestInput(destination="daily")


async def gather(harness: IncidentHarness, count: int = 1) -> None:
    for number in range(count):
        await harness.fire(make_alert("percent_empty", 12, model=f"model-{number}", monitor_id=f"monitor-{number}"))
        await harness.until_state("notified")


async def start_digest(
    harness: IncidentHarness, day: int = 1, due: DigestInput = DUE
) -> WorkflowHandle[object, SendDigestResult]:
    """What the destination's schedule does when it is due."""
    name = f"digest-daily-2026-11-{day:02d}T08:00:00Z"
    return await harness.client.start_workflow(
        DIGEST_WORKFLOW, due, id=name, task_queue=QUEUE, result_type=SendDigestResult
    )


async def test_low_incident_is_sent_with_next_digest(harness: IncidentHarness) -> None:
    await gather(harness)
    assert (await harness.view()).receipts[0].id == "digest-daily"
    assert harness.slack.messages == []
    outcome = await (await start_digest(harness)).result()
    assert outcome.incidents == 1
    (message,) = harness.slack.messages
    assert message["text"].startswith("Digest: 1 incident since")
    assert "percent_empty" in str(message["blocks"])
    await (await start_digest(harness, 2)).result()
    assert len(harness.slack.messages) == 1, "an empty digest is not sent"


async def test_digest_contains_every_gathered_incident(harness: IncidentHarness) -> None:
    await gather(harness, 3)
    assert (await (await start_digest(harness)).result()).incidents == 3
    assert len(harness.slack.messages) == 1


async def test_resolved_incident_is_marked_in_digest(harness: IncidentHarness) -> None:
    await gather(harness, 2)
    await harness.clear()
    await harness.until_closed()
    await (await start_digest(harness)).result()
    (message,) = harness.slack.messages
    lines = [line for line in str(message["blocks"]).split("•") if "percent_empty" in line]
    assert ["Resolved" in line for line in lines] == [False, True]


async def test_empty_digest_is_sent_if_policy_asks(harness: IncidentHarness) -> None:
    ledger = DigestLedger(harness.audit_log.database)
    harness.change_policy("daily:      {type: slack,", "daily:      {type: slack, when_empty: send,")
    await (await start_digest(harness)).result()
    assert len(harness.slack.messages) == 1
    assert ledger.waiting() == {}


async def test_unsendable_digest_is_kept_and_fallback_notified_once(harness: IncidentHarness) -> None:
    harness.slack.channels.clear()
    await gather(harness)
    pager = Target(name="primary", type="pagerduty", kind="page")
    digest = await start_digest(harness, due=DigestInput(destination="daily", fallback=(pager,)))
    await harness.advance(hours=5)
    (page,) = harness.pagerduty.events("trigger")
    assert page["payload"]["summary"] == "HIGH digest for daily could not be sent"
    assert "channel_not_found" in page["payload"]["custom_details"]["Why"]
    (record,) = harness.audit_log.read(events={"notification_failed"})
    assert "channel_not_found" in record.text
    harness.slack.channels["ai-ops-alerts"] = "C00000001"
    await harness.advance(hours=7)
    assert (await digest.result()).incidents == 1
    assert len(harness.slack.messages) == 1


async def test_temporary_digest_failure_notifies_nobody(harness: IncidentHarness) -> None:
    await gather(harness)
    harness.slack.script(Fault(status=503), Fault(reset=True, after=True))
    digest = await start_digest(harness, due=DigestInput(destination="daily", fallback=(OPS,)))
    assert (await digest.result()).incidents == 1
    assert len(harness.slack.messages) == 1


async def test_terminated_digest_is_sent_with_next(harness: IncidentHarness) -> None:
    harness.slack.always = Fault(status=503)
    await gather(harness, 2)
    first = await start_digest(harness)
    await asyncio.to_thread(harness.slack.wait_for, lambda: harness.slack.requests)
    await first.terminate("by hand")
    harness.slack.always = None
    assert (await (await start_digest(harness, 2)).result()).incidents == 2
    assert len(harness.slack.messages) == 1


async def test_duplicate_entry_is_in_one_digest(harness: IncidentHarness) -> None:
    ledger, now = DigestLedger(harness.audit_log.database), datetime.now(UTC)
    for _ in range(2):
        ledger.add("daily", DigestItem("key", "incident-x", now, make_content(tier="low").model_dump_json()))
    assert (await (await start_digest(harness)).result()).incidents == 1
    ledger.add("daily", DigestItem("key", "incident-x", now, "{}"))
    assert ledger.waiting() == {}


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        ("2026-11-23T08:00:20+00:00", "2026-11-16T08:00:00+00:00"),  # at the scheduled time
        ("2026-11-25T12:00:00+00:00", "2026-11-23T08:00:00+00:00"),  # started by a person, in the middle of the week
    ],
)
def test_digest_is_compared_with_whole_periods(now: str, newest: str) -> None:
    edges = period_edges("0 8 * * 1", "UTC", datetime.fromisoformat(now))
    assert len(edges) == 9
    assert (edges[-2], edges[-1]) == (datetime.fromisoformat(newest), datetime.fromisoformat(now))
    assert {later - earlier for earlier, later in pairwise(edges[:-1])} == {timedelta(days=7)}
