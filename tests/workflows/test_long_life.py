"""A long incident continues as new, without any change that a responder could notice."""

import asyncio

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError

from incident.events import AlertBatch, GroupedAlert, ResponderAction
from tests.waiting import wait_until
from tests.workflows.harness import QUEUE, IncidentHarness, broken_state, make_alert
from workflows.contracts import ADD_ALERTS_SIGNAL, INCIDENT_WORKFLOW, RESPONDER_ACTION_SIGNAL, IncidentInput
from workflows.incident import MAX_EVENTS


async def signal_until_accepted(harness: IncidentHarness, batch: AlertBatch) -> None:
    """The server refuses signals for a moment if new ones keep an execution from continuing as new."""
    while True:
        try:
            await harness.handle.signal(ADD_ALERTS_SIGNAL, batch)
        except RPCError as error:
            if "workflow is closing" not in error.message:
                raise
            await asyncio.sleep(0.1)
        else:
            return


@pytest.mark.acceptance  # it sends four thousand signals
async def test_alert_storm_continues_as_new_without_loss(real: IncidentHarness) -> None:
    harness = real
    await harness.fire()
    await harness.until_state("notified")
    await harness.act("acknowledge", "bob")
    before = await harness.handle.describe()
    total = 1

    async def send_sixty(start: int) -> None:
        for number in range(start, start + 60):
            alert = make_alert(value=1 + number / 1000)
            batch = AlertBatch(alerts=(GroupedAlert(alert=alert, event_ids=(f"evt-{number}",)),))
            await signal_until_accepted(harness, batch)

    notes = 0
    while (await harness.handle.describe()).run_id == before.run_id:
        await asyncio.gather(*(send_sixty(total + 60 * sender) for sender in range(5)))
        total += 300
        notes += 1
        await harness.handle.signal(
            RESPONDER_ACTION_SIGNAL, ResponderAction(type="annotate", by="bob", note=f"n{notes}", source="console")
        )
        assert total < 3 * MAX_EVENTS, "it never continued as new"
        # The server fails a task that more than a hundred signals overtake: signals that never pause would starve it.
        await harness.until(lambda view, sent=total: view.alert_count == sent)
    view = await harness.until(lambda view: view if view.alert_count == total else None)
    assert (view.state, view.acknowledged_by, view.first_run_id) == ("acknowledged", "bob", before.run_id)
    assert len(harness.page_keys()) == 1
    after = await harness.handle.describe()
    assert {key: value for key, value in after.search_attributes.items() if key.startswith("Tocsin")} == {
        "TocsinState": ["acknowledged"],
        "TocsinTier": ["critical"],
        "TocsinModel": ["chatbot"],
        "TocsinTeam": ["support"],
        "TocsinEnvironment": ["production"],
        "TocsinRule": ["errors"],
        "TocsinRegulated": [False],
    }
    await harness.clear()
    records = await harness.until_closed()
    added = sum(int(record.text.split()[0]) for record in records if record.event == "alert_added")
    assert added + 1 == total
    assert sum(record.event == "annotated" for record in records) == notes


async def test_bug_fails_workflow_task_visibly(real: IncidentHarness) -> None:
    """A message that cannot be built must not be dropped silently."""
    handle = await real.client.start_workflow(
        INCIDENT_WORKFLOW, IncidentInput(state=broken_state("incident-x-0")), id="incident-x-0", task_queue=QUEUE
    )

    async def failed() -> bool:
        return "EVENT_TYPE_WORKFLOW_TASK_FAILED" in str(await handle.fetch_history())

    await wait_until(failed)
    # The task is retried until the code is fixed: the incident itself has not failed.
    assert (await handle.describe()).status == WorkflowExecutionStatus.RUNNING
