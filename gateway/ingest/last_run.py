"""What the last incident of a monitor knew when it closed: Temporal keeps it, without a worker that answers."""

from datetime import UTC, datetime, timedelta

import structlog
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from gateway.ingest.submission import Submission
from incident.order import MONITOR_TIMES, EventTimes, believable
from workflows.contracts import IncidentResult

_log = structlog.get_logger()
LATE = timedelta(minutes=1)
"""An alert that happened so long ago may be older than the clear that closed its incident."""


def is_late(submission: Submission) -> bool:
    """Whether an alert happened long before it arrived, or may have: its time states no time zone."""
    now = datetime.now(UTC)
    at = believable(submission.alert.ordering_time, now)
    return at is not None and (at.tzinfo is None or now - at > LATE)


async def times_of_last_run(client: Client, incident: str, rpc_timeout: timedelta) -> EventTimes:
    """When the monitor last triggered and cleared, as its last incident knew; no times if it did not close by itself.

    Raises:
        RPCError: Temporal is unavailable.
    """
    try:
        last = await client.get_workflow_handle(incident).describe(rpc_timeout=rpc_timeout)
        if last.status is not WorkflowExecutionStatus.COMPLETED:
            return EventTimes()
        run = client.get_workflow_handle(incident, run_id=last.run_id, result_type=IncidentResult)
        result = await run.result(follow_runs=False, rpc_timeout=rpc_timeout)
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
        return EventTimes()
    except Exception as error:  # noqa: BLE001  # its key is gone, or it failed: the alert counts as new
        _log.warning("last_run_unreadable", incident=incident, error=type(error).__name__)
        return EventTimes()
    return EventTimes.model_validate(result.model_dump(include=set(MONITOR_TIMES)))
