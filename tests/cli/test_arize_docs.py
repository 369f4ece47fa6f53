"""docs/arize.md and docs/policy.md say what an alert means as Tocsin does."""

import re
from pathlib import Path

import pytest
import yaml

from policy.meaning.known import PERFORMANCE, known
from tests.cli.harness import CliHarness
from tests.policy.policies import BASE
from worker.locations import SHIPPED_POLICY

DOCS = Path(__file__).resolve().parents[2] / "docs"
ARIZE = (DOCS / "arize.md").read_text(encoding="utf-8")
MEANING = ARIZE.partition("## What a monitor means")[2].partition("## Bodies that say little")[0]


def test_explained_alert_is_translated_as_shown(harness: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    (alert,) = re.findall(r"```json\n(.*?)```", MEANING, re.DOTALL)
    (shown,) = re.findall(r"\$ tocsin policy explain alert\.json\n(.*?)…\n```", MEANING, re.DOTALL)
    harness.write("alert.json", alert)
    harness.write("policies/tocsin.yaml", SHIPPED_POLICY.read_text(encoding="utf-8"))
    monkeypatch.setenv("TOCSIN_POLICY", "policies/tocsin.yaml")
    monkeypatch.setenv("COLUMNS", "116")
    assert harness.run("explain", "alert.json").output.startswith(shown)


def test_built_in_names_of_the_table_exist() -> None:
    table = MEANING.partition("### Built-in names")[2].partition("###")[0]
    names = {
        name for row in table.splitlines() if row.startswith("| ") for name in re.findall(r"`(\w+)`", row.split("|")[2])
    }
    assert len(names) > 30
    assert {name for name in names if not known(name)} == {"brand_voice"}, "an evaluation without a built-in name"
    assert {"accuracy", "f_1", "rmse"} <= PERFORMANCE.keys()


@pytest.mark.parametrize("page", ["arize.md", "policy.md"])
def test_examples_of_metrics_are_valid(harness: CliHarness, page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    (example,) = (block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if block.startswith("metrics:"))
    assert yaml.safe_load(example)["metrics"]["resolution_rate"]["unit"] == "ratio"
    base = {key: value for key, value in yaml.safe_load(BASE).items() if key != "models"}
    base["destinations"]["ml-team"] = {"type": "console"}
    rules = "rules: [{name: all, when: 'alert.metric == \"error_rate\"', tier: low}]\n"
    harness.write("policy.yaml", yaml.safe_dump(base) + example + rules)
    checked = harness.run("check", "policy.yaml")
    assert checked.exit_code == 0, checked.output
