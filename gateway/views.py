"""Reads incidents by asking the worker that holds them, at a pace that keeps nobody from being paged.

A query takes the same worker's time that a page does, and where the incident is not in its memory the worker does its
whole history over for it. So one is asked again only where its history has grown, which the server says by itself;
those who want the same ask once; and few are asked at once, however many want to know.
"""

import asyncio
from collections import OrderedDict
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

from gateway.asking import Asker
from workflows.messages import INCIDENT_QUERY, IncidentView

AT_ONCE = 8  # queries of one gateway; ``worker.crew`` says how many workflow tasks a worker does at once
WITHIN = 10.0  # seconds, the wait for its turn included
KEPT = 2_000  # views, a few KiB each


@dataclass(frozen=True)
class _Known:
    length: int
    """Of the history that it was made of, in events."""
    view: IncidentView


class Views:
    def __init__(self, client: Client, asker: Asker | None = None) -> None:
        """``asker`` is shared with whoever else asks; one of its own where it is left out."""
        self._client, self._asker = client, asker or Asker(client)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[tuple[str, int], asyncio.Task[IncidentView | None]] = {}

    async def of(self, execution: WorkflowExecution) -> IncidentView | None:
        """The incident as it is; None where no worker says so in time.

        What was described is taken as it was then; what stands in a list is looked up, unless it is closed.
        """
        running = execution.status == WorkflowExecutionStatus.RUNNING
        if running and not isinstance(execution, WorkflowExecutionDescription):
            try:
                handle = self._client.get_workflow_handle(execution.id, run_id=execution.run_id)
                execution = await handle.describe(rpc_timeout=timedelta(seconds=WITHIN))
            except RPCError:
                return None
        if isinstance(execution, WorkflowExecutionDescription) and execution.raw_description.HasField(
            "pending_workflow_task"
        ):
            # The server keeps some events back until that is done, so that its length does not say what is new.
            return await self._ask(execution)
        known = self._known.get(execution.run_id)
        if known is not None and known.length == execution.history_length:
            self._known.move_to_end(execution.run_id)
            return known.view
        key = (execution.run_id, execution.history_length)
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._ask_and_keep(execution))
            asking.add_done_callback(lambda _: self._asking.pop(key))
        return await asyncio.shield(asking)  # others may wait for it, too

    async def _ask_and_keep(self, execution: WorkflowExecution) -> IncidentView | None:
        view = await self._ask(execution)
        if view is not None:
            self._known[execution.run_id] = _Known(execution.history_length, view)
            self._known.move_to_end(execution.run_id)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return view

    async def _ask(self, execution: WorkflowExecution) -> IncidentView | None:
        try:
            async with asyncio.timeout(WITHIN):
                return await self._asker.ask(
                    execution.id,
                    INCIDENT_QUERY,
                    result=IncidentView,
                    within=timedelta(seconds=WITHIN),
                    run_id=execution.run_id,
                    gate=self._gate,
                )
        except (RPCError, WorkflowQueryFailedError, TimeoutError):
            return None
