"""The state that a run of an incident begins with."""

from datetime import datetime

from temporalio import workflow

from incident.order import EventTimes
from incident.state import IncidentState
from workflows.contracts import IncidentInput


def first_state(start: IncidentInput, info: workflow.Info, now: datetime) -> IncidentState:
    """That of the run before it, that of the closed incident which it opens again, or a new one."""
    if start.state is not None:
        return start.state
    if start.reopened is not None:
        start.reopened.reopened_run_ids.append(info.first_execution_run_id)
        return start.reopened
    state = IncidentState(
        incident=info.workflow_id,
        first_run_id=info.first_execution_run_id,
        opened_at=now,
        times=start.times or EventTimes(),
        bounded=start.bounded,
        random_key=start.random_key,
        tracks_problems=start.tracks_problems,
    )
    state.times.started_at = info.workflow_start_time if start.bounded else info.start_time
    return state
