"""Queries of incidents, one at a time for each incident."""

import asyncio
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import stamina
from temporalio.client import Client, WorkflowQueryFailedError

T = TypeVar("T")

REJECTED = "the history has events for which no workflow task has started yet"
"""The message of a query that ``worker.query_guard`` rejected."""

RETRY_PAUSE = 0.05  # seconds, doubled from attempt to attempt up to MAX_RETRY_PAUSE
MAX_RETRY_PAUSE = 0.5  # seconds


class IncidentQueryClient:
    """Sends each incident one query at a time, and retries a rejected one.

    A worker that does not have the incident cached replays its history first, and rejects queries while there are
    events that no workflow task has started for; ``worker.query_guard`` explains why. It then evicts the incident. If
    several queries were pending, the SDK (temporalio 1.35) also loses the workflow task: Temporal sends it again after
    ten seconds, and a page would wait for that long.

    A rejected query is answered once the workflow task of those events has started. How soon that is depends on the
    worker: the retries end with the time for an answer, not after a number of attempts.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._locks = WeakValueDictionary[str, asyncio.Lock]()

    async def ask(
        self,
        incident: str,
        query: str,
        *arguments: Any,
        result: type[T],
        within: timedelta,
        run_id: str | None = None,
        gate: asyncio.Semaphore | None = None,
    ) -> T:
        """Query an incident.

        Args:
            incident: the workflow's id.
            query: the query's name.
            arguments: of the query.
            result: the type of the answer.
            within: the timeout of one attempt, and of the retries of a rejected one. The waits for the lock and for
                the gate do not count.
            run_id: of the workflow; the latest run if it is not given.
            gate: limits the number of concurrent queries.

        Raises:
            WorkflowQueryFailedError: every attempt was rejected, or the workflow's code fails, which is not retried.
            RPCError: Temporal is unavailable, no worker answers, or the incident does not exist.
        """
        lock = self._locks.setdefault(incident, asyncio.Lock())
        handle = self._client.get_workflow_handle(incident, run_id=run_id)
        async with lock, gate or nullcontext():
            async for attempt in stamina.retry_context(
                on=_was_rejected,
                attempts=None,
                timeout=within,
                wait_initial=RETRY_PAUSE,
                wait_max=MAX_RETRY_PAUSE,
                wait_jitter=0,
            ):
                with attempt:
                    return await handle.query(query, *arguments, result_type=result, rpc_timeout=within)
        raise AssertionError("the last attempt raises")


def _was_rejected(error: Exception) -> bool:
    return isinstance(error, WorkflowQueryFailedError) and REJECTED in error.message
