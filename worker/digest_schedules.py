"""The Temporal Schedules that send digests: one for each destination that the policy gathers incidents for."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.service import RPCError

from policy import Policy
from policy.digest_times import DigestTimes
from worker.retries import retry_forever
from worker.schedules import MEMO, put_schedule
from workflows.contracts import DIGEST_WORKFLOW, DigestInput

PREFIX = "digest-"
CATCH_UP_WINDOW = timedelta(days=7)
"""Digests that an outage of at most this long delayed are sent after it. The first contains everything gathered."""
HORIZON = timedelta(days=3650)
"""How far ahead a schedule has entries for the hours that daylight saving skips."""

_log = structlog.get_logger()


class DigestSchedules:
    """Keeps the schedules in line with the policy. A schedule that a person paused stays paused."""

    def __init__(self, task_queue: str, gathered: Callable[[], dict[str, int]], speed: float = 1.0) -> None:
        """
        Args:
            gathered: returns the number of incidents in each destination's next digest.
            speed: divides the periods between digests.
        """
        self._task_queue = task_queue
        self._gathered = gathered
        self._speed = speed
        self._policies: asyncio.Queue[Policy] = asyncio.Queue()

    def set_policy(self, policy: Policy) -> None:
        """Have ``run`` apply this policy."""
        self._policies.put_nowait(policy)

    async def run(self, client: Client) -> None:
        """Apply each policy, and retry until it is applied or replaced by a newer one."""
        while True:
            policy = await self._policies.get()
            async for attempt in retry_forever("digest_schedules_failed", RPCError, SQLAlchemyError, OSError):
                with attempt:
                    while not self._policies.empty():
                        policy = self._policies.get_nowait()
                    await self.apply(client, policy)

    async def apply(self, client: Client, policy: Policy) -> None:
        """Create, update and delete schedules.

        Raises:
            RPCError: Temporal refuses, or is unavailable.
            SQLAlchemyError, OSError: the database is unavailable.
        """
        wanted = policy.digests()
        gathered = await asyncio.to_thread(self._gathered)
        # Incidents that an earlier policy gathered are sent as long as their destination exists.
        for name, count in gathered.items():
            if name in policy.destinations:
                wanted.setdefault(name, ())
            else:
                _log.error("digest_destination_missing", destination=name, incidents=count)
        for name, fallback in wanted.items():
            config = policy.destinations[name]
            digest = DigestInput(destination=name, fallback=fallback)
            await self._put(client, digest, schedule_spec(config.schedule, config.timezone, self._speed))
        async for listed in await client.list_schedules():
            name = listed.id.removeprefix(PREFIX)
            if listed.id.startswith(PREFIX) and name not in wanted and await self._is_own(listed):
                await client.get_schedule_handle(listed.id).delete()
                _log.info("digest_schedule_deleted", destination=name)

    async def _is_own(self, listed: ScheduleListDescription) -> bool:
        """Other applications, and other installations of Tocsin, may have schedules in the same namespace."""
        return (await listed.memo()).get(MEMO) == self._task_queue

    async def _put(self, client: Client, digest: DigestInput, spec: ScheduleSpec) -> None:
        name = f"{PREFIX}{digest.destination}"
        schedule = Schedule(
            action=ScheduleActionStartWorkflow(
                DIGEST_WORKFLOW,
                digest,
                id=name,
                task_queue=self._task_queue,
                static_summary=f"Digest for {digest.destination}",
            ),
            spec=spec,
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, catchup_window=CATCH_UP_WINDOW),
            state=ScheduleState(
                note=f"Sends the digest for {digest.destination}. Tocsin updates this schedule from the policy."
            ),
        )
        await put_schedule(client, name, schedule, self._task_queue)


def schedule_spec(cron: str, timezone: str, speed: float = 1.0) -> ScheduleSpec:
    """The times of a cron expression for Temporal. With ``speed`` they become a fixed period, divided by the speed.

    The times that daylight saving skips in the next years have entries of their own; each start of a worker adds more.
    """
    times, now = DigestTimes(cron, timezone), datetime.now(UTC)
    if speed != 1.0:
        periods = [later - earlier for earlier, later in pairwise(islice(times.after(now), 4))]
        return ScheduleSpec(intervals=[ScheduleIntervalSpec(every=max(min(periods) / speed, timedelta(seconds=1)))])
    return ScheduleSpec(
        cron_expressions=list(times.expressions),
        calendars=[_calendar(at) for at in times.in_skipped_hours(now, now + HORIZON)],
        time_zone_name=timezone,
    )


def _calendar(at: datetime) -> ScheduleCalendarSpec:
    """One time, in the schedule's time zone."""
    parts = {
        "minute": at.minute,
        "hour": at.hour,
        "day_of_month": at.day,
        "month": at.month,
        "year": at.year,
    }
    ranges = {name: [ScheduleRange(number)] for name, number in parts.items()}
    return ScheduleCalendarSpec(**ranges, comment="instead of a time that daylight saving skips")
