"""The Temporal Schedules that send digests: one for each destination that the policy in force gathers for."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import structlog
from cronsim import CronSim
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.service import RPCError

from activities.contracts import DIGEST_ISSUE_WORKFLOW, DigestDue
from policy import Policy
from worker.schedules import MEMO, put_schedule

PREFIX = "digest-"
CATCH_UP = timedelta(days=7)
"""After an outage the issues that it swallowed are sent, as one: what was gathered is in the first."""

_log = structlog.get_logger()


class DigestSchedules:
    """Keeps the cluster's schedules as the policy in force says. Pausing one in the Temporal UI is left alone."""

    def __init__(self, task_queue: str, waiting: Callable[[], dict[str, int]], speed: float = 1.0) -> None:
        """``waiting`` says how many incidents each destination's next issue holds; ``speed`` divides the periods."""
        self._task_queue = task_queue
        self._waiting = waiting
        self._speed = speed
        self._policies: asyncio.Queue[Policy] = asyncio.Queue()

    def want(self, policy: Policy) -> None:
        """This policy is in force from now on."""
        self._policies.put_nowait(policy)

    async def run(self, client: Client) -> None:
        """Bring the schedules in line with each policy, for as long as it takes."""
        while True:
            policy = await self._policies.get()
            wait = 1.0
            while self._policies.empty():
                try:
                    await self.bring_in_line(client, policy)
                    break
                except (RPCError, SQLAlchemyError, OSError) as error:
                    _log.warning("digest schedules are not set yet", error=f"{type(error).__name__}: {error}"[:200])
                    await asyncio.sleep(wait)
                    wait = min(wait * 2, 60.0)

    async def bring_in_line(self, client: Client, policy: Policy) -> None:
        """Create, change and remove schedules. Raises RPCError, and what the ledger's database raises."""
        wanted = policy.digests()
        waiting = await asyncio.to_thread(self._waiting)
        # What was gathered under an earlier policy is sent, for as long as its destination exists.
        for name, count in waiting.items():
            if name in policy.destinations:
                wanted.setdefault(name, ())
            else:
                _log.error(
                    "gathered for a destination that the policy no longer names", destination=name, waiting=count
                )
        for name, fallback in wanted.items():
            config = policy.destinations[name]
            due = DigestDue(destination=name, fallback=fallback)
            await self._set(client, name, due, schedule_spec(config.schedule, config.timezone, self._speed))
        async for listed in await client.list_schedules():
            name = listed.id.removeprefix(PREFIX)
            if listed.id.startswith(PREFIX) and name not in wanted and await self._is_ours(listed):
                await client.get_schedule_handle(listed.id).delete()
                _log.info("digest schedule removed", destination=name)

    async def _is_ours(self, listed: ScheduleListDescription) -> bool:
        """Others may have schedules in this namespace, too."""
        return (await listed.memo()).get(MEMO) == self._task_queue

    async def _set(self, client: Client, name: str, due: DigestDue, spec: ScheduleSpec) -> None:
        schedule = Schedule(
            action=ScheduleActionStartWorkflow(
                DIGEST_ISSUE_WORKFLOW,
                due,
                id=f"{PREFIX}{name}",
                task_queue=self._task_queue,
                static_summary=f"Digest for {name}",
            ),
            spec=spec,
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, catchup_window=CATCH_UP),
            state=ScheduleState(note=f"Sends what Tocsin gathered for {name}; kept as the policy says."),
        )
        await put_schedule(client, f"{PREFIX}{name}", schedule, self._task_queue)


def schedule_spec(cron: str, timezone: str, speed: float = 1.0) -> ScheduleSpec:
    """The cron expression as Temporal reads it.

    Where both the day of the month and that of the week are named, cron means either and Temporal both: it is said as
    two expressions there. With ``speed`` the period is a fixed one, divided by it.
    """
    if speed != 1.0:
        firings = CronSim(cron, datetime.now(UTC).astimezone(ZoneInfo(timezone)))
        periods = [later - sooner for sooner, later in pairwise(islice(firings, 4))]
        return ScheduleSpec(intervals=[ScheduleIntervalSpec(every=max(min(periods) / speed, timedelta(seconds=1)))])
    minute, hour, day, month, weekday = cron.split()
    crons = [cron]
    if not day.startswith("*") and not weekday.startswith("*"):
        crons = [f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}"]
    return ScheduleSpec(cron_expressions=crons, time_zone_name=timezone)
