"""``tocsin report rollout``: each phase of a rollout, about recorded alerts."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts import normalise
from audit import AuditLog
from audit.log import NewRecord
from tests.cli.harness import CliHarness

POLICY = """
version: 1
destinations:
  pager: {type: pagerduty, routing_key: {env: A}}
  chat: {type: slack, token: {env: A}, channel: "#a"}
tiers:
  critical: {steps: [{notify: [pager]}]}
  high: {steps: [{notify: [chat]}]}
  low: {digest: [chat]}
models: {chatbot: {team: support}, search: {team: search}}
rules:
  - {name: errors, when: alert.metric == "error_rate", tier: critical}
rollout: {phase: observe, exceptions: [{when: alert.model == "search", phase: page}]}
"""
START = datetime(2026, 11, 2, 3, tzinfo=UTC)


def body(minute: float, model: str, monitor: str, status: str = "TRIGGERED") -> dict[str, Any]:
    at = START + timedelta(minutes=minute)
    return {
        "monitor_name": monitor,
        "monitor_id": monitor,
        "status": status,
        "metric": "error_rate",
        "metric_value": 0.3,
        "model": model,
        "environment": "production",
        "timestamp": at.isoformat(),
    }


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliHarness:
    desk = CliHarness(tmp_path, monkeypatch, "report")
    desk.write("policy.yaml", POLICY)
    alerts = [body(0, "chatbot", "m-1"), body(30, "search", "m-2"), body(90, "chatbot", "m-3")]
    desk.write("alerts.jsonl", "\n".join(map(json.dumps, alerts)))
    return desk


def test_each_phase_is_played(desk: CliHarness) -> None:
    ran = desk.run("rollout", "--policy", "policy.yaml", "--history", "alerts.jsonl", "--format", "json")
    found = json.loads(ran.output)
    assert (found["phase"], found["exceptions"], found["incidents"]) == ("observe", 1, None)
    phases = found["phases"]
    assert {name: (one["pages"], one["posts"]) for name, one in phases.items()} == {
        "observe": (1, 0),  # the exception
        "warn": (1, 2),
        "page": (3, 0),
    }
    assert phases["page"]["pages_by_destination"] == {"pager": 3}
    assert phases["page"]["pages_by_team"] == {"support": 2, "search": 1}
    assert phases["page"]["pages_by_hour"] == {"03": 2, "04": 1}


def test_table_marks_the_phase_in_force(desk: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    ran = desk.run("rollout", "--policy", "policy.yaml", "--history", "alerts.jsonl")
    assert "3 alerts from 2026-11-02 03:00 to 2026-11-02 04:30 UTC; * is in force, beside 1 exception" in ran.output
    lines = {line.split()[0]: line.split() for line in ran.output.splitlines()[2:] if line.strip()}
    assert lines["observe"][:3] == ["observe", "*", "1"]
    assert lines["page"] == ["page", "3", "·", "·", "·", "·", "3", "pager", "3", "03", "2,", "04", "1"]


def test_real_incidents_are_those_of_the_audit_log(
    desk: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/audit.db"
    log = AuditLog(url)
    alert = normalise(body(0, "chatbot", "m-1")).model_dump(mode="json")

    def record(number: int, event: str, **data: Any) -> NewRecord:
        return NewRecord(
            incident="incident-m-1",
            first_run_id="r",
            key=f"k{number}",
            at=START,
            event=event,
            by="alice",
            text="",
            data=data,
        )

    log.append([[record(1, "received", alert=alert), record(2, "withheld"), record(3, "false_alarm")]])
    log.close()
    monkeypatch.setenv("TOCSIN_DATABASE_URL", url)
    ran = desk.run("rollout", "--policy", "policy.yaml", "--format", "json")
    assert json.loads(ran.output)["incidents"] == {"opened": 1, "acknowledged": 0, "false_alarm": 1, "withheld": 1}


def test_history_without_alerts_is_an_error(desk: CliHarness) -> None:
    desk.write("empty.jsonl", "")
    ran = desk.run("rollout", "--policy", "policy.yaml", "--history", "empty.jsonl")
    assert (ran.exit_code, "the history has no alert with a time" in ran.output) == (2, True)
