"""Temporal Schedules that a worker keeps as it has to: created, and changed where they are there already."""

from temporalio.client import Client, Schedule, ScheduleAlreadyRunningError, ScheduleUpdate, ScheduleUpdateInput
from temporalio.service import RPCError, RPCStatusCode

from gateway.vitals import SCHEDULES as MEMO


async def put_schedule(client: Client, name: str, schedule: Schedule, task_queue: str) -> None:
    """Have the schedule as given; one that a person paused stays paused. Raises RPCError."""
    try:
        await client.create_schedule(name, schedule, memo={MEMO: task_queue})
    except ScheduleAlreadyRunningError:

        async def changed(there: ScheduleUpdateInput) -> ScheduleUpdate:
            schedule.state = there.description.schedule.state  # paused by a person: so it stays
            return ScheduleUpdate(schedule)

        try:
            await client.get_schedule_handle(name).update(changed)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            await client.create_schedule(name, schedule, memo={MEMO: task_queue})


async def drop_schedule(client: Client, name: str, task_queue: str) -> None:
    """Have it no more, where it is ours. Raises RPCError."""
    handle = client.get_schedule_handle(name)
    try:
        if (await (await handle.describe()).memo()).get(MEMO) == task_queue:
            await handle.delete()
    except RPCError as error:
        if error.status != RPCStatusCode.NOT_FOUND:
            raise
