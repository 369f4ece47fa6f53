"""The request that starts an incident's workflow."""

from datetime import timedelta
from typing import Literal

from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from alerts import Alert, incident_id
from alerts.bounded import bounded, cut_text, json_size
from gateway.ingest.first_decision import FirstDecision
from incident.events import AlertBatch, GroupedAlert
from incident.limits import BARE_ALERT_BYTES, MEMO_BYTES, SUMMARY_LIMIT
from incident.state import IncidentState
from workflows import search_attributes
from workflows.contracts import INCIDENT_WORKFLOW, MONITOR_MEMO, IncidentInput, MonitorMemo

RPC_TIMEOUT = timedelta(seconds=5)
Form = Literal["whole", "unlisted", "bare"]
"""How much of an incident's first message is sent: all, all but search attributes, or what a page needs."""


async def start_incident(
    client: Client,
    task_queue: str,
    incident: str,
    first: FirstDecision,
    *,
    identity: tuple[str, ...],
    form: Form,
    reopened: IncidentState | None,
    only_if_new: bool,
) -> None:
    """Start the workflow of an incident.

    Args:
        client: of Temporal.
        task_queue: of the workflows.
        incident: its id.
        first: its first alerts, and what was decided about them.
        identity: of the first one that is triggered.
        form: how much is sent.
        reopened: the state of the closed incident that it opens again.
        only_if_new: not if an incident of that id was closed before.

    Raises:
        WorkflowAlreadyStartedError: the incident is open, or was closed and ``only_if_new``.
        RPCError: Temporal refuses, or is unavailable.
    """
    alerts = tuple(map(bare, first.alerts)) if form == "bare" else first.alerts
    alert = next(each.alert for each in alerts if each.alert.status != "cleared")
    pairs = [SearchAttributePair(search_attributes.STATE, "received")]
    pairs += [SearchAttributePair(key, value) for key, value in search_attributes.of_alert(alert)]
    if first.decision is not None:
        # Lists find the incident by its decision at once, and its history needs no event for it.
        pairs += [SearchAttributePair(key, value) for key, value in search_attributes.of_decision(first.decision)]
    await client.start_workflow(
        INCIDENT_WORKFLOW,
        IncidentInput(
            alerts=AlertBatch(alerts=alerts),
            decision=first.decision,
            decisions=first.decisions,
            decision_of=first.decision_of,
            suppressions=dict(first.suppressions),
            unlisted=form != "whole",
            bounded=True,
            random_key=True,
            tracks_problems=True,
            reopened=reopened,
        ),
        id=incident,
        task_queue=task_queue,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE
        if only_if_new
        else WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        search_attributes=TypedSearchAttributes(pairs) if form == "whole" else None,
        static_summary=_summary(alert) if form != "bare" else None,
        memo={MONITOR_MEMO: _memo(incident, alert, identity)} if form != "bare" else None,
        rpc_timeout=RPC_TIMEOUT,
    )


def bare(group: GroupedAlert) -> GroupedAlert:
    """The alert as it is sent after Temporal has refused it with all that it has."""
    return group.model_copy(update={"alert": bounded(group.alert, BARE_ALERT_BYTES)})


def _memo(incident: str, alert: Alert, identity: tuple[str, ...]) -> MonitorMemo:
    """The incident's monitor. An identity that does not fit is left out: the reconciler then goes by the incident."""
    memo = MonitorMemo(id=alert.monitor_id, identity=identity, grouped=incident != incident_id(alert))
    return memo if json_size(memo) <= MEMO_BYTES else memo.model_copy(update={"identity": ()})


def _summary(alert: Alert) -> str:
    """The incident in the Temporal UI's list."""
    place = " · ".join(part for part in (alert.environment, alert.region) if part)
    text = f"{alert.model or alert.monitor}: {alert.metric or alert.monitor}"
    return cut_text(f"{text} · {place}" if place else text, SUMMARY_LIMIT)
