"""Replays every history at the end, as a worker after the next crash would: the commands must be the same."""

from collections.abc import AsyncIterator

from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from tests.chaos.harness import ChaosHarness
from worker.query_guard import QueryGuard
from worker.worker_group import UNSANDBOXED, WORKFLOWS


async def replay_failures(harness: ChaosHarness) -> list[str]:
    """A line for each history on the server that does not replay."""
    client = await Client.connect(harness.temporal)
    return await replay_all(client.list_workflows().map_histories())


async def replay_all(histories: AsyncIterator[WorkflowHistory]) -> list[str]:
    """A line for each of these histories that does not replay."""
    runner = QueryGuard(UNSANDBOXED)
    replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter, workflow_runner=runner)
    async with replayer.workflow_replay_iterator(histories) as replayed:
        return [
            f"{one.history.workflow_id} does not replay: {str(one.replay_failure)[:300]}"
            async for one in replayed
            if one.replay_failure is not None
        ]
