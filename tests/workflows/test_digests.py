"""Digests: gathered in the ledger, sent by an issue, never lost and never twice."""

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from temporalio.client import WorkflowHandle

from activities.contracts import (
    DIGEST_ISSUE_WORKFLOW,
    DIGEST_SIGNAL,
    DIGEST_WORKFLOW,
    DigestDue,
    DigestEntry,
    DigestOutcome,
)
from activities.digest import periods
from audit import DigestLedger
from policy import Target
from tests.activities.sending import a_brief
from tests.vendors import Fault
from tests.workflows.stage import QUEUE, Stage, an_alert

OPS = Target(name="ops", type="slack", kind="post")
DUE = DigestDue(destination="daily")


async def gather(stage: Stage, count: int = 1) -> None:
    for number in range(count):
        await stage.fire(an_alert("percent_empty", 12, model=f"model-{number}"))
        await stage.settled("notified")


async def begin(stage: Stage, day: int = 1, due: DigestDue = DUE) -> WorkflowHandle[object, DigestOutcome]:
    """What the destination's schedule does at its time."""
    name = f"digest-daily-2026-11-{day:02d}T08:00:00Z"
    return await stage.client.start_workflow(
        DIGEST_ISSUE_WORKFLOW, due, id=name, task_queue=QUEUE, result_type=DigestOutcome
    )


async def test_a_low_one_is_gathered_and_sent_with_the_next_issue(stage: Stage) -> None:
    await gather(stage)
    assert (await stage.view()).receipts[0].id == "digest-daily"
    assert stage.slack.messages == []
    outcome = await (await begin(stage)).result()
    assert outcome.entries == 1
    (message,) = stage.slack.messages
    assert message["text"].startswith("Digest: 1 since")
    assert "percent_empty" in str(message["blocks"])
    await (await begin(stage, 2)).result()
    assert len(stage.slack.messages) == 1, "an empty one is left out"


async def test_an_issue_holds_all_that_was_gathered(stage: Stage) -> None:
    await gather(stage, 3)
    assert (await (await begin(stage)).result()).entries == 3
    assert len(stage.slack.messages) == 1


async def test_what_is_well_by_the_morning_is_said_to_be(stage: Stage) -> None:
    await gather(stage, 2)
    await stage.clear()
    await stage.closed()
    await (await begin(stage)).result()
    (message,) = stage.slack.messages
    lines = [line for line in str(message["blocks"]).split("•") if "percent_empty" in line]
    assert ["Resolved" in line for line in lines] == [False, True]


async def test_an_empty_one_is_sent_where_the_policy_says_so(stage: Stage) -> None:
    ledger = DigestLedger(stage.log.database)
    stage.change_policy("daily:      {type: slack,", "daily:      {type: slack, when_empty: send,")
    await (await begin(stage)).result()
    assert len(stage.slack.messages) == 1
    assert ledger.waiting() == {}


async def test_what_cannot_be_sent_is_kept_and_somebody_is_told_once(stage: Stage) -> None:
    stage.slack.channels.clear()
    await gather(stage)
    pager = Target(name="primary", type="pagerduty", kind="page")
    issue = await begin(stage, due=DigestDue(destination="daily", fallback=(pager,)))
    await stage.after(hours=5)
    (page,) = stage.pagerduty.events("trigger")
    assert page["payload"]["summary"] == "HIGH digest for daily could not be sent"
    assert "channel_not_found" in page["payload"]["custom_details"]["Why"]
    (record,) = stage.log.read(kinds={"not_delivered"})
    assert "channel_not_found" in record.text
    stage.slack.channels["ai-ops-alerts"] = "C00000001"
    await stage.after(hours=7)
    assert (await issue.result()).entries == 1
    assert len(stage.slack.messages) == 1


async def test_a_passing_failure_tells_nobody(stage: Stage) -> None:
    await gather(stage)
    stage.slack.script(Fault(status=503), Fault(reset=True, after=True))
    issue = await begin(stage, due=DigestDue(destination="daily", fallback=(OPS,)))
    assert (await issue.result()).entries == 1
    assert len(stage.slack.messages) == 1


async def test_what_an_ended_issue_never_sent_is_in_the_next(stage: Stage) -> None:
    stage.slack.always = Fault(status=503)
    await gather(stage, 2)
    first = await begin(stage)
    await asyncio.to_thread(stage.slack.wait_for, lambda: stage.slack.requests)
    await first.terminate("by hand")
    stage.slack.always = None
    assert (await (await begin(stage, 2)).result()).entries == 2
    assert len(stage.slack.messages) == 1


async def test_an_entry_is_in_one_issue_though_it_comes_twice(stage: Stage) -> None:
    ledger, now = DigestLedger(stage.log.database), datetime.now(UTC)
    from audit.digests import Entry

    for _ in range(2):
        ledger.add("daily", Entry("key", "incident-x", now, a_brief(tier="low").model_dump_json()))
    assert (await (await begin(stage)).result()).entries == 1
    ledger.add("daily", Entry("key", "incident-x", now, "{}"))
    assert ledger.waiting() == {}


async def test_a_digest_that_an_earlier_version_gathered_is_still_sent(stage: Stage) -> None:
    """Nothing begins one any more; those that were open when the worker was replaced end as they began."""
    due = datetime.now(UTC) + timedelta(hours=20)
    entry = DigestEntry(key="k", target=Target(name="daily", type="slack", kind="post"), brief=a_brief(tier="low"))
    handle = await stage.client.start_workflow(
        DIGEST_WORKFLOW,
        args=["daily", due],
        id="digest-daily",
        task_queue=QUEUE,
        start_signal=DIGEST_SIGNAL,
        start_signal_args=[entry],
    )
    await stage.after(hours=21)
    assert await handle.result() == 1
    assert len(stage.slack.messages) == 1


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        ("2026-11-23T08:00:20+00:00", "2026-11-16T08:00:00+00:00"),  # as the schedule asks
        ("2026-11-25T12:00:00+00:00", "2026-11-23T08:00:00+00:00"),  # by hand, in the middle of the week
    ],
)
def test_an_issue_is_compared_with_whole_periods(now: str, newest: str) -> None:
    edges = periods("0 8 * * 1", "UTC", datetime.fromisoformat(now))
    assert len(edges) == 9
    assert (edges[-2], edges[-1]) == (datetime.fromisoformat(newest), datetime.fromisoformat(now))
    assert {later - sooner for sooner, later in pairwise(edges[:-1])} == {timedelta(days=7)}
