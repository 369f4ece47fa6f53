"""The activity ``write_audit_events``: appends to the audit log.

Writing is an activity of its own, or part of a notification. A local activity runs before Temporal has committed the
workflow task that asked for it, so a worker that dies there would leave an event that then happens differently. The
exception is a responder action that arrived as a signal: the signal is committed before the workflow processes it, and
nothing later in the history can come before it, so every replay writes the same event again.
"""

import asyncio

import structlog
from temporalio import activity

from audit import AuditLog, GroupCommitter, NewRecord
from incident.audit_events import AuditBatch, AuditEvent

BEST_EFFORT_TIMEOUT = 3.0  # seconds that a notification waits for the audit log after its message was sent

_log = structlog.get_logger()


def records_of(batch: AuditBatch) -> list[NewRecord]:
    """The records of a batch's events, in their order."""
    return [
        NewRecord(
            incident=batch.incident,
            first_run_id=batch.first_run_id,
            key=event.key,
            at=event.at,
            event=event.event,
            by=event.by,
            text=event.text,
            data=event.data,
        )
        for event in batch.events
    ]


class AuditRecorder:
    """Appends the events of many incidents in one transaction: one flush to the disk serves them all."""

    def __init__(self, log: AuditLog) -> None:
        self._committer: GroupCommitter[list[NewRecord]] = GroupCommitter(log.append, name="audit")

    @activity.defn(name="write_audit_events")
    async def write_audit_events(self, batch: AuditBatch) -> None:
        """Append an incident's events; durable on return. Idempotent: an event that the log holds is skipped.

        Raises:
            ConflictError: the log holds a different event under one of the keys.
            SQLAlchemyError, OSError: the log is unavailable; Temporal retries.
        """
        await self._committer.commit(records_of(batch))

    async def record_best_effort(self, batch: AuditBatch, *more: AuditEvent) -> bool:
        """Append events beside a notification. False if the log is unavailable: the incident writes them later."""
        whole = batch.model_copy(update={"events": (*batch.events, *more)})
        if not whole.events:
            return True
        try:
            await asyncio.wait_for(self.write_audit_events(whole), BEST_EFFORT_TIMEOUT)
        except Exception as error:  # noqa: BLE001  # a sent message must not be sent again because the log failed
            _log.warning("audit_write_deferred", incident=batch.incident, error=type(error).__name__)
            return False
        return True
