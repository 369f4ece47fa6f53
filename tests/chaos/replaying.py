"""Does over what happened, as a worker that knows nothing would have to: it must come out the same."""

from collections.abc import AsyncIterator

from temporalio.client import Client, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from tests.chaos.field import Field
from worker.crew import UNSANDBOXED, WORKFLOWS
from worker.in_step import InStep


async def broken(ground: Field) -> list[str]:
    """What is wrong with the histories that Temporal has."""
    client = await Client.connect(ground.temporal)
    return await do_over(client.list_workflows().map_histories())


async def do_over(histories: AsyncIterator[WorkflowHistory]) -> list[str]:
    """A line for each that does not come out as it stands there."""
    runner = InStep(UNSANDBOXED)
    replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter, workflow_runner=runner)
    async with replayer.workflow_replay_iterator(histories) as replayed:
        return [
            f"{one.history.workflow_id} cannot be done over: {str(one.replay_failure)[:300]}"
            async for one in replayed
            if one.replay_failure is not None
        ]
