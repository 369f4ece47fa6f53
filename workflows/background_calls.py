"""How the activities of digests, changes, silences and the reconciliation are called: timeouts, retries, summaries."""

from datetime import datetime, timedelta

from temporalio import workflow

from activities.contracts import (
    ChangeNotification,
    EndedReport,
    NotificationResult,
    Refresh,
    Repair,
    RepairRequest,
    Scan,
    ScanRequest,
    SendDigestRequest,
    SendDigestResult,
)
from alerts.bounded import cut_text
from incident.audit_events import AuditBatch, AuditEvent
from incident.change import Change
from incident.limits import SUMMARY_LIMIT
from incident.message import MessageContent
from incident.notification import Notification
from incident.receipt import Receipt
from incident.suppression import Silence
from incident.text import counted
from policy import Target
from workflows.activity_calls import (
    ATTEMPT,
    ATTEMPT_WITH_LOOKUP,
    GIVE_UP_AFTER,
    GIVE_UP_UPDATES_AFTER,
    RETRY,
    background_queue,
)

_RECONCILE_TIMEOUT = timedelta(minutes=2)


async def list_change_subscribers(change: Change) -> list[str]:
    """The destinations that receive change events."""
    return await workflow.execute_activity(
        "list_change_subscribers",
        change,
        task_queue=background_queue(),
        result_type=list[str],
        start_to_close_timeout=timedelta(seconds=5),
        schedule_to_close_timeout=GIVE_UP_UPDATES_AFTER,
        retry_policy=RETRY,
        summary="List the destinations that receive changes",
    )


async def send_change_event(notification: ChangeNotification) -> Receipt:
    """Raises ActivityError."""
    return await workflow.execute_activity(
        "send_change_event",
        notification,
        task_queue=background_queue(),
        result_type=Receipt,
        start_to_close_timeout=ATTEMPT["page"],
        schedule_to_close_timeout=GIVE_UP_AFTER["post"],
        retry_policy=RETRY,
        summary=cut_text(f"Send the change to {notification.destination}", SUMMARY_LIMIT),
    )


async def send_digest(request: SendDigestRequest) -> SendDigestResult:
    """Raises ActivityError."""
    return await workflow.execute_activity(
        "send_digest",
        request,
        task_queue=background_queue(),
        result_type=SendDigestResult,
        start_to_close_timeout=timedelta(minutes=2),
        schedule_to_close_timeout=GIVE_UP_AFTER["ticket"],
        retry_policy=RETRY,
        summary=cut_text(f"Send the digest to {request.destination}", SUMMARY_LIMIT),
    )


async def notify_digest_fallback(
    info: workflow.Info, destination: str, target: Target, reason: str, now: datetime
) -> None:
    """Notify a fallback that a digest could not be sent. Raises ActivityError."""
    headline = f"HIGH digest for {destination} could not be sent"
    event = AuditEvent(key="notification-failed", at=now, event="notification_failed", text=f"{headline}: {reason}")
    await workflow.execute_activity(
        target.kind,
        Notification(
            key=f"{info.workflow_id}:fallback-{target.name}",
            dedup_key=info.workflow_id,
            verb="notify",
            target=target,
            content=MessageContent(
                headline=headline,
                state="Not sent",
                tier="high",
                incident=info.workflow_id,
                component="digest",
                since=now,
                reason=f"{reason}. The gathered incidents are kept, and sending is retried.",
            ),
            note=f"{destination} could not be notified: {reason}",
            audit=AuditBatch(incident=info.workflow_id, first_run_id=info.first_execution_run_id, events=(event,)),
        ),
        task_queue=None if target.kind in {"page", "console"} else background_queue(),
        result_type=NotificationResult,
        start_to_close_timeout=ATTEMPT.get(target.kind, ATTEMPT_WITH_LOOKUP),
        schedule_to_close_timeout=GIVE_UP_AFTER[target.kind],
        retry_policy=RETRY,
        summary=cut_text(
            f"Notify {target.name} ({target.type}) that the digest for {destination} could not be sent", SUMMARY_LIMIT
        ),
    )


async def scan_monitors(request: ScanRequest) -> Scan:
    """Raises ActivityError."""
    return await workflow.execute_activity(
        "scan_monitors",
        request,
        task_queue=background_queue(),
        result_type=Scan,
        start_to_close_timeout=_RECONCILE_TIMEOUT,
        schedule_to_close_timeout=2 * _RECONCILE_TIMEOUT,
        retry_policy=RETRY,
        summary="Compare Arize's monitors with the open incidents",
    )


async def repair(request: RepairRequest) -> Repair:
    """Raises ActivityError."""
    return await workflow.execute_activity(
        "repair",
        request,
        task_queue=background_queue(),
        result_type=Repair,
        start_to_close_timeout=_RECONCILE_TIMEOUT,
        schedule_to_close_timeout=2 * _RECONCILE_TIMEOUT,
        retry_policy=RETRY,
        summary=f"Open or clear incidents for {counted(len(request.found), 'missed webhook')}",
    )


async def report_ended_incidents() -> EndedReport:
    """Raises ActivityError."""
    return await workflow.execute_activity(
        "report_ended_incidents",
        task_queue=background_queue(),
        result_type=EndedReport,
        start_to_close_timeout=_RECONCILE_TIMEOUT,
        schedule_to_close_timeout=5 * _RECONCILE_TIMEOUT,
        retry_policy=RETRY,
        summary="Report incidents that ended outside Tocsin",
    )


async def refresh_descriptions() -> Refresh:
    """Raises ActivityError."""
    return await workflow.execute_activity(
        "refresh_descriptions",
        task_queue=background_queue(),
        result_type=Refresh,
        start_to_close_timeout=2 * _RECONCILE_TIMEOUT,
        schedule_to_close_timeout=2 * _RECONCILE_TIMEOUT,
        heartbeat_timeout=timedelta(seconds=30),
        retry_policy=RETRY,
        summary="Refresh the descriptions of Arize's monitors",
    )


async def store_silence(silence: Silence) -> None:
    """Store a silence, or its end; retried without end."""
    await workflow.execute_activity(
        "store_silence",
        silence,
        start_to_close_timeout=timedelta(seconds=10),
        retry_policy=RETRY,
        summary=cut_text(f"{'Expire' if silence.ended_at else 'Store'} the silence {silence.id}", SUMMARY_LIMIT),
    )


async def recheck_incidents(silence: Silence) -> int:
    """Open incidents check what suppresses them. Retried without end; they check now and then by themselves, too."""
    return await workflow.execute_activity(
        "recheck_incidents",
        silence,
        task_queue=background_queue(),
        result_type=int,
        start_to_close_timeout=_RECONCILE_TIMEOUT,
        heartbeat_timeout=timedelta(seconds=30),
        retry_policy=RETRY,
        summary="Open incidents check what suppresses them",
    )
