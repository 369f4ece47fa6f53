"""A silence that a person created or expired: stored, recorded, and noticed by the incidents that it was for."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from incident.audit_events import AuditBatch, AuditEvent
    from incident.suppression import Silence
    from workflows import activity_calls, background_calls
    from workflows.contracts import SILENCE_WORKFLOW


@workflow.defn(name=SILENCE_WORKFLOW)
class SilenceChange:
    @workflow.run
    async def run(self, silence: Silence) -> None:
        await background_calls.store_silence(silence)
        info = workflow.info()
        event = _ended(silence) if silence.ended_at else _created(silence)
        batch = AuditBatch(incident=f"silence-{silence.id}", first_run_id=info.run_id, events=(event,))
        await activity_calls.write_audit_batch(batch)
        await background_calls.recheck_incidents(silence)


def _created(silence: Silence) -> AuditEvent:
    times = f"{silence.starts_at:%Y-%m-%d %H:%M:%S} to {silence.ends_at:%Y-%m-%d %H:%M:%S} UTC"
    return AuditEvent(
        key="silence-created",
        at=silence.created_at,
        event="silence_created",
        by=silence.by,
        text=f"{silence.matcher}, {times}: {silence.reason}",
        data={"silence": silence.model_dump(mode="json")},
    )


def _ended(silence: Silence) -> AuditEvent:
    return AuditEvent(
        key="silence-expired",
        at=silence.until,
        event="silence_expired",
        by=silence.ended_by,
        text=f"{silence.matcher}: {silence.reason}",
        data={"silence": silence.model_dump(mode="json")},
    )
