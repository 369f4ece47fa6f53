"""The GitHub Actions workflow of the documentation, as a runner executes its steps, with the real command."""

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.arize_harness import ONE, ArizeHarness
from tests.cli.harness import REPOSITORY

WORKFLOW: dict[str, Any] = yaml.safe_load((REPOSITORY / "docs" / "github-actions-monitors.yml").read_text())


class Runner:
    """Runs the steps of a job that need no service of GitHub."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outputs = folder / "outputs"
        command = folder / "bin" / "tocsin"
        command.parent.mkdir()
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m cli.main "$@"\n')
        command.chmod(command.stat().st_mode | stat.S_IXUSR)
        self.environment = {
            **os.environ,
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "TOCSIN_POLICY": "policy.yaml",
            "GITHUB_OUTPUT": str(self.outputs),
        }
        (folder / "report").mkdir()

    def run(self, job: str, name: str) -> subprocess.CompletedProcess[str]:
        (script,) = [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if step.get("name") == name]
        command = ["bash", "-e", "-o", "pipefail", "-c", script]
        return subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=120
        )


@pytest.fixture
def runner(arize: ArizeHarness) -> Runner:
    return Runner(arize.folder)


def test_pull_request_gets_the_plan(arize: ArizeHarness, runner: Runner) -> None:
    arize.declare(ONE)
    done = runner.run("plan", "Plan")
    assert done.returncode == 0, done.stderr  # changes are no failure
    comment = (arize.folder / "report" / "comment.md").read_text()
    assert "+ slow will be created" in comment
    assert arize.mutations() == []
    arize.declare(ONE.replace("p95", "p96"))
    done = runner.run("plan", "Plan")
    assert done.returncode != 0  # an invalid declaration is
    assert "did you mean p99?" in (arize.folder / "report" / "comment.md").read_text()


def test_merge_applies_what_it_plans(arize: ArizeHarness, runner: Runner) -> None:
    arize.declare(ONE)
    assert runner.run("apply", "Plan").returncode == 0
    assert runner.outputs.read_text() == "code=2\n"
    done = runner.run("apply", "Apply")
    assert done.returncode == 0, done.stderr
    assert set(arize.monitors()) == {"slow"}
    runner.outputs.unlink()
    assert runner.run("apply", "Plan").returncode == 0
    assert runner.outputs.read_text() == "code=0\n"  # the step Apply is skipped
