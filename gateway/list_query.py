"""List filters for Temporal's visibility store: https://docs.temporal.io/list-filter"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from temporalio.client import Client
from temporalio.common import SearchAttributeKey

from gateway.problems import Problem
from incident.state import State
from workflows import search_attributes
from workflows.contracts import INCIDENT_WORKFLOW

StateFilter = State | Literal["open"]
"""``open``: neither resolved nor closed."""

MAX_CONTINUED = 100
WORKER_DELAY = timedelta(days=1)
"""An incident is opened and closed by a worker: after its run was started, and before Temporal ends the run."""


_EXACT = timedelta()


@dataclass(frozen=True)
class Period:
    """A period of time, with or without a beginning and an end."""

    since: datetime | None
    """Included; in UTC."""
    until: datetime | None
    """Excluded; in UTC."""
    name: str
    """Of its parameters: ``opened`` for ``opened_since`` and ``opened_until``."""

    def __post_init__(self) -> None:
        """Raises Problem 422."""
        if self.since is not None and self.until is not None and self.since >= self.until:
            reason = f"query.{self.name}_until: it must be later than {self.name}_since"
            raise Problem(422, "the period is empty", reason, code="empty_period")

    def __bool__(self) -> bool:
        return self.since is not None or self.until is not None

    def includes(self, at: datetime | None) -> bool:
        """Whether a time is in the period; None, for what has not happened, is only in a period without ends."""
        if at is None:
            return not self
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def conditions(self, attribute: str, *, early: timedelta = _EXACT, late: timedelta = _EXACT) -> list[str]:
        """Of a run's time, which may be up to ``early`` before the period, or up to ``late`` after it."""
        since = [] if self.since is None else [f"{attribute} >= {_quoted((self.since - early).isoformat())}"]
        until = [] if self.until is None else [f"{attribute} < {_quoted((self.until + late).isoformat())}"]
        return since + until


async def continued_incidents(client: Client, opened: Period) -> Sequence[str]:
    """The ids of incidents that have a run which started in the period and was continued as new.

    Such an incident may have been opened in the period, although its last run, the one that lists show, started later.
    Only incidents with a very long history are continued. Without an end of the period the last run is in it anyway.

    Raises:
        Problem: 422 for a period with too many of them.
        RPCError: Temporal is unavailable.
    """
    if opened.until is None:
        return ()
    conditions = [
        *_INCIDENTS,
        "ExecutionStatus = 'ContinuedAsNew'",
        *opened.conditions("StartTime", early=WORKER_DELAY),
    ]
    ids: set[str] = set()
    async for one in client.list_workflows(" AND ".join(conditions), page_size=1000):
        ids.add(one.id)
        if len(ids) > MAX_CONTINUED:
            reason = f"over {MAX_CONTINUED} incidents with very long histories were opened in it"
            raise Problem(422, "the period is too long: choose a shorter one", reason, code="period_too_long")
    return sorted(ids)


def list_query(
    filters: Mapping[SearchAttributeKey[str], str | None],
    *,
    incident: str | None = None,
    state: StateFilter | None,
    opened: Period,
    closed: Period,
    continued: Sequence[str],
) -> str:
    """The filter of a list of incidents.

    Args:
        filters: what search attributes must be; None for any value.
        incident: the id of the only one, with its earlier openings.
        state: of the incidents. A run that was ended in Temporal is closed as well.
        opened: when they were opened. The filter lets more pass, because it knows the runs' times only: the reader
            checks the incidents' own.
        closed: when they were closed; likewise.
        continued: ids of ``continued_incidents``.
    """
    conditions = [*_INCIDENTS, "ExecutionStatus != 'ContinuedAsNew'"]
    if state == "closed":
        conditions.append("ExecutionStatus != 'Running'")
    elif state == "open":
        name = search_attributes.STATE.name  # a run that no worker has begun has none yet
        conditions += ["ExecutionStatus = 'Running'", f"({name} IS NULL OR {name} != 'resolved')"]
    elif state:
        conditions += ["ExecutionStatus = 'Running'", f"{search_attributes.STATE.name} = {_quoted(state)}"]
    conditions += [f"{key.name} = {_quoted(value)}" for key, value in filters.items() if value]
    conditions += [f"WorkflowId = {_quoted(incident)}"] if incident else []
    conditions += closed.conditions("CloseTime", late=WORKER_DELAY)
    if opened:
        started = " AND ".join(opened.conditions("StartTime", early=WORKER_DELAY))
        ids = f" OR WorkflowId IN ({', '.join(map(_quoted, continued))})" if continued else ""
        conditions.append(f"(({started}){ids})")
    return " AND ".join(conditions)


def incidents_of(task_queue: str) -> str:
    """All incidents of one installation: several may share a namespace, with a task queue each."""
    return " AND ".join([*_INCIDENTS, f"TaskQueue = {_quoted(task_queue)}"])


def open_incidents_of(task_queue: str) -> str:
    """The open ones of them."""
    return f"{incidents_of(task_queue)} AND ExecutionStatus = 'Running'"


def runs_query(incident: str) -> str:
    """The last runs of all incidents that had an id."""
    return " AND ".join([*_INCIDENTS, "ExecutionStatus != 'ContinuedAsNew'", f"WorkflowId = {_quoted(incident)}"])


def _quoted(value: str) -> str:
    """A string literal of a list filter, without the characters that could end it."""
    return "'" + re.sub(r"[\\'\"\x00-\x1f]", "", search_attributes.keyword(value)) + "'"


_INCIDENTS = (f"WorkflowType = '{INCIDENT_WORKFLOW}'",)
