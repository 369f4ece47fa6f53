"""A change that Arize reports: recorded, and sent to the destinations that list changes. It pages nobody."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.contracts import ChangeNotification
    from incident.audit_events import AuditBatch, AuditEvent
    from incident.change import Change
    from workflows import activity_calls, background_calls
    from workflows.contracts import CHANGE_WORKFLOW


@workflow.defn(name=CHANGE_WORKFLOW)
class ChangeEvent:
    @workflow.run
    async def run(self, change: Change) -> int:
        """Returns how many destinations received it."""
        workflow.set_current_details(f"`{change.kind}` at {change.at:%Y-%m-%d %H:%M:%S} UTC")
        names = await background_calls.list_change_subscribers(change)
        results = await asyncio.gather(*(self._send(name, change) for name in names))
        sent = [name for name, accepted in zip(names, results, strict=True) if accepted]
        info = workflow.info()
        event = AuditEvent(
            key="change",
            at=change.at,
            event="changed",
            by="arize",
            text=change.text,
            data={"kind": change.kind, "sent": sent, "failed": [name for name in names if name not in sent]},
        )
        batch = AuditBatch(incident=info.workflow_id, first_run_id=info.run_id, events=(event,))
        await activity_calls.write_audit_batch(batch)
        return len(sent)

    async def _send(self, name: str, change: Change) -> bool:
        try:
            await background_calls.send_change_event(ChangeNotification(destination=name, change=change))
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return False  # the audit log says so; a change that is missing from a list is no reason to page anybody
        return True
