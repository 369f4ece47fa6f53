"""Keeps what one incident receives within Temporal's limits of a run.

Above them Temporal terminates the run, or refuses every further signal, acknowledgements included. An incident
continues as new long before; without a worker it cannot.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus

from alerts import TocsinError
from incident.limits import BUFFERED_EVENTS_LIMIT, HISTORY_LIMIT, SIGNALS_LIMIT, TASK_TIMEOUT

MAX_HISTORY_BYTES = HISTORY_LIMIT * 4 // 25
"""8 MiB, of a run that still receives alerts. An incident continues as new before that. A worker reads all of it within
the two seconds that the SDK gives one step of a workflow, on a slow machine, too; and processing it, which writes each
alert into the history a second and a third time, stays below the limit."""
MAX_HISTORY_EVENTS = SIGNALS_LIMIT * 17 // 20
"""The same in events; the signals that are left are for actions."""
CHECK_BYTES, CHECK_SIGNALS = 2**20, 200
"""After so much, Temporal is asked for the size of the run's history. Each gateway counts what it sends itself."""
SIGNAL_RATE = BUFFERED_EVENTS_LIMIT / TASK_TIMEOUT
"""Signals a second of a storm that lasts: no more than one workflow task may be overtaken by."""
SIGNAL_BURST = 300.0
"""Signals at once. They fail a workflow task or two, which Temporal repeats."""
CACHE_SIZE = 10_000  # incidents


class BusyIncidentError(TocsinError):
    """The incident's run is full until a worker has processed what it holds."""

    code = "busy_incident"


@dataclass
class _Run:
    """What this gateway sent to an incident since its history was measured, and how many signals may follow at once."""

    size: int = 0
    signals: int = 0
    tokens: float = SIGNAL_BURST
    at: float = 0.0


class RunLimits:
    """One for all incidents of a gateway."""

    def __init__(self, client: Client, rpc_timeout: timedelta) -> None:
        self._client, self._rpc_timeout = client, rpc_timeout
        self._runs: OrderedDict[str, _Run] = OrderedDict()

    async def wait_for_turn(self, incident: str) -> None:
        """Wait until the incident may receive another signal: a tenth of a second in a storm, otherwise not at all."""
        run, now = self._run(incident), asyncio.get_running_loop().time()
        run.tokens = min(run.tokens + (now - run.at) * SIGNAL_RATE, SIGNAL_BURST) if run.at else run.tokens
        run.at = now
        run.tokens -= 1
        if run.tokens < 0:
            await asyncio.sleep(-run.tokens / SIGNAL_RATE)

    async def ensure_room(self, incident: str, size: int) -> None:
        """Count a signal of this size.

        Raises:
            BusyIncidentError: the run's history is too large for more alerts.
            RPCError: Temporal is unavailable, or the incident does not exist.
        """
        run = self._run(incident)
        run.size += size
        run.signals += 1
        if run.size < CHECK_BYTES and run.signals < CHECK_SIGNALS:
            return
        handle = self._client.get_workflow_handle(incident)
        execution = await handle.describe(rpc_timeout=self._rpc_timeout)
        info = execution.raw_description.workflow_execution_info
        run.size = run.signals = 0
        if execution.status != WorkflowExecutionStatus.RUNNING:
            return
        if info.history_size_bytes > MAX_HISTORY_BYTES or info.history_length > MAX_HISTORY_EVENTS:
            run.size = CHECK_BYTES  # the next signal asks again
            raise BusyIncidentError(
                f"the history of {incident} has {info.history_size_bytes:,} bytes and {info.history_length:,} events; "
                "more alerts wait until a worker has processed it"
            )

    def _run(self, incident: str) -> _Run:
        run = self._runs.setdefault(incident, _Run())
        self._runs.move_to_end(incident)
        if len(self._runs) > CACHE_SIZE:
            self._runs.popitem(last=False)
        return run
