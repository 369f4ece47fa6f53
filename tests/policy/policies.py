"""A small policy for tests."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alerts import Alert, normalise
from integrations.base.registry import destination_types
from policy import Policy, PolicyError, load_policy

BASE = """\
version: 1
destinations:
  pager: {type: pagerduty, routing_key: {env: KEY}}
  chat:  {type: slack, token: {env: SLACK}, channel: "#ops"}
  work:  {type: jira, base_url: "https://acme.atlassian.net", user: {env: U}, token: {env: T}, project: OPS}
  term:  {type: console}
tiers:
  critical:
    steps:
      - notify: [pager]
      - {after: 15m, notify: [chat]}
      - {after: 30m, notify: [pager], repeat: 2}
    fallback: [term]
    remind: 4h
  high: {steps: [{notify: [chat]}], respond_within: 1h, fallback: [pager]}
  low: {digest: [term]}
"""
RULES = """\
models:
  defaults: {slo: {error_rate: 0.05}}
  chatbot: {team: support, owner: alice, customer_facing: true, slo: {error_rate: 0.02}}
  underwriting: {regulated: true}
rules:
  - {name: errors, when: 'alert.metric == "error_rate" && alert.value > model.slo.error_rate', tier: critical}
  - {name: drop, when: 'alert.change <= -0.3 && model.customer_facing', tier: high, priority: P2, tags: [a, b]}
  - {name: silent, when: 'alert.kind == "drift"', tier: low, ticket: work, notify: []}
  - {name: slow, when: 'alert.metric == "p95_latency_ms"', tier: critical, hold: 5m, respond_within: 10m}
otherwise: {tier: low}
governance: {regulated: model.regulated, ticket: work, closed_by: compliance}
"""


def load(tmp_path: Path, text: str) -> Policy:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    return load_policy(file, destination_types())


def problems(tmp_path: Path, text: str) -> list[str]:
    """The problems of a policy, one per line, without the file's name."""
    try:
        load(tmp_path, text)
    except PolicyError as error:
        return [str(problem).removeprefix("policy.yaml:") for problem in error.problems]
    return []


NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def an_alert(**fields: Any) -> Alert:
    return normalise({"monitor_name": "m", "model": "chatbot", "environment": "production", **fields})
