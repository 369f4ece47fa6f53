"""A query never changes what a workflow does, at whatever moment it arrives."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio import workflow
from temporalio.api.enums.v1 import TimeoutType
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from gateway.query_client import REJECTED, IncidentQueryClient
from tests import DEV_SERVER
from worker.query_guard import QueryGuard, is_ahead

UNGUARDED = UnsandboxedWorkflowRunner()
DELAY = timedelta(seconds=4)


@workflow.defn
class Sleeper:
    """Reads the time and sleeps until a deadline, as an incident does."""

    @workflow.run
    async def run(self) -> None:
        deadline = workflow.now() + DELAY
        while workflow.now() < deadline:
            await workflow.sleep(deadline - workflow.now())

    @workflow.query
    def state(self) -> str:
        return "asleep"


@pytest.fixture
async def client() -> AsyncGenerator[Client]:
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=DEV_SERVER) as env:
        yield env.client


async def replayable_after_queries(client: Client, runner: WorkflowRunner) -> list[bool]:
    """Timers fire while there is no worker and queries wait for one: whether each history can be replayed."""

    def worker() -> Worker:
        return Worker(client, task_queue="q", workflows=[Sleeper], workflow_runner=runner)

    async with worker():
        starts = [client.start_workflow(Sleeper.run, id=f"sleeper-{number}", task_queue="q") for number in range(8)]
        sleepers = await asyncio.gather(*starts)
        await asyncio.gather(*(sleeper.query(Sleeper.state) for sleeper in sleepers))
    queries = [asyncio.create_task(query(sleeper)) for sleeper in sleepers]
    await asyncio.sleep(DELAY.total_seconds() + 0.5)
    async with worker():
        await asyncio.gather(*queries)
        await asyncio.gather(*(sleeper.result() for sleeper in sleepers))
    replayer = Replayer(workflows=[Sleeper], workflow_runner=UNGUARDED)
    histories = [await sleeper.fetch_history() for sleeper in sleepers]
    replayed = [await replayer.replay_workflow(one, raise_on_replay_failure=False) for one in histories]
    return [one.replay_failure is None for one in replayed]


async def query(sleeper: WorkflowHandle[Sleeper, None]) -> None:
    with suppress(WorkflowQueryFailedError, RPCError):
        await sleeper.query(Sleeper.state, rpc_timeout=3 * DELAY)


async def test_queries_leave_histories_replayable(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert all(await replayable_after_queries(client, QueryGuard(UNGUARDED)))
    assert "query_rejected" in capsys.readouterr().out, "no query arrived ahead of its task: nothing was tested"


async def test_sdk_still_needs_the_query_guard(client: Client) -> None:
    """When this fails, ``worker.query_guard`` can be deleted."""
    assert not all(await replayable_after_queries(client, UNGUARDED))


async def test_rejected_query_is_answered_by_its_retry(client: Client) -> None:
    """``gateway.query_client`` retries rejected queries."""

    def worker() -> Worker:
        return Worker(client, task_queue="q", workflows=[Sleeper], workflow_runner=QueryGuard(UNGUARDED))

    async with worker():
        sleeper = await client.start_workflow(Sleeper.run, id="sleeper", task_queue="q")
        await sleeper.query(Sleeper.state)
    query_client, within = IncidentQueryClient(client), timedelta(seconds=20)
    queries = [asyncio.create_task(query_client.ask("sleeper", "state", result=str, within=within)) for _ in range(5)]
    await asyncio.sleep(DELAY.total_seconds() + 0.5)
    async with worker():
        assert await asyncio.gather(*queries) == ["asleep"] * 5
        await sleeper.result()
    events = [event async for event in sleeper.fetch_history_events()]
    timeouts = [event.workflow_task_timed_out_event_attributes.timeout_type for event in events]
    assert TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE not in timeouts, "a workflow task was lost with the query"


@workflow.defn
class Refusing:
    """Fails its first queries with a message."""

    def __init__(self) -> None:
        self._left = 6

    @workflow.run
    async def run(self) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.query
    def state(self, message: str) -> str:
        if self._left:
            self._left -= 1
            raise ApplicationError(message)
        return "asleep"


async def test_rejected_query_is_retried_for_as_long_as_there_is_time(client: Client) -> None:
    """The workflow task that it waits for may start late: a number of attempts would be one of a fast machine."""
    async with Worker(client, task_queue="q", workflows=[Refusing], workflow_runner=UNGUARDED):
        await client.start_workflow(Refusing.run, id="refusing", task_queue="q")
        query_client, within = IncidentQueryClient(client), timedelta(seconds=20)
        with pytest.raises(WorkflowQueryFailedError, match="its code fails"):
            await query_client.ask("refusing", "state", "its code fails", result=str, within=within)
        assert await query_client.ask("refusing", "state", REJECTED, result=str, within=within) == "asleep"


def activation(length: int, size: int, seconds: int, *jobs: str) -> WorkflowActivation:
    created = [WorkflowActivationJob() for _ in jobs]
    for job, kind in zip(created, jobs, strict=True):
        getattr(job, kind).SetInParent()
    return WorkflowActivation(
        history_length=length, history_size_bytes=size, timestamp=Timestamp(seconds=seconds), jobs=created
    )


LAST = activation(9, 700, 100, "fire_timer")


@pytest.mark.parametrize(
    ("case", "now", "ahead"),
    [
        ("a timer fired, and no workflow task started", activation(11, 700, 100, "fire_timer"), True),
        ("the same, with a query", activation(11, 700, 100, "signal_workflow", "query_workflow"), True),
        ("the next workflow task", activation(14, 1_100, 101, "fire_timer"), False),
        ("the next one, by a clock that was set back", activation(14, 1_100, 100, "fire_timer"), False),
        ("the next one, of a server that does not update the size", activation(14, 700, 101, "fire_timer"), False),
        ("more of the same workflow task", activation(9, 700, 100, "resolve_activity"), False),
        ("a query only", activation(11, 700, 100, "query_workflow"), False),
        ("the eviction from the cache", activation(11, 700, 100, "remove_from_cache"), False),
    ],
)
def test_activation_ahead_of_its_task_is_detected(case: str, now: WorkflowActivation, ahead: bool) -> None:
    assert is_ahead(LAST, now) is ahead, case


def test_server_that_reports_no_size_is_trusted() -> None:
    assert not is_ahead(activation(9, 0, 100, "fire_timer"), activation(11, 0, 100, "fire_timer"))
