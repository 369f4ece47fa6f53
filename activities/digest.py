"""The activity ``digest``: puts an incident into the running issue of a destination's digest."""

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim
from temporalio import activity
from temporalio.client import Client

from activities.contracts import DIGEST_SIGNAL, DIGEST_WORKFLOW, DigestEntry, Receipt
from activities.failures import permanent
from policy import DestinationConfig, Policy


class Digester:
    """An issue of a digest is a workflow of its own, so that what is gathered survives whatever crashes."""

    def __init__(self, client: Client, task_queue: str, policy: Policy, speed: float) -> None:
        self._client = client
        self._task_queue = task_queue
        self._destinations: Mapping[str, DestinationConfig] = policy.destinations
        self._speed = speed

    @activity.defn(name="digest")
    async def digest(self, entry: DigestEntry) -> Receipt:
        """Signal the running issue, starting it where none is. The issue drops an entry that it has already."""
        config = self._destinations.get(entry.target.name)
        if config is None:
            raise permanent(f"the policy in force has no destination named {entry.target.name}")
        now = datetime.now(UTC)
        due = next_issue(config.schedule, config.timezone, now, self._speed)
        handle = await self._client.start_workflow(
            DIGEST_WORKFLOW,
            args=[entry.target.name, due],
            id=f"digest-{entry.target.name}",
            task_queue=self._task_queue,
            start_signal=DIGEST_SIGNAL,
            start_signal_args=[entry],
            static_summary=f"Digest for {entry.target.name}",
        )
        return Receipt(destination=entry.target.name, type=entry.target.type, id=handle.id, at=now, key=entry.key)


def next_issue(schedule: str, timezone: str, now: datetime, speed: float = 1.0) -> datetime:
    """When the schedule fires next after ``now``; ``speed`` divides the wait."""
    due = next(CronSim(schedule, now.astimezone(ZoneInfo(timezone)))).astimezone(UTC)
    return due if speed == 1.0 else now + (due - now) / speed
