"""A policy whose destinations are stand-ins."""

from pathlib import Path
from typing import Any

from tests.vendors.jira import Jira
from tests.vendors.pagerduty import PagerDuty
from tests.vendors.slack import Slack

SECRETS = {
    "PRIMARY": "key-primary",
    "SECONDARY": "key-secondary",
    "MANAGERS": "key-managers",
    "SLACK": "xoxb-test",
    "JIRA_USER": "bot@example.com",
    "JIRA_TOKEN": "jira-token",
}
POLICY = """
version: 1
destinations:
  primary:    {{type: pagerduty, base_url: "{pagerduty}", routing_key: {{env: PRIMARY}}}}
  secondary:  {{type: pagerduty, base_url: "{pagerduty}", routing_key: {{env: SECONDARY}}}}
  managers:   {{type: pagerduty, base_url: "{pagerduty}", routing_key: {{env: MANAGERS}}}}
  ops:        {{type: slack, base_url: "{slack}/api", token: {{env: SLACK}}, channel: "#ai-ops-alerts"}}
  compliance: {{type: jira, base_url: "{jira}", user: {{env: JIRA_USER}}, token: {{env: JIRA_TOKEN}}, project: AIGOV}}
  daily:      {{type: slack, base_url: "{slack}/api", token: {{env: SLACK}}, channel: "#ai-ops-alerts"}}
tiers:
  critical:
    steps:
      - notify: [primary]
      - {{after: 15m, notify: [secondary, managers]}}
      - {{after: 30m, notify: [secondary], repeat: 1}}
    fallback: [ops]
    remind: 4h
  high:
    steps: [{{notify: [ops]}}]
    respond_within: 1h
    fallback: [primary]
  low: {{digest: [daily]}}
models:
  defaults: {{slo: {{error_rate: 0.05}}}}
  underwriting: {{regulated: true, team: credit}}
  chatbot: {{team: support}}
rules:
  - {{name: latency, when: 'alert.metric == "p95_latency_ms"', tier: critical, hold: 5m}}
  - {{name: errors, when: 'alert.metric == "error_rate" && alert.value > model.slo.error_rate', tier: critical}}
  - {{name: many, when: 'incident.alerts >= 3 && alert.metric == "answer_relevance"', tier: critical}}
  - {{name: quality, when: 'alert.metric == "answer_relevance"', tier: high}}
  - {{name: empties, when: 'alert.metric == "percent_empty"', tier: low}}
  - {{name: bias, when: 'alert.metric == "bias"', tier: high}}
otherwise: {{tier: low}}
governance: {{regulated: model.regulated, ticket: compliance, closed_by: compliance}}
"""


def write_policy(file: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> None:
    file.write_text(POLICY.format(pagerduty=pagerduty.base_url, slack=slack.base_url, jira=jira.base_url))


def alert_body(metric: str, value: float, monitor: str, **changes: Any) -> dict[str, Any]:
    """The body of a triggered alert about a model in the policy."""
    body = {
        "monitor_name": f"{metric} monitor {monitor}",
        "monitor_id": monitor,
        "status": "TRIGGERED",
        "metric": metric,
        "metric_value": value,
        "threshold": 0.05,
        "model": "chatbot",
        "environment": "production",
    }
    return {**body, **changes}
