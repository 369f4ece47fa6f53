"""Temporal Schedules that a worker maintains: created if missing, updated if they exist."""

from temporalio.client import Client, Schedule, ScheduleAlreadyRunningError, ScheduleUpdate, ScheduleUpdateInput
from temporalio.service import RPCError, RPCStatusCode

from gateway.health_monitor import SCHEDULE_MEMO as MEMO


async def put_schedule(client: Client, name: str, schedule: Schedule, task_queue: str) -> None:
    """Create or update the schedule; one that a person paused stays paused.

    Raises:
        RPCError: Temporal refuses, or is unavailable.
    """
    try:
        await client.create_schedule(name, schedule, memo={MEMO: task_queue})
    except ScheduleAlreadyRunningError:

        async def update(existing: ScheduleUpdateInput) -> ScheduleUpdate:
            schedule.state = existing.description.schedule.state  # keeps a person's pause, and its note
            return ScheduleUpdate(schedule)

        try:
            await client.get_schedule_handle(name).update(update)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            await client.create_schedule(name, schedule, memo={MEMO: task_queue})


async def delete_schedule(client: Client, name: str, task_queue: str) -> None:
    """Delete the schedule if it belongs to this task queue; one that does not exist is no error.

    Raises:
        RPCError: Temporal refuses, or is unavailable.
    """
    handle = client.get_schedule_handle(name)
    try:
        if (await (await handle.describe()).memo()).get(MEMO) == task_queue:
            await handle.delete()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
