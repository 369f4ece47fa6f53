"""An incident that lives for long continues as new, and neither it nor the person at the UI notices."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from temporalio.client import WorkflowExecutionStatus

from tests.vendors import Jira, PagerDuty, Slack
from tests.workflows.stage import QUEUE, Stage, an_alert, broken_state, staged
from workflows.incident import MAX_EVENTS
from workflows.messages import ANSWER_SIGNAL, ARRIVE_SIGNAL, INCIDENT_WORKFLOW, Answer, Arrival, Arrivals
from workflows.state import Opening


@pytest.fixture
async def real(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[Stage]:
    """On the real server, which alone keeps search attributes and summaries as production does."""
    async with staged(tmp_path, pagerduty, slack, jira, real=True) as stage:
        yield stage


async def test_a_storm_makes_it_continue_as_new_and_nothing_is_lost(real: Stage) -> None:
    stage = real
    await stage.fire()
    await stage.settled("notified")
    await stage.act("acknowledge", "bob")
    before = await stage.handle.describe()
    total = 1

    async def shower(start: int) -> None:
        for number in range(start, start + 60):
            alert = an_alert(value=1 + number / 1000)
            arrivals = Arrivals(arrivals=(Arrival(alert=alert, event_ids=(f"evt-{number}",)),))
            await stage.handle.signal(ARRIVE_SIGNAL, arrivals)

    notes = 0
    while (await stage.handle.describe()).run_id == before.run_id:
        await asyncio.gather(*(shower(total + 60 * lane) for lane in range(5)))
        total += 300
        notes += 1
        await stage.handle.signal(ANSWER_SIGNAL, Answer(act="annotate", by="bob", note=f"n{notes}", via="console"))
        assert total < 3 * MAX_EVENTS, "it never continued as new"
    view = await stage.until(lambda view: view if view.alerts == total else None)
    assert (view.state, view.acknowledged_by, view.opening) == ("acknowledged", "bob", before.run_id)
    assert len(stage.paged()) == 1
    after = await stage.handle.describe()
    assert {key: value for key, value in after.search_attributes.items() if key.startswith("Tocsin")} == {
        "TocsinState": ["acknowledged"],
        "TocsinTier": ["critical"],
        "TocsinModel": ["chatbot"],
        "TocsinTeam": ["support"],
        "TocsinEnvironment": ["production"],
        "TocsinRule": ["errors"],
        "TocsinRegulated": [False],
    }
    await stage.clear()
    records = await stage.closed()
    joined = sum(int(record.text.split()[0]) for record in records if record.what == "joined")
    assert joined + 1 == total
    assert sum(record.what == "annotated" for record in records) == notes


async def test_a_bug_in_workflow_code_is_loud(real: Stage) -> None:
    """A delivery about no alert cannot be written: it must not pass in silence."""
    handle = await real.client.start_workflow(
        INCIDENT_WORKFLOW, Opening(state=broken_state("incident-x-0")), id="incident-x-0", task_queue=QUEUE
    )
    async with asyncio.timeout(20):
        while "EVENT_TYPE_WORKFLOW_TASK_FAILED" not in str(await handle.fetch_history()):
            await asyncio.sleep(0.1)
    # It is tried again, until the code is mended: the incident itself has not failed.
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
