"""The policy that Tocsin ships with: good, tested, every rule by a test, and no limit in it twice."""

import re

import pytest
from typer.testing import CliRunner

from activities.destinations import destination_types
from policy import load_policy
from worker.cli_policy import policy
from worker.settings import SHIPPED_POLICY


@pytest.fixture(autouse=True)
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOCSIN_POLICY", raising=False)


def test_its_tests_pass_and_cover_every_rule() -> None:
    ran = CliRunner().invoke(policy, ["test", "--require-coverage"])
    assert ran.exit_code == 0, ran.output
    assert "19 of 19 rules covered" in ran.output


def test_its_tests_notice_when_any_rule_is_gone(tmp_path) -> None:
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
        assert ran.exit_code == 1, f"no test misses {rule.name}: {ran.output}"
        assert "failed" in ran.output or "can never" in ran.output, ran.output


def test_its_limits_are_drawn_from_the_models_objectives() -> None:
    loaded = load_policy(SHIPPED_POLICY, destination_types())
    for rule in loaded.rules:
        assert rule.condition
        assert not re.search(r"[<>]=? *-?[0-9]", rule.condition.source), f"{rule.name} repeats a limit"


def test_it_covers_every_trigger_that_the_contract_names() -> None:
    contract = SHIPPED_POLICY.parents[2] / "shared" / "policy.example.yaml"
    if not contract.exists():
        pytest.skip("the contract does not lie beside this checkout")
    named = re.findall(r"^  - name: ([\w-]+)", contract.read_text(), re.MULTILINE)
    assert [rule.name for rule in load_policy(SHIPPED_POLICY, destination_types()).rules] == named
