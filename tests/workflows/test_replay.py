"""Workflow code changes under open incidents: every stored history must replay to the same commands."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory

from tests.workflows.harness import replayer
from tests.workflows.record_histories import (
    HISTORIES,
    SCENARIOS,
    WORKFLOW_ID,
    nondeterministic,
    record,
    stored_history,
    stored_text,
)

STORED = sorted(HISTORIES.glob("*/*.json*"))


@pytest.mark.parametrize("file", STORED, ids=[f"{file.parent.name}-{file.stem}" for file in STORED])
async def test_stored_history_replays(file: Path) -> None:
    await replayer().replay_workflow(stored_history(file))


def test_every_scenario_has_stored_history() -> None:
    """A new scenario is recorded for the latest version: see docs/testing.md."""
    assert {file.name.split(".")[0] for file in STORED} >= set(SCENARIOS)


@pytest.mark.parametrize("file", STORED, ids=[f"{file.parent.name}-{file.stem}" for file in STORED])
def test_stored_history_names_no_machine(file: Path) -> None:
    """Stack traces name the folders of the machine that recorded them."""
    assert '"stackTrace": "/' not in stored_text(file)
    assert "site-packages" not in stored_text(file)


async def test_recorded_history_replays_and_tampered_fails(tmp_path: Path) -> None:
    """Records as ``record_histories`` does, and shows that the replay tests can fail."""
    (file,) = await record(tmp_path, ["paged"])
    assert await record(tmp_path, ["paged"]) == [], "a stored history is never overwritten"
    history = file.read_text()
    await replayer().replay_workflow(WorkflowHistory.from_json(WORKFLOW_ID, history))
    with pytest.raises(Exception, match=r"(?i)nondeterminism|TMPRL1100"):
        await replayer().replay_workflow(nondeterministic(history))
