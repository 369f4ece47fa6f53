"""What Temporal itself costs: bare workflows of one or three activities, in a worker process of their own.

``python -m benchmarks.bare ADDRESS`` runs that worker until it is killed.
"""

import asyncio
import sys
import time
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import PollerBehaviorAutoscaling, Worker

QUEUE = "bare"


@activity.defn
async def record_time(number: int) -> float:
    """The time at which it started, in Unix seconds."""
    del number
    return time.time()


@workflow.defn
class Bare:
    @workflow.run
    async def run(self, activities: int) -> list[float]:
        return [
            await workflow.execute_activity(record_time, number, start_to_close_timeout=timedelta(seconds=30))
            for number in range(activities)
        ]


async def connect(address: str) -> Client:
    return await Client.connect(address, data_converter=pydantic_data_converter)


async def serve(address: str) -> None:
    async with Worker(
        await connect(address),
        task_queue=QUEUE,
        workflows=[Bare],
        activities=[record_time],
        max_cached_workflows=2000,
        max_concurrent_workflow_tasks=200,
        max_concurrent_activities=200,
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
