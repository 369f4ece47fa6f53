"""What the last incident of an id knew when it closed: Temporal keeps it, without a worker that answers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from temporalio.client import Client, WorkflowExecutionDescription, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from gateway.ingest.submission import Submission
from incident.order import MONITOR_TIMES, EventTimes, believable
from incident.state import IncidentState
from workflows.contracts import IncidentResult

_log = structlog.get_logger()
LATE = timedelta(minutes=1)
"""An alert that happened so long ago may be older than the clear that closed its incident."""


def is_late(submission: Submission) -> bool:
    """Whether an alert happened long before it arrived, or may have: its time states no time zone."""
    now = datetime.now(UTC)
    at = believable(submission.alert.ordering_time, now)
    return at is not None and (at.tzinfo is None or now - at > LATE)


@dataclass(frozen=True)
class LastTimes:
    """When the monitors of the last incident of an id last triggered and cleared."""

    result: IncidentResult | None

    def of_problem(self, problem: str) -> EventTimes:
        """No times if it did not hold the problem. One that earlier versions began had one problem, its own."""
        if self.result is None:
            return EventTimes()
        if self.result.problems:
            return self.result.problems.get(problem, EventTimes())
        return EventTimes.model_validate(self.result.model_dump(include=set(MONITOR_TIMES)))


async def times_of_last_run(client: Client, incident: str, rpc_timeout: timedelta) -> LastTimes:
    """As its last incident knew; no times if it did not close by itself.

    Raises:
        RPCError: Temporal is unavailable.
    """
    last = await _describe(client, incident, rpc_timeout)
    return LastTimes(await _result(client, last, rpc_timeout) if last is not None else None)


@dataclass(frozen=True)
class ClosedIncident:
    """The last incident of an id. ``state`` is what opens it again, if it closed soon enough before."""

    state: IncidentState | None


async def closed_incident(client: Client, incident: str, rpc_timeout: timedelta) -> ClosedIncident:
    """The last incident of an id, which is not open.

    Raises:
        RPCError: Temporal is unavailable.
    """
    last = await _describe(client, incident, rpc_timeout)
    result = await _result(client, last, rpc_timeout) if last is not None else None
    state = result.state if result else None
    if last is None or state is None or state.decision is None or state.decision.reopen_within is None:
        return ClosedIncident(None)
    closed_at = last.close_time or state.closed_at
    is_recent = closed_at and (datetime.now(UTC) - closed_at).total_seconds() <= state.decision.reopen_within
    return ClosedIncident(state if is_recent else None)


async def _describe(client: Client, incident: str, rpc_timeout: timedelta) -> WorkflowExecutionDescription | None:
    """The last run, if it closed by itself."""
    try:
        last = await client.get_workflow_handle(incident).describe(rpc_timeout=rpc_timeout)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return None
    return last if last.status is WorkflowExecutionStatus.COMPLETED else None


async def _result(client: Client, last: WorkflowExecutionDescription, rpc_timeout: timedelta) -> IncidentResult | None:
    """None if nobody can read it: then the alert counts as new."""
    run = client.get_workflow_handle(last.id, run_id=last.run_id, result_type=IncidentResult)
    try:
        return await run.result(follow_runs=False, rpc_timeout=rpc_timeout)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
    except Exception as error:  # noqa: BLE001  # its key is gone, or it failed
        _log.warning("last_run_unreadable", incident=last.id, error=type(error).__name__)
    return None
