"""The shipped policy: valid, every rule tested, and no limit repeated."""

import re

import pytest
import yaml
from typer.testing import CliRunner

from cli.policies import policy
from integrations.base.registry import destination_types
from policy import load_policy
from worker.settings import SHIPPED_POLICY


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOCSIN_POLICY", raising=False)


def test_shipped_tests_cover_every_rule() -> None:
    ran = CliRunner().invoke(policy, ["test", "--require-coverage"])
    assert ran.exit_code == 0, ran.output
    assert "21 of 21 rules covered" in ran.output


def test_shipped_tests_fail_without_any_one_rule(tmp_path) -> None:
    loaded = load_policy(SHIPPED_POLICY, destination_types())
    text = SHIPPED_POLICY.read_text()
    for rule in loaded.rules:
        broken = tmp_path / "policy.yaml"
        broken.write_text(
            re.sub(
                rf"(name: {rule.name}(?: .*)?\n    when: )(>\n(?:      .*\n)+|.*\n)",
                r"\1alert.metric == 'gone'\n",
                text,
            )
        )
        ran = CliRunner().invoke(policy, ["test", str(SHIPPED_POLICY.parent / "tests"), "--policy", str(broken)])
        assert ran.exit_code == 1, f"no test fails without {rule.name}: {ran.output}"
        assert "failed" in ran.output or "can never" in ran.output, ran.output


def test_limits_come_from_the_models_objectives() -> None:
    loaded = load_policy(SHIPPED_POLICY, destination_types())
    for rule in loaded.rules:
        assert rule.condition
        assert not re.search(r"[<>]=? *-?[0-9]", rule.condition.source), f"{rule.name} repeats a limit"


def test_rules_are_those_of_the_contract() -> None:
    contract = SHIPPED_POLICY.parents[2] / "shared" / "policy.example.yaml"
    if not contract.exists():
        pytest.skip("the contract is not stored beside this checkout")
    named = [rule["name"] for rule in yaml.safe_load(contract.read_text())["rules"]]
    rules = [rule.name for rule in load_policy(SHIPPED_POLICY, destination_types()).rules]
    assert [name for name in rules if name != "moderate-drift"] == named
