"""How each activity is called: its timeouts, its retries, and its summary in the Temporal UI.

The activities of digests, changes and the reconciliation are called in ``background_calls``; nowhere else.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from activities.contracts import (
    Classification,
    ClassifyRequest,
    DigestRequest,
    DoubtRequest,
    InhibitorsUpdate,
    NotificationResult,
    SuppressionCheck,
    SuppressionsFound,
)
from alerts.bounded import cut_text
from incident.audit_events import AuditBatch, AuditEvent
from incident.limits import SUMMARY_LIMIT
from incident.message_builder import build_message
from incident.notification import Notification
from incident.state import IncidentState, PendingNotification
from incident.text import counted
from policy import Decision
from workflows.contracts import BACKGROUND_SUFFIX, DESCRIBE_ACTIVITY

PERMANENT = "Permanent"
"""The type of an activity's error that a retry cannot cure; see ``activities/errors.py``."""

# One attempt. A vendor's request has 10 s; Temporal notices a worker that died after this.
ATTEMPT = {"page": timedelta(seconds=15), "console": timedelta(seconds=10)}
ATTEMPT_WITH_LOOKUP = timedelta(seconds=40)  # a post or ticket that is looked up first takes several requests
# How long a temporary failure may last before the fallback is notified. The message itself is retried after that.
GIVE_UP_AFTER = {
    "page": timedelta(minutes=2),
    "post": timedelta(minutes=5),
    "ticket": timedelta(minutes=15),
    "console": timedelta(minutes=1),
}
_GIVE_UP_SOON = timedelta(seconds=15)
_LAST_ATTEMPT = timedelta(seconds=2)  # of a notification whose time was over when its run continued as new
GIVE_UP_UPDATES_AFTER = timedelta(hours=24)
RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
    non_retryable_error_types=[PERMANENT],
)
_RETRY_CLASSIFY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=15,  # two minutes, if each fails at once; while no worker runs, none is counted
)
_RETRY_IN_DOUBT = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10))
_DOUBT_ATTEMPTS = 5  # of an incident that has a decision
_CLASSIFY_TIMEOUT = timedelta(seconds=15)  # the policy lets an alert wait for its description for 10 s at most
_RETRY_DESCRIBE = RetryPolicy(initial_interval=timedelta(seconds=5), maximum_interval=timedelta(minutes=15))
_RETRY_SUPPRESSIONS = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_attempts=3)
_RETRY_AUDIT = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))
_SUMMARIES = {
    "notify": {"page": "Page", "post": "Post to", "ticket": "Open a ticket in", "console": "Print for"},
    "acknowledge": {
        "page": "Acknowledge at",
        "post": "Show the acknowledgement in",
        "console": "Print the acknowledgement for",
    },
    "resolve": {
        "page": "Resolve at",
        "post": "Show the resolution in",
        "console": "Print the resolution for",
    },
    "refresh": {"post": "Update the message in", "console": "Print the state for"},
    "note": {"ticket": "Comment in", "post": "Reply in", "console": "Print a note for"},
    "remind": {"page": "Remind through", "post": "Remind in", "console": "Print a reminder for"},
}


def background_queue() -> str:
    """The task queue of everything but pages: no page waits behind its activities."""
    return f"{workflow.info().task_queue}{BACKGROUND_SUFFIX}"


async def classify(request: ClassifyRequest) -> Classification:
    """Describe, and decide by the policy in force, which limits how long Arize may take.

    No local activity: its result may differ when the workflow task is replayed. The heartbeat notices a worker that
    died, or that is too busy to keep the policy's limit; the next attempt does not ask Arize.

    Raises ActivityError when all attempts failed.
    """
    return await workflow.execute_activity(
        "classify",
        request,
        result_type=Classification,
        start_to_close_timeout=_CLASSIFY_TIMEOUT,
        heartbeat_timeout=timedelta(seconds=5),
        retry_policy=_RETRY_CLASSIFY,
        summary="Classify by the policy",
    )


async def decide_in_doubt(request: DoubtRequest, *, is_first: bool) -> Decision:
    """The policy's decision about alerts that cannot be classified. Raises ActivityError."""
    return await workflow.execute_activity(
        "decide_in_doubt",
        request,
        result_type=Decision,
        start_to_close_timeout=_CLASSIFY_TIMEOUT,
        retry_policy=_RETRY_IN_DOUBT if is_first else replace(_RETRY_IN_DOUBT, maximum_attempts=_DOUBT_ATTEMPTS),
        summary="Decide in doubt: the alerts cannot be classified",
    )


async def describe(request: ClassifyRequest) -> Classification:
    """Ask Arize again, for as long as the incident is open, and decide again. Raises ActivityError after a month."""
    return await workflow.execute_activity(
        DESCRIBE_ACTIVITY,
        request,
        task_queue=background_queue(),
        result_type=Classification,
        start_to_close_timeout=timedelta(minutes=1),
        schedule_to_close_timeout=timedelta(days=30),
        retry_policy=_RETRY_DESCRIBE,
        summary="Ask Arize again for the description of the monitor",
    )


async def notify(
    state: IncidentState, pending: PendingNotification, events: Sequence[AuditEvent], *, give_up_soon: bool = False
) -> NotificationResult:
    """Send one notification, and write the audit events with it.

    Raises ActivityError when all attempts failed, permanently or until it was given up.
    """
    if pending.digest:
        return await _add_to_digest(state, pending, events)
    kind = pending.target.kind
    attempt = ATTEMPT.get(kind, ATTEMPT_WITH_LOOKUP)
    # A fallback for a page is as urgent as the page, at any kind of destination.
    paging = kind in {"page", "console"} or (pending.fallback_for and pending.verb == "notify")
    # A reminder that comes late would ring beside the next one.
    soon = pending.verb == "notify" or (pending.verb == "remind" and state.bounded)
    give_up_after = GIVE_UP_AFTER[kind] if soon else GIVE_UP_UPDATES_AFTER
    return await workflow.execute_activity(
        kind,
        Notification(
            key=pending.key,
            dedup_key=pending.dedup_key,
            verb=pending.verb,
            target=pending.target,
            content=build_message(state),
            note=pending.note,
            original_receipt=pending.original_receipt,
            audit=_batch(state, events),
            retry_after_giveup=pending.retry_after_giveup or pending.since is not None,
            budget=pending.budget,
        ),
        task_queue=None if paging else background_queue(),
        result_type=NotificationResult,
        start_to_close_timeout=attempt,
        schedule_to_close_timeout=_GIVE_UP_SOON if give_up_soon else _left(pending, give_up_after, attempt),
        retry_policy=RETRY,
        summary=_summary(pending),
    )


def _left(pending: PendingNotification, give_up_after: timedelta, attempt: timedelta) -> timedelta:
    """How long it may fail yet. One that an earlier run began has what that run left of the time, or one attempt."""
    if pending.since is None:
        return give_up_after
    left = pending.since + give_up_after - workflow.now()
    return max(left, min(left + attempt, attempt), _LAST_ATTEMPT)


async def _add_to_digest(
    state: IncidentState, pending: PendingNotification, events: Sequence[AuditEvent]
) -> NotificationResult:
    return await workflow.execute_activity(
        "add_to_digest",
        DigestRequest(
            key=pending.key, target=pending.target, content=build_message(state), audit=_batch(state, events)
        ),
        task_queue=background_queue(),
        result_type=NotificationResult,
        start_to_close_timeout=ATTEMPT["page"],
        schedule_to_close_timeout=_left(pending, GIVE_UP_UPDATES_AFTER, ATTEMPT["page"]),
        retry_policy=RETRY,
        summary=cut_text(f"Add to the digest of {pending.target.name}", SUMMARY_LIMIT),
    )


def _summary(pending: PendingNotification) -> str:
    action = _SUMMARIES[pending.verb].get(pending.target.kind, pending.verb.capitalize())
    fallback = f", since {pending.fallback_for} could not be notified" if pending.fallback_for else ""
    return cut_text(f"{action} {pending.target.name} ({pending.target.type}){fallback}", SUMMARY_LIMIT)


async def write_audit_events(state: IncidentState, events: Sequence[AuditEvent]) -> None:
    """Write an incident's events to the audit log, retried without end."""
    await write_audit_batch(_batch(state, events))


async def write_audit_events_locally(state: IncidentState, events: Sequence[AuditEvent]) -> bool:
    """Write within this workflow task; False when the audit log does not accept the events soon.

    Only for events of a committed signal: ``activities/audit.py`` says why.
    """
    try:
        await workflow.execute_local_activity(
            "write_audit_events",
            _batch(state, events),
            start_to_close_timeout=timedelta(seconds=2),
            retry_policy=RetryPolicy(maximum_attempts=1),
            summary=_audit_summary(events),
        )
    except FailureError as error:  # an ActivityError; in a replay, only that error's cause
        if is_cancelled_exception(error):
            raise
        return False
    return True


async def write_audit_batch(batch: AuditBatch) -> None:
    """Write to the audit log, retried without end."""
    await workflow.execute_activity(
        "write_audit_events",
        batch,
        task_queue=background_queue(),
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=_RETRY_AUDIT,
        summary=_audit_summary(batch.events),
    )


def _audit_summary(events: Sequence[AuditEvent]) -> str:
    text = "Record " + ", ".join(dict.fromkeys(one.event.replace("_", " ") for one in events))
    return cut_text(text, SUMMARY_LIMIT)


def _batch(state: IncidentState, events: Sequence[AuditEvent]) -> AuditBatch:
    return AuditBatch(incident=state.incident, first_run_id=state.first_run_id, events=tuple(events))


async def check_suppressions(request: SuppressionCheck) -> SuppressionsFound:
    """Raises ActivityError: then nothing is known to suppress them."""
    return await workflow.execute_activity(
        "check_suppressions",
        request,
        result_type=SuppressionsFound,
        start_to_close_timeout=timedelta(seconds=20),
        retry_policy=_RETRY_SUPPRESSIONS,
        summary=f"Check what suppresses {counted(len(request.problems), 'problem')}",
    )


async def set_inhibitors(update: InhibitorsUpdate) -> None:
    """Register the problems that inhibit other incidents, or that do so no more; retried without end."""
    await workflow.execute_activity(
        "set_inhibitors",
        update,
        task_queue=background_queue(),
        start_to_close_timeout=timedelta(seconds=20),
        retry_policy=_RETRY_AUDIT,
        summary=f"Register {counted(len(update.inhibitors), 'problem')} that inhibit others",
    )


def failure_reason(error: ActivityError) -> tuple[str, bool]:
    """The reason for people, and whether the failure is permanent."""
    cause = error.cause
    if isinstance(cause, ActivityTimeoutError) and isinstance(cause.cause, ApplicationError):
        return cause.cause.message, False
    if isinstance(cause, ApplicationError):
        return cause.message, cause.non_retryable
    return "no worker or vendor answered in time", False
