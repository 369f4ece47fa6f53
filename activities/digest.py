"""The activity ``digest``: puts an incident into the running issue of a destination's digest."""

from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim
from temporalio import activity
from temporalio.client import Client

from activities.contracts import (
    DIGEST_SIGNAL,
    DIGEST_WORKFLOW,
    Delivered,
    DigestDelivery,
    DigestEntry,
    Receipt,
)
from activities.failures import permanent
from activities.record import Recorder
from policy import Policy


class Digester:
    """An issue of a digest is a workflow of its own, so that what is gathered survives whatever crashes."""

    def __init__(
        self, client: Client, task_queue: str, policy: Callable[[], Policy], speed: float, recorder: Recorder
    ) -> None:
        """``policy`` gives the one that is in force at the moment."""
        self._client = client
        self._task_queue = task_queue
        self._policy = policy
        self._speed = speed
        self._recorder = recorder

    @activity.defn(name="digest")
    async def digest(self, delivery: DigestDelivery) -> Delivered:
        """Signal the running issue, starting it where none is. The issue drops an entry that it has already."""
        receipt = await self._put(delivery.entry)
        return Delivered(
            receipt=receipt, recorded=await self._recorder.by_the_way(delivery.record, delivery.told(receipt))
        )

    async def _put(self, entry: DigestEntry) -> Receipt:
        name = entry.target.name
        config = self._policy().destinations.get(name)
        if config is None:
            raise permanent(f"the policy in force has no destination named {name}")
        now = datetime.now(UTC)
        due = next_issue(config.schedule, config.timezone, now, self._speed)
        handle = await self._client.start_workflow(
            DIGEST_WORKFLOW,
            args=[name, due],
            id=f"digest-{name}",
            task_queue=self._task_queue,
            start_signal=DIGEST_SIGNAL,
            start_signal_args=[entry],
            static_summary=f"Digest for {name}",
        )
        return Receipt(destination=name, type=entry.target.type, id=handle.id, at=now, key=entry.key)


def next_issue(schedule: str, timezone: str, now: datetime, speed: float = 1.0) -> datetime:
    """When the schedule fires next after ``now``; ``speed`` divides the wait."""
    due = next(CronSim(schedule, now.astimezone(ZoneInfo(timezone)))).astimezone(UTC)
    return due if speed == 1.0 else now + (due - now) / speed
