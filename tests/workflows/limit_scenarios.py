"""Incidents that reach the limits of ``incident.limits``. Their histories are large, and recorded compressed."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle

from alerts import Alert
from incident.events import AlertBatch, GroupedAlert
from incident.view import IncidentView
from tests.vendors import Fault
from tests.workflows.harness import QUEUE, IncidentHarness, make_alert
from workflows.contracts import INCIDENT_WORKFLOW, IncidentInput

EMOJI = "\N{FIRE}"
NOTES = 70
"""Their audit events take 560 KiB, which is more than one activity writes."""


def large_alert(number: int, size: int = 120_000, monitor: str = "m-large", **changes: Any) -> Alert:
    """A legal alert: 62 labels of four-byte characters, below 256 KiB, with a value of its own."""
    chars = min(size // 62 // 8, 255)
    labels = {f"{EMOJI * (chars - 2)}{key:02}": EMOJI * chars for key in range(62)}
    alert = make_alert(value=0.31 + number / 1000, monitor_id=monitor, monitor_name=monitor)
    return alert.model_copy(update={"tags": labels, **changes})


async def full_while_sending(harness: IncidentHarness) -> WorkflowHandle[Any, Any]:
    """Alerts of 6 MiB while the pager cannot be updated. Returns the run that was full."""
    await harness.fire(large_alert(0))
    await harness.until_state("notified")
    harness.pagerduty.always = Fault(status=503)
    await harness.act("acknowledge", "bob")
    first = (await harness.handle.describe()).run_id
    number = 0
    while (await harness.handle.describe()).run_id == first:
        number += 4
        assert number < 400, "it never continued as new"
        await asyncio.gather(*(harness.send(large_alert(number - part)) for part in range(4)))
        await harness.until(lambda view, sent=number: view.alert_count == sent + 1)
    harness.pagerduty.always = None

    await harness.until(lambda view: not is_telling(view))
    return harness.client.get_workflow_handle(harness.handle.id, run_id=first)


async def large_audit_events(harness: IncidentHarness) -> None:
    """Opened by 1.0, which bounds no state. People write long notes while the audit log is unavailable."""
    alerts = AlertBatch(alerts=(GroupedAlert(alert=harness.alert, event_ids=("1",)),))
    start = IncidentInput(alerts=alerts)
    await harness.client.start_workflow(INCIDENT_WORKFLOW, start, id=harness.handle.id, task_queue=QUEUE)
    await harness.until_state("notified")
    blocker = sqlite3.connect(Path(str(harness.audit_log.database.url.database)), isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    for number in range(NOTES):
        await harness.callback("annotate", "Alice Example", id=f"slack-{number}", note=f"{number} {EMOJI * 2_000}")
    await harness.until(lambda view: noted(view) == NOTES)
    blocker.execute("ROLLBACK")
    blocker.close()
    await harness.clear()
    await harness.handle.result()


async def many_updates(harness: IncidentHarness) -> None:
    """The ticket cannot be written: notes about it wait for each other, and nothing new for them."""
    await harness.fire(make_alert(model="underwriting"))
    await harness.until(lambda view: len(view.receipts) == 2)
    harness.jira.always = Fault(status=503)
    for number in range(12):
        await harness.callback("annotate", "Alice Example", id=f"slack-{number}", note=f"looking, {number}")
    await harness.until(lambda view: noted(view) == 12)
    await harness.advance(minutes=16)
    await harness.until(lambda view: len(view.receipts) == 4)
    harness.jira.always = None
    await harness.advance_until(lambda _: len(harness.jira.comments.get("AIGOV-1", ())) >= 12, minutes=2)
    await harness.act("resolve", "Carol", "compliance", note="reviewed")
    await harness.until_closed()


def is_telling(view: IncidentView) -> bool:
    """Whether the pager does not know of the acknowledgement."""
    return not any(one.event == "update_sent_acknowledge" for one in view.timeline)


def noted(view: IncidentView) -> int:
    return sum(one.event == "annotated" for one in view.timeline)
