"""The queue in which an alert waits for Temporal: that of its incident.

All alerts of a problem go through one queue, so that they keep their order, although later ones may state less than
the first, or Arize's description may name another model meanwhile.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.grouping import Grouping
from gateway.ingest.submission import Submission


@dataclass
class _Problem:
    """The alerts of a problem that are being accepted."""

    queue: str = ""
    alerts: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class QueueNames:
    """A queue's name is the id of the incident that the policy names."""

    def __init__(self, store: DedupStore, grouping: Grouping) -> None:
        self._store, self._grouping = store, grouping
        self._problems: dict[str, _Problem] = {}

    @asynccontextmanager
    async def queue_of(self, submission: Submission) -> AsyncGenerator[str]:
        """The queue for an alert, which is the queue of its problem until the alert is accepted."""
        problem = self._problems.setdefault(submission.problem, _Problem())
        problem.alerts += 1
        try:
            async with problem.lock:  # the first comes first, whatever its name takes
                problem.queue = problem.queue or await self._name(submission)
            yield problem.queue
        finally:
            problem.alerts -= 1
            if not problem.alerts:
                self._problems.pop(submission.problem, None)

    async def keep(self, queue: str, spooled: Sequence[Submission]) -> None:
        """The alerts wait in the spool: later ones of their problems belong behind them, also after a restart."""
        if self._grouping.groups:
            await self._store.add_incidents({one.problem: queue for one in spooled if one.problem != queue})

    async def _name(self, submission: Submission) -> str:
        named = self._grouping.incident_of(submission.alert)
        if named != submission.problem or not self._grouping.groups:
            return named
        # It states too little to be grouped, like many clears.
        return (await self._store.find_incidents([submission.problem])).get(submission.problem, named)
