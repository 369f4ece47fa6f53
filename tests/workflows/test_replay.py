"""Workflow code changes under running incidents: every stored history must replay to the same commands."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from tests.workflows.record_histories import HISTORIES, LIVES, spoilt
from worker.crew import SANDBOX, WORKFLOWS
from worker.in_step import InStep

STORED = sorted(HISTORIES.glob("*/*.json"))


def replayer() -> Replayer:
    return Replayer(
        workflows=WORKFLOWS,
        data_converter=pydantic_data_converter,
        workflow_runner=InStep(SANDBOX),
    )


@pytest.mark.parametrize("file", STORED, ids=[f"{file.parent.name}-{file.stem}" for file in STORED])
async def test_a_stored_history_replays(file: Path) -> None:
    await replayer().replay_workflow(WorkflowHistory.from_json("incident-chatbot-0123456789ab", file.read_text()))


def test_every_kind_of_life_is_stored() -> None:
    assert {file.stem for file in STORED} >= {life.__name__ for life in LIVES}


async def test_a_history_that_the_code_does_not_make_is_found_out() -> None:
    """The test above can fail: with one timer taken away, the replay tells."""
    with pytest.raises(Exception, match=r"(?i)nondeterminism|TMPRL1100"):
        await replayer().replay_workflow(spoilt())
