"""Reads incidents by asking the worker that holds them, at a pace that keeps nobody from being paged.

A query takes the same worker's time that a page does, and where the incident is not in its memory the worker does its
whole history over for it. So few are asked at once, however many want to know; and one that is closed is asked once.
"""

import asyncio
from collections import OrderedDict
from datetime import timedelta

from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.service import RPCError

from workflows.messages import INCIDENT_QUERY, IncidentView

AT_ONCE = 16  # queries of one gateway; a worker does two hundred workflow tasks at once
WITHIN = 10.0  # seconds, the wait for its turn included
KEPT = 2_000  # views of closed incidents, a few KiB each


class Views:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._closed: OrderedDict[str, IncidentView] = OrderedDict()

    async def of(self, execution: WorkflowExecution) -> IncidentView | None:
        """The incident as it is; None where no worker says so in time."""
        kept = self._closed.get(execution.run_id)
        if kept is not None:
            self._closed.move_to_end(execution.run_id)
            return kept
        handle = self._client.get_workflow_handle(execution.id, run_id=execution.run_id)
        try:
            async with asyncio.timeout(WITHIN), self._gate:
                view = await handle.query(
                    INCIDENT_QUERY, result_type=IncidentView, rpc_timeout=timedelta(seconds=WITHIN)
                )
        except (RPCError, WorkflowQueryFailedError, TimeoutError):
            return None
        if execution.status == WorkflowExecutionStatus.COMPLETED:
            self._closed[execution.run_id] = view
            if len(self._closed) > KEPT:
                self._closed.popitem(last=False)
        return view
