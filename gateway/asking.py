"""Asks incidents by queries, as gently as an incident has to be asked."""

import asyncio
from contextlib import nullcontext
from datetime import timedelta
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from temporalio.client import Client, WorkflowQueryFailedError

T = TypeVar("T")

ATTEMPTS, PAUSE = 3, 0.05  # seconds


class Asker:
    """Asks each incident one thing at a time.

    A worker that comes after another one has the incident's history to do over, and refuses to look where something
    happened that no workflow task has begun for yet; ``worker.in_step`` says why. Then it forgets the incident, and
    where several had asked, the SDK (temporalio 1.35) forgets the workflow task with them: Temporal gives it out again
    after ten seconds, and so long a page would wait.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turns = WeakValueDictionary[str, asyncio.Lock]()

    async def ask(
        self,
        incident: str,
        query: str,
        *asked: Any,
        result: type[T],
        within: timedelta,
        run_id: str | None = None,
        gate: asyncio.Semaphore | None = None,
    ) -> T:
        """The answer, from whichever worker gives it; a refused look is followed by another, once the task is there.

        ``within`` does not count the wait for its turn, nor for the ``gate``, which is passed once it has come. Raises
        WorkflowQueryFailedError, and what the client raises.
        """
        turn = self._turns.setdefault(incident, asyncio.Lock())
        handle = self._client.get_workflow_handle(incident, run_id=run_id)
        async with turn, gate or nullcontext():
            for _ in range(ATTEMPTS - 1):
                try:
                    return await handle.query(query, *asked, result_type=result, rpc_timeout=within)
                except WorkflowQueryFailedError:
                    await asyncio.sleep(PAUSE)
            return await handle.query(query, *asked, result_type=result, rpc_timeout=within)
