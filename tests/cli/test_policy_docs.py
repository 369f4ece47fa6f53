"""The tutorial does what it says, and the workflow for GitHub Actions runs."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.harness import TRIGGERED, CliHarness
from tests.policy.policies import BASE, RULES

DOCS = Path(__file__).resolve().parents[2] / "docs"
TUTORIAL = (DOCS / "policy.md").read_text(encoding="utf-8").partition("## Conditions")[0]
BLOCKS = [(kind, text) for kind, text in re.findall(r"```(\w*)\n(.*?)```", TUTORIAL, re.DOTALL)]


def flat(text: str) -> str:
    return " ".join(text.split())


def test_tutorial_output_matches_the_commands(harness: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, tests = (text for kind, text in BLOCKS if kind == "yaml")
    (alert,) = (text for kind, text in BLOCKS if kind == "json")
    shown = [text for kind, text in BLOCKS if not kind]
    monkeypatch.setenv("TOCSIN_POLICY", "policies/policy.yaml")
    monkeypatch.delenv("SLACK_BOT_TOKEN", raising=False)
    monkeypatch.delenv("PAGERDUTY_KEY", raising=False)
    harness.write("policies/policy.yaml", policy)
    harness.write("policies/tests/errors.yaml", tests)
    harness.write("alert.json", alert)
    assert flat(harness.run("check").output) == flat(shown[0].split("tocsin policy check\n")[1])

    good = policy.replace("metrik", "metric")
    harness.write("policies/policy.yaml", good)
    assert harness.run("check").output.splitlines()[-1] == shown[1].strip()
    assert flat(harness.run("explain", "alert.json").output) == flat(shown[2].split("alert.json\n", 1)[1])
    assert flat(harness.run("test").output) == flat(shown[3].split("policy test\n")[1])

    held = re.sub(r"tier: critical\n$", "hold: 5m\n    tier: critical\n", good)
    harness.write("policies/policy.yaml", held)
    assert flat(shown[4]) in flat(harness.run("test").output)

    harness.write("old.yaml", good)
    harness.write("policies/policy.yaml", held.replace("error_rate: 0.02", "error_rate: 0.04"))
    (loop,) = (text for kind, text in BLOCKS if kind == "sh")
    subprocess.run(["bash", "-c", loop], cwd=harness.folder, check=True)
    command = ("old.yaml", "policies/policy.yaml", "--history", "history.jsonl", "--fail-on", "lost-pages")
    monkeypatch.setenv("COLUMNS", "130")
    compared = harness.run("diff", *command)
    assert compared.exit_code == 1
    said = flat(shown[5].split("lost-pages\n")[1].replace("…", ""))
    assert flat(compared.output).startswith(said), compared.output


@pytest.fixture
def workflow() -> dict[str, Any]:
    return yaml.safe_load((DOCS / "github-actions-policy.yml").read_text())


def test_workflow_fits_github_actions_schema() -> None:
    checker = [str(Path(sys.executable).parent / "check-jsonschema"), "--builtin-schema", "vendor.github-workflows"]
    checked = subprocess.run([*checker, str(DOCS / "github-actions-policy.yml")], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(("change", "code"), [(("P2", "P3"), 0), (("error_rate: 0.02", "error_rate: 0.04"), 1)])
def test_workflow_steps_run(workflow: dict[str, Any], tmp_path: Path, change: tuple[str, str], code: int) -> None:
    """The shell of each step as GitHub runs it; the command is this checkout's, and not an image's."""
    work, shims = tmp_path / "work", tmp_path / "bin"
    (work / "policies" / "tests").mkdir(parents=True)
    shims.mkdir()
    (shims / "tocsin").write_text(f'#!/bin/sh\nexec {sys.executable} -m cli.main "$@"\n')
    (shims / "tocsin").chmod(0o755)
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("TOCSIN_", "GIT_"))},
        "PATH": f"{shims}:{os.environ['PATH']}",
        "TOCSIN_POLICY": workflow["env"]["TOCSIN_POLICY"],
        "GITHUB_BASE_REF": "main",
    }

    def run(script: str) -> int:
        ran = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script], cwd=work, env=environment, capture_output=True
        )
        return ran.returncode

    (work / "policies" / "policy.yaml").write_text(BASE + RULES)
    assert run("git init -q -b main . && git add . && git -c user.name=a -c user.email=a@example.com commit -qm a") == 0
    assert run("git update-ref refs/remotes/origin/main HEAD") == 0
    (work / "policies" / "policy.yaml").write_text((BASE + RULES).replace(*change))
    rules = ("errors", "drop", "silent", "slow", "unmapped", "otherwise")
    alerts = (
        "{monitor: m, model: chatbot, metric: error_rate, value: 0.9}",
        "{monitor: m, model: chatbot, value: 0.5, baseline: 1}",
        "{monitor: m, kind: drift}",
        "{monitor: m, metric: p95_latency_ms}",
        "{monitor: m}",
        "{monitor: m, metric: error_rate, value: 0.001}",
    )
    cases = "".join(
        f"  - {{name: {rule}, alert: {alert}, expect: {{rule: {rule}}}}}\n"
        for rule, alert in zip(rules, alerts, strict=True)
    )
    (work / "policies" / "tests" / "all.yaml").write_text("tests:\n" + cases)
    (work / "report").mkdir()
    (work / "report" / "history.jsonl").write_text(str(TRIGGERED).replace("'", '"') + "\n")
    steps = {step["name"]: step["run"] for step in workflow["jobs"]["review"]["steps"] if "run" in step}
    assert run(steps["Check"]) == 0
    assert run(steps["Test"]) == 0
    assert run(steps["Read the policy of the base branch"]) == 0
    assert run(steps["Compare"]) == code
    assert ("stops paging.**" in (work / "report" / "diff.md").read_text()) == bool(code)
    for report in ("policy-tests.xml", "diff.json"):
        assert (work / "report" / report).stat().st_size > 100
