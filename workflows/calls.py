"""How each activity is called: its timeouts, its retries, and its line in the Temporal UI. Nowhere else."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

from activities.contracts import (
    PERMANENT,
    Brief,
    Change,
    ChangeDelivery,
    Classification,
    Delivered,
    Delivery,
    DigestDelivery,
    DigestEntry,
    DigestIssue,
    DigestOutcome,
    DigestSending,
    Entries,
    Entry,
    Mended,
    Mending,
    Receipt,
    Survey,
    Surveyed,
)
from policy import Decision, Target
from workflows.brief import brief
from workflows.messages import ASIDE
from workflows.state import IncidentState, Owed

# How long one attempt may take. A vendor's request has 10 s; a worker that dies is noticed after this.
_ATTEMPT = {"page": timedelta(seconds=15), "console": timedelta(seconds=10)}
_ATTEMPT_SLOW = timedelta(seconds=40)  # a post or ticket that is looked up first takes several requests
# How long a passing failure may last before somebody else is told. The message itself is tried on after that.
_PATIENCE = {
    "page": timedelta(minutes=2),
    "post": timedelta(minutes=5),
    "ticket": timedelta(minutes=15),
    "console": timedelta(minutes=1),
}
_SOON = timedelta(seconds=15)
_PATIENCE_AFTERWARDS = timedelta(hours=24)  # for what changes or adds to a message, and for digests
_ROUND = timedelta(minutes=2)  # of asking Arize: the next one comes soon
_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
    non_retryable_error_types=[PERMANENT],
)
_ASK = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10))
_VERBS = {
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
    "change": {"post": "Show how it stands in", "console": "Print how it stands for"},
    "note": {"ticket": "Comment in", "post": "Reply in", "console": "Print a note for"},
    "remind": {"page": "Remind through", "post": "Remind in", "console": "Print a reminder for"},
}


def aside() -> str:
    """The task queue of everything that is not a page: what it waits for, a page never waits behind."""
    return f"{workflow.info().task_queue}{ASIDE}"


async def classify(asked: Classification, *, locally: bool) -> Decision:
    """``locally`` as 0.2.0 did it, for what began then.

    What a local activity gives is seen at another place when the history is done over, where somebody looked at the
    incident by a query in that very moment (seen under chaos, with temporalio 1.35): so what happens next must not hang
    on it.
    """
    shared: dict[str, Any] = {
        "result_type": Decision,
        "start_to_close_timeout": timedelta(seconds=5),
        "retry_policy": _ASK,
        "summary": "Ask the policy",
    }
    if locally:
        return await workflow.execute_local_activity("classify", asked, **shared)
    return await workflow.execute_activity("classify", asked, **shared)


async def deliver(
    state: IncidentState, owed: Owed, entries: Sequence[Entry], *, soon: bool = False, again: bool = False
) -> Delivered:
    """Deliver one message, and record the entries by the way; ``soon`` or not at all. ``again`` after it was given up.

    Raises ActivityError when the message could not be delivered, for good or within the patience.
    """
    kind = owed.target.kind
    record = _entries(state, entries)
    if owed.digest:
        entry = DigestEntry(key=owed.key, target=owed.target, brief=brief(state))
        return await workflow.execute_activity(
            "digest",
            DigestDelivery(entry=entry, record=record),
            task_queue=aside(),
            result_type=Delivered,
            start_to_close_timeout=timedelta(seconds=15),
            schedule_to_close_timeout=_PATIENCE_AFTERWARDS,
            retry_policy=_RETRY,
            summary=f"Put into the digest of {owed.target.name}",
        )
    # What is told in place of a page that could not be sent is as urgent, wherever it goes.
    urgent = kind in {"page", "console"} or (owed.in_place_of and owed.verb == "notify")
    patience = _PATIENCE[kind] if owed.verb == "notify" else _PATIENCE_AFTERWARDS
    return await workflow.execute_activity(
        kind,
        Delivery(
            key=owed.key,
            thread=owed.thread,
            verb=owed.verb,
            target=owed.target,
            brief=brief(state),
            note=owed.note,
            first=owed.first,
            record=record,
            again=again or owed.again,
        ),
        task_queue=None if urgent else aside(),
        result_type=Delivered,
        start_to_close_timeout=_ATTEMPT.get(kind, _ATTEMPT_SLOW),
        schedule_to_close_timeout=_SOON if soon else patience,
        retry_policy=_RETRY,
        summary=_summary(owed),
    )


def _summary(owed: Owed) -> str:
    doing = _VERBS[owed.verb].get(owed.target.kind, owed.verb.capitalize())
    instead = f", as {owed.in_place_of} could not be told" if owed.in_place_of else ""
    return f"{doing} {owed.target.name} ({owed.target.type}){instead}"


async def hearers(change: Change) -> list[str]:
    return await workflow.execute_activity(
        "hearers",
        change,
        task_queue=aside(),
        result_type=list[str],
        start_to_close_timeout=timedelta(seconds=5),
        schedule_to_close_timeout=_PATIENCE_AFTERWARDS,
        retry_policy=_RETRY,
        summary="Find who is told of changes",
    )


async def tell_change(delivery: ChangeDelivery) -> Receipt:
    return await workflow.execute_activity(
        "tell_change",
        delivery,
        task_queue=aside(),
        result_type=Receipt,
        start_to_close_timeout=_ATTEMPT["page"],
        schedule_to_close_timeout=_PATIENCE["post"],
        retry_policy=_RETRY,
        summary=f"Tell {delivery.target} of the change",
    )


async def record(state: IncidentState, entries: Sequence[Entry]) -> None:
    await append(_entries(state, entries))


async def record_at_once(state: IncidentState, entries: Sequence[Entry]) -> bool:
    """Record within this very workflow task; False where the audit log does not take it soon.

    Only for what happens however often the task is done over: ``activities.record`` says why.
    """
    try:
        await workflow.execute_local_activity(
            "record",
            _entries(state, entries),
            start_to_close_timeout=timedelta(seconds=2),
            retry_policy=RetryPolicy(maximum_attempts=1),
            summary=_recording(entries),
        )
    except FailureError as error:  # an ActivityError; done over from the history, it is that error's cause alone
        if is_cancelled_exception(error):
            raise
        return False
    return True


async def append(entries: Entries) -> None:
    """Append to the audit log, however long that takes."""
    await workflow.execute_activity(
        "record",
        entries,
        task_queue=aside(),
        start_to_close_timeout=timedelta(seconds=30),
        retry_policy=RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1)),
        summary=_recording(entries.entries),
    )


def _recording(entries: Sequence[Entry]) -> str:
    return "Record " + ", ".join(dict.fromkeys(entry.what.replace("_", " ") for entry in entries))


def _entries(state: IncidentState, entries: Sequence[Entry]) -> Entries:
    return Entries(incident=state.incident, opening=state.opening, entries=tuple(entries))


async def issue_digest(sending: DigestSending) -> DigestOutcome:
    return await workflow.execute_activity(
        "issue_digest",
        sending,
        task_queue=aside(),
        result_type=DigestOutcome,
        start_to_close_timeout=timedelta(minutes=2),
        schedule_to_close_timeout=_PATIENCE["ticket"],
        retry_policy=_RETRY,
        summary=f"Send the digest to {sending.destination}",
    )


async def tell_of_digest(info: workflow.Info, destination: str, target: Target, reason: str, now: datetime) -> None:
    """Say in another place that a digest could not be sent. Raises ActivityError."""
    headline = f"HIGH digest for {destination} could not be sent"
    said = Brief(
        headline=headline,
        state="Not delivered",
        tier="high",
        incident=info.workflow_id,
        component="digest",
        since=now,
        why=f"{reason}. What was gathered is kept, and tried again.",
    )
    record = Entries(
        incident=info.workflow_id,
        opening=info.first_execution_run_id,
        entries=(Entry(key="not-delivered", at=now, what="not_delivered", text=f"{headline}: {reason}"),),
    )
    await workflow.execute_activity(
        target.kind,
        Delivery(
            key=f"{info.workflow_id}:fallback-{target.name}",
            thread=info.workflow_id,
            verb="notify",
            target=target,
            brief=said,
            note=f"{destination} could not be told: {reason}",
            record=record,
        ),
        task_queue=None if target.kind in {"page", "console"} else aside(),
        result_type=Delivered,
        start_to_close_timeout=_ATTEMPT.get(target.kind, _ATTEMPT_SLOW),
        schedule_to_close_timeout=_PATIENCE[target.kind],
        retry_policy=_RETRY,
        summary=f"Tell {target.name} ({target.type}) that the digest for {destination} could not be sent",
    )


async def survey_monitors(survey: Survey) -> Surveyed:
    return await workflow.execute_activity(
        "survey_monitors",
        survey,
        task_queue=aside(),
        result_type=Surveyed,
        start_to_close_timeout=_ROUND,
        schedule_to_close_timeout=2 * _ROUND,
        retry_policy=_RETRY,
        summary="Compare Arize's monitors with what is open",
    )


async def mend(mending: Mending) -> Mended:
    return await workflow.execute_activity(
        "mend",
        mending,
        task_queue=aside(),
        result_type=Mended,
        start_to_close_timeout=_ROUND,
        schedule_to_close_timeout=2 * _ROUND,
        retry_policy=_RETRY,
        summary=f"Open or clear what never arrived, of {len(mending.found)}",
    )


def reason_of(error: ActivityError) -> tuple[str, bool]:
    """What to tell people, and whether trying again cannot help."""
    cause = error.cause
    if isinstance(cause, ActivityTimeoutError) and isinstance(cause.cause, ApplicationError):
        return cause.cause.message, False
    if isinstance(cause, ApplicationError):
        return cause.message, cause.non_retryable
    return "no worker or vendor answered in time", False


async def send_digest(issue: DigestIssue) -> Receipt:
    return await workflow.execute_activity(
        "send_digest",
        issue,
        task_queue=aside(),
        result_type=Receipt,
        start_to_close_timeout=_ATTEMPT_SLOW,
        schedule_to_close_timeout=_PATIENCE_AFTERWARDS,
        retry_policy=_RETRY,
        summary=f"Send the digest of {len(issue.briefs)} to {issue.destination}",
    )
