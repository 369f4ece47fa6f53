"""Reads incidents by querying the workers that run them, at a rate that delays no page.

A query takes the same worker's time as a page does, and if the worker does not have the incident cached it replays
the whole history first. So an incident is queried again only after its history has grown, which Temporal's server
knows by itself; concurrent readers of one incident share a query; and the number of concurrent queries is limited.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError

from gateway.known_runs import KnownRuns
from gateway.query_client import IncidentQueryClient
from incident.view import IncidentView, ended_view
from workflows.contracts import INCIDENT_QUERY

MAX_CONCURRENCY = 8  # queries of one gateway; ``worker.worker_group`` limits a worker's workflow tasks
TIMEOUT = 10.0  # seconds, the wait for the concurrency limit included
ENDED_OUTSIDE: Mapping[WorkflowExecutionStatus | None, str] = {
    WorkflowExecutionStatus.TERMINATED: "terminated",
    WorkflowExecutionStatus.CANCELED: "canceled",
    WorkflowExecutionStatus.FAILED: "failed",
    WorkflowExecutionStatus.TIMED_OUT: "timed out",
}
"""How a workflow may end that does not complete, in words."""
CACHE_SIZE = 2_000  # views, a few KiB each


@dataclass(frozen=True)
class _CachedView:
    history_length: int
    """In events, when the view was made."""
    view: IncidentView


class IncidentCache:
    """The views of incidents, by run."""

    def __init__(
        self, client: Client, queries: IncidentQueryClient | None = None, runs: KnownRuns | None = None
    ) -> None:
        """
        Args:
            client: of Temporal.
            queries: shared with others that query incidents.
            runs: gets to know the incidents that are read.
        """
        self._client, self._queries, self._runs = client, queries or IncidentQueryClient(client), runs or KnownRuns()
        self._gate = asyncio.Semaphore(MAX_CONCURRENCY)
        self._cached: OrderedDict[str, _CachedView] = OrderedDict()
        self._in_flight: dict[tuple[str, int], asyncio.Task[IncidentView | None]] = {}

    async def view(self, execution: WorkflowExecution) -> IncidentView | None:
        """The incident's view, which is closed if its workflow ended without completing; see ``_view``."""
        view = await self._view(execution)
        if view is None or execution.status not in ENDED_OUTSIDE:
            return view
        return ended_view(view, ENDED_OUTSIDE[execution.status], execution.close_time)

    async def _view(self, execution: WorkflowExecution) -> IncidentView | None:
        """The incident's view, or None if no worker answers in time.

        Args:
            execution: from a description, or from a list: a running one from a list is described first, because a
                list does not have its current history length.
        """
        running = execution.status == WorkflowExecutionStatus.RUNNING
        if running and not isinstance(execution, WorkflowExecutionDescription):
            try:
                handle = self._client.get_workflow_handle(execution.id, run_id=execution.run_id)
                execution = await handle.describe(rpc_timeout=timedelta(seconds=TIMEOUT))
            except RPCError:
                return None
        if isinstance(execution, WorkflowExecutionDescription):
            first_run_id = execution.raw_description.workflow_execution_info.first_run_id
            self._runs.note(execution.id, first_run_id, is_open=running)
            if execution.raw_description.HasField("pending_workflow_task"):
                # The server adds some events only when the task completes: until then the length does not show news.
                return await self._query(execution)
        cached = self._cached.get(execution.run_id)
        if cached is not None and cached.history_length == execution.history_length:
            self._cached.move_to_end(execution.run_id)
            return cached.view
        key = (execution.run_id, execution.history_length)
        query = self._in_flight.get(key)
        if query is None:
            query = self._in_flight[key] = asyncio.create_task(self._query_and_store(execution))
            query.add_done_callback(lambda _: self._in_flight.pop(key))
        return await asyncio.shield(query)  # other readers may wait for it too

    async def _query_and_store(self, execution: WorkflowExecution) -> IncidentView | None:
        view = await self._query(execution)
        if view is not None:
            self._cached[execution.run_id] = _CachedView(execution.history_length, view)
            self._cached.move_to_end(execution.run_id)
            if len(self._cached) > CACHE_SIZE:
                self._cached.popitem(last=False)
        return view

    async def _query(self, execution: WorkflowExecution) -> IncidentView | None:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._queries.ask(
                    execution.id,
                    INCIDENT_QUERY,
                    result=IncidentView,
                    within=timedelta(seconds=TIMEOUT),
                    run_id=execution.run_id,
                    gate=self._gate,
                )
        except (RPCError, WorkflowQueryFailedError, TimeoutError):
            return None
