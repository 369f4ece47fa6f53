"""``tocsin policy check`` and ``tocsin policy test`` as JSON."""

import json

from tests.cli.harness import CliHarness


def test_policy_check_as_json(harness: CliHarness) -> None:
    good = harness.run("check", "--format", "json")
    assert good.exit_code == 0
    found = json.loads(good.stdout)
    assert (found["valid"], found["rules"], found["destinations"], found["problems"]) == (True, 4, 4, [])
    harness.write("policy.yaml", "version: 2\n")
    bad = harness.run("check", "--format", "json")
    assert bad.exit_code == 1
    problem = json.loads(bad.stdout)["problems"][0]
    assert (problem["file"], problem["line"], problem["path"]) == ("policy.yaml", 1, "version")


def test_policy_test_as_json(harness: CliHarness) -> None:
    test = (
        "tests:\n  - {name: errors page, alert: {monitor: m, model: chatbot, metric: error_rate, value: 0.03}, "
        "expect: {rule: errors, tier: high}}\n"
    )
    harness.write("tests/a.yaml", test)
    result = harness.run("test", "--format", "json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert (found["passed"], found["failed"], found["covered"]) == (0, 1, ["errors"])
    difference = found["tests"][0]["differences"][0]
    assert (difference["key"], difference["expected"], difference["got"]) == ("tier", "high", "critical")
