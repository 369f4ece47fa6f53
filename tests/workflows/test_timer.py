"""``DeadlineTimer`` in a small workflow of its own: how many history events its uses take, and when it fires."""

import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tests import TEST_SERVER
from worker.worker_group import UNSANDBOXED

with workflow.unsafe.imports_passed_through():
    from workflows.timer import DeadlineTimer

QUEUE = "timer"


@workflow.defn
class Armed:
    """Arms a timer for each number of minutes in turn, waits, and returns the minutes at which it fired."""

    @workflow.run
    async def run(self, deadlines: list[float | None], rearm: bool, wait: float) -> list[float]:
        start = workflow.now()
        fired: list[float] = []

        def on_fire() -> None:
            fired.append(round((workflow.now() - start) / timedelta(minutes=1)))
            last = deadlines[-1]
            if rearm and last is not None and fired[-1] < last:
                timer.arm(start + timedelta(minutes=last), "again")

        timer = DeadlineTimer(on_fire)
        for minutes in deadlines:
            timer.arm(None if minutes is None else start + timedelta(minutes=minutes), "deadline")
            await workflow.sleep(1)  # the next arm is in another workflow task
        await workflow.sleep(timedelta(minutes=wait))
        return fired


@pytest.fixture
async def client() -> AsyncGenerator[Client]:
    async with (
        await WorkflowEnvironment.start_time_skipping(test_server_existing_path=TEST_SERVER) as env,
        Worker(env.client, task_queue=QUEUE, workflows=[Armed], workflow_runner=UNSANDBOXED),
    ):
        yield env.client


async def play(
    client: Client, deadlines: list[float | None], *, rearm: bool = False
) -> tuple[list[float], Counter[str]]:
    """The minutes at which the timer fired, and its events in the history, without those of the workflow's waits."""
    wait = 120.0
    handle = await client.start_workflow(
        Armed.run, args=[deadlines, rearm, wait], id=uuid.uuid4().hex, task_queue=QUEUE
    )
    fired = await handle.result()
    names = [EventType.Name(event.event_type) for event in (await handle.fetch_history()).events]
    events = Counter(name.removeprefix("EVENT_TYPE_TIMER_").lower() for name in names if "_TIMER_" in name)
    own = len(deadlines) + 1
    return fired, events - Counter(started=own, fired=own)


async def test_timer_fires_at_its_deadline(client: Client) -> None:
    assert await play(client, [15]) == ([15], {"started": 1, "fired": 1})


async def test_earlier_deadline_replaces_timer(client: Client) -> None:
    assert await play(client, [60, 15]) == ([15], {"started": 2, "canceled": 1, "fired": 1})


async def test_later_deadline_keeps_timer_and_rearms(client: Client) -> None:
    """The timer fires at the first deadline, and its owner arms it again for the later one."""
    assert await play(client, [15, 60], rearm=True) == ([15, 60], {"started": 2, "fired": 2})


async def test_no_deadline_keeps_timer_running(client: Client) -> None:
    """Cancelling costs an event more than firing without effect."""
    assert await play(client, [15, None]) == ([15], {"started": 1, "fired": 1})


async def test_same_deadline_starts_no_second_timer(client: Client) -> None:
    assert await play(client, [15, 15, 15]) == ([15], {"started": 1, "fired": 1})


async def test_past_deadline_fires_without_timer(client: Client) -> None:
    assert await play(client, [-1]) == ([0], {})
