"""A look at a workflow, at whatever moment, changes nothing that it does."""

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
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, Worker, WorkflowRunner

from gateway.asking import Asker
from tests import DEV_SERVER
from worker.in_step import InStep, is_ahead

BARE = UnsandboxedWorkflowRunner()
DUE = timedelta(seconds=4)


@workflow.defn
class Alarm:
    """As an incident does: it looks at the time, and sleeps until it is due."""

    @workflow.run
    async def run(self) -> None:
        due = workflow.now() + DUE
        while workflow.now() < due:
            await workflow.sleep(due - workflow.now())

    @workflow.query
    def look(self) -> str:
        return "asleep"


@pytest.fixture
async def client() -> AsyncGenerator[Client]:
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=DEV_SERVER) as env:
        yield env.client


async def looked_at(client: Client, runner: WorkflowRunner) -> list[bool]:
    """Alarms ring while nobody is there, and somebody wants to know how they stand: whether each can be done over."""

    def worker() -> Worker:
        return Worker(client, task_queue="q", workflows=[Alarm], workflow_runner=runner)

    async with worker():
        starts = [client.start_workflow(Alarm.run, id=f"alarm-{number}", task_queue="q") for number in range(8)]
        alarms = await asyncio.gather(*starts)
        await asyncio.gather(*(alarm.query(Alarm.look) for alarm in alarms))
    looks = [asyncio.create_task(look(alarm)) for alarm in alarms]
    await asyncio.sleep(DUE.total_seconds() + 0.5)
    async with worker():
        await asyncio.gather(*looks)
        await asyncio.gather(*(alarm.result() for alarm in alarms))
    replayer = Replayer(workflows=[Alarm], workflow_runner=BARE)
    histories = [await alarm.fetch_history() for alarm in alarms]
    replayed = [await replayer.replay_workflow(one, raise_on_replay_failure=False) for one in histories]
    return [one.replay_failure is None for one in replayed]


async def look(alarm: WorkflowHandle[Alarm, None]) -> None:
    with suppress(WorkflowQueryFailedError, RPCError):
        await alarm.query(Alarm.look, rpc_timeout=3 * DUE)


async def test_a_look_breaks_nothing(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert all(await looked_at(client, InStep(BARE)))
    assert "a look came ahead of its workflow task" in capsys.readouterr().out, "or it was not put to the test"


async def test_the_sdk_by_itself_still_needs_this(client: Client) -> None:
    """Once this fails, ``worker.in_step`` can go."""
    assert not all(await looked_at(client, BARE))


async def test_whoever_looks_is_answered_once_its_task_has_begun(client: Client) -> None:
    """``gateway.asking`` asks again where a look was refused."""

    def worker() -> Worker:
        return Worker(client, task_queue="q", workflows=[Alarm], workflow_runner=InStep(BARE))

    async with worker():
        alarm = await client.start_workflow(Alarm.run, id="alarm", task_queue="q")
        await alarm.query(Alarm.look)
    asker, within = Asker(client), timedelta(seconds=20)
    looks = [asyncio.create_task(asker.ask("alarm", "look", result=str, within=within)) for _ in range(5)]
    await asyncio.sleep(DUE.total_seconds() + 0.5)
    async with worker():
        assert await asyncio.gather(*looks) == ["asleep"] * 5
        await alarm.result()
    events = [event async for event in alarm.fetch_history_events()]
    ended = [event.workflow_task_timed_out_event_attributes.timeout_type for event in events]
    assert TimeoutType.TIMEOUT_TYPE_START_TO_CLOSE not in ended, "nor was its task forgotten over it"


def activation(length: int, size: int, seconds: int, *jobs: str) -> WorkflowActivation:
    made = [WorkflowActivationJob() for _ in jobs]
    for job, kind in zip(made, jobs, strict=True):
        getattr(job, kind).SetInParent()
    return WorkflowActivation(
        history_length=length, history_size_bytes=size, timestamp=Timestamp(seconds=seconds), jobs=made
    )


BEFORE = activation(9, 700, 100, "fire_timer")


@pytest.mark.parametrize(
    ("what", "now", "ahead"),
    [
        ("a timer rang, and no workflow task began", activation(11, 700, 100, "fire_timer"), True),
        ("the same, and somebody looks", activation(11, 700, 100, "signal_workflow", "query_workflow"), True),
        ("the next workflow task", activation(14, 1_100, 101, "fire_timer"), False),
        ("the next one, by a clock that was set back", activation(14, 1_100, 100, "fire_timer"), False),
        ("the next one, of a server that counts no bytes anew", activation(14, 700, 101, "fire_timer"), False),
        ("more of the same workflow task", activation(9, 700, 100, "resolve_activity"), False),
        ("somebody looks", activation(11, 700, 100, "query_workflow"), False),
        ("it is forgotten", activation(11, 700, 100, "remove_from_cache"), False),
    ],
)
def test_what_is_ahead_of_its_task(what: str, now: WorkflowActivation, ahead: bool) -> None:
    assert is_ahead(BEFORE, now) is ahead, what


def test_a_server_that_counts_no_bytes_is_taken_at_its_word() -> None:
    assert not is_ahead(activation(9, 0, 100, "fire_timer"), activation(11, 0, 100, "fire_timer"))
