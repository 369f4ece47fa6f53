"""``tocsin policy explain`` and ``check``. ``TOCSIN_WRITE_GOLDEN=1`` rewrites the golden files."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.harness import TRIGGERED, CliHarness
from worker.settings import SHIPPED_POLICY

GOLDEN = Path(__file__).parent / "golden"
AT = ("--at", "2026-11-24T03:00:00")
SPIKE = {
    "monitor_name": "support-chatbot errors",
    "model": "support-chatbot",
    "environment": "production",
    "metric": "error_rate",
    "metric_value": 0.04,
    "baseline": 0.03125,
}


@pytest.mark.parametrize("name", ["critical", "high", "low", "regulated", "near-miss", "held"])
def test_explain_matches_golden_screen(desk: CliHarness, name: str) -> None:
    """The shipped policy's decision about six alerts."""
    bodies = {
        "near-miss": SPIKE,
        "held": {**SPIKE, "metric": "p99_latency_ms", "metric_value": 12000, "region": "eu-west-1"},
    }
    sample = SHIPPED_POLICY.parent / "samples" / f"{name}.json"
    desk.write("alert.json", json.dumps(bodies[name]) if name in bodies else sample.read_text())
    desk.write("policy.yaml", SHIPPED_POLICY.read_text().replace("\r", ""))
    ran = desk.run("explain", "alert.json", *AT)
    assert ran.exit_code == 0, ran.output
    text = "\n".join(line.rstrip() for line in ran.output.splitlines() if not line.startswith("rule ")) + "\n"
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("TOCSIN_WRITE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 50, "it fits on one screen"


def test_near_misses_state_need_and_value(desk: CliHarness) -> None:
    desk.write("policy.yaml", SHIPPED_POLICY.read_text())
    output = desk.run("explain", "-", *AT, input=json.dumps(SPIKE)).output
    assert "needs alert.change > model.slo.error_rate_rise (0.3), this alert has 0.28" in output
    assert "needs alert.value > model.slo.error_rate (0.05), this alert has 0.04" in output


def test_rule_that_decides_in_doubt_is_listed_once(desk: CliHarness) -> None:
    desk.write("policy.yaml", SHIPPED_POLICY.read_text())
    vague: dict[str, Any] = {"monitor": "relevance", "metric": "answer_relevance", "value": 0.66}
    vague["threshold"] = {"type": "DYNAMIC_SINGLE", "operator": "LESS_THAN", "multiplier": 3}
    output = desk.run("explain", "-", *AT, input=json.dumps(vague)).output
    assert "rule quality-drop" in output
    assert "because in doubt, because alert.change is not in this alert" in output
    assert "quality-drop" not in output.split("Near misses")[1]


def test_explain_as_json(desk: CliHarness) -> None:
    desk.write("alert.json", json.dumps(TRIGGERED))
    found = json.loads(desk.run("explain", "alert.json", "--format", "json").output)
    assert found["decision"]["rule"] == "errors"
    assert found["decision"]["trace"] == [
        {
            "rule": "errors",
            "matched": True,
            "reason": 'alert.metric = "error_rate", alert.value = 0.03, model.slo.error_rate = 0.02',
        }
    ]
    desk.write("alert.json", json.dumps({**TRIGGERED, "value": 0.01, "baseline": 0.012}))
    found = json.loads(desk.run("explain", "alert.json", "--format", "json").output)
    assert found["near_misses"] == [
        "drop needs alert.change <= -0.3, this alert has -0.166667",
        "errors needs alert.value > model.slo.error_rate (0.02), this alert has 0.01",
    ]


def test_explain_says_that_a_hold_sees_no_clear(desk: CliHarness) -> None:
    hourly = {**TRIGGERED, "metric": "p95_latency_ms", "scheduled_runtime": {"cadence_seconds": 3600}}
    desk.write("alert.json", json.dumps(hourly))
    assert "in vain: Arize evaluates the monitor every 1h" in desk.run("explain", "alert.json", *AT).output
    desk.write("alert.json", json.dumps({**hourly, "scheduled_runtime": {"cadence_seconds": 300}}))
    assert "in vain" not in desk.run("explain", "alert.json", *AT).output


def test_explain_at_a_given_time(desk: CliHarness) -> None:
    policy = (desk.folder / "policy.yaml").read_text()
    night = "rules:\n  - {name: night, when: 'now.getHours() < 6', tier: critical}\n"
    desk.write("policy.yaml", policy.replace("rules:\n", night))
    desk.write("alert.json", json.dumps({"monitor": "m"}))
    assert "rule night" in desk.run("explain", "alert.json", *AT).output
    assert "rule unmapped" in desk.run("explain", "alert.json", "--at", "2026-11-24T12:00:00").output


@pytest.mark.parametrize(
    ("content", "code", "expected"),
    [
        ("{", 2, "alert.json: the body is not JSON"),
        ('{"a": 1}', 1, "alert.json: no monitor was found"),
        (
            '{"event": "prompt.version.created"}',
            1,
            "prompt.version.created is a change event, not an alert; it opens no incident",
        ),
    ],
)
def test_explain_rejects_other_bodies(desk: CliHarness, content: str, code: int, expected: str) -> None:
    """As for ``send``, a file that cannot be read is 2, and one that holds no alert is 1."""
    desk.write("alert.json", content)
    ran = desk.run("explain", "alert.json")
    assert ran.exit_code == code
    assert expected in ran.output
    assert desk.run("explain", "none.json").exit_code == 2


def test_alert_text_cannot_control_the_terminal(desk: CliHarness) -> None:
    hostile = {**TRIGGERED, "monitor": "[red]x[/red] \x1b[31mred\x07", "region": "[link=http://evil]x[/link]"}
    desk.write("alert.json", json.dumps(hostile))
    output = desk.run("explain", "alert.json").output
    assert "\x1b[31m" not in output
    assert "[link=http://evil]x[/link]" in output, "shown as text"


def test_cleared_alert_opens_nothing(desk: CliHarness) -> None:
    desk.write("alert.json", json.dumps({**TRIGGERED, "status": "cleared"}))
    ran = desk.run("explain", "alert.json")
    assert "CLEARED: resolves the open incident; opens none" in ran.output
    assert "What happens" not in ran.output


def test_check_warns_of_missing_secrets(desk: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    good = desk.run("check", "--strict")
    assert (good.exit_code, good.output.split(", ")[0]) == (0, "policy.yaml: good; 4 rules")
    monkeypatch.delenv("SLACK")
    warned = desk.run("check")
    assert warned.exit_code == 0
    assert "policy.yaml:4:24: warning: destinations.chat.token: SLACK is not set here" in warned.output
    assert desk.run("check", "--strict").exit_code == 1
    desk.write("bad.yaml", "version: 2\n")
    rejected = desk.run("check", "bad.yaml")
    assert rejected.exit_code == 1
    assert "bad.yaml:1:1: version: found 2; allowed are 1" in rejected.output
