"""What of the spool is stuck although Temporal is available: whole queues, and single items."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

MAX_NAMED = 10  # in ``texts``
_REASON_CHARS = 200


@dataclass(frozen=True)
class StuckQueue:
    """A queue that could not be delivered. ``attempts`` count since ``since``."""

    reason: str
    since: datetime
    attempts: int

    @property
    def age(self) -> float:
        """Seconds."""
        return (datetime.now(UTC) - self.since).total_seconds()


@dataclass(frozen=True)
class _Held:
    queue: str
    until: float
    reason: str


class StuckItems:
    """Kept in memory: after a restart, every item is tried again."""

    def __init__(self) -> None:
        self._queues: dict[str, StuckQueue] = {}
        self._held: dict[int, _Held] = {}

    def queue(self, queue: str) -> StuckQueue | None:
        return self._queues.get(queue)

    def add_queue(self, queue: str, reason: str) -> StuckQueue:
        """Note a failed attempt at a queue."""
        earlier = self._queues.get(queue)
        since = earlier.since if earlier else datetime.now(UTC)
        found = StuckQueue(reason[:_REASON_CHARS], since, (earlier.attempts if earlier else 0) + 1)
        self._queues[queue] = found
        return found

    def remove_queue(self, queue: str) -> None:
        self._queues.pop(queue, None)

    def hold(self, item: int, queue: str, reason: str, seconds: float = float("inf")) -> None:
        """Leave an item out, so that the others of its queue pass it."""
        self._held[item] = _Held(queue, asyncio.get_running_loop().time() + seconds, reason[:_REASON_CHARS])

    def held(self, queue: str) -> set[int]:
        """The items of a queue that are left out now."""
        now = asyncio.get_running_loop().time()
        self._held = {item: one for item, one in self._held.items() if one.until > now}
        return {item for item, one in self._held.items() if one.queue == queue}

    def texts(self) -> list[str]:
        """A sentence for each stuck queue, the longest stuck first, and for each reason of held items."""
        oldest_first = sorted(self._queues.items(), key=lambda pair: pair[1].since)
        named = [f"{name}: {one.reason} (since {one.since:%H:%M:%S} UTC)" for name, one in oldest_first]
        kinds = Counter((one.queue, one.reason) for one in self._held.values())
        named += [f"{queue}: {reason} ({items} items)" for (queue, reason), items in kinds.items()]
        more = len(named) - MAX_NAMED
        return [*named[:MAX_NAMED], *([f"and {more} more"] if more > 0 else [])]
