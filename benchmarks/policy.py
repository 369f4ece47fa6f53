"""The policy's figures: deciding, loading, and comparing two policies on a long history. They need no server."""

import json
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from alerts import Alert, normalise
from benchmarks.figures import Figure
from cli.alert_history import AlertHistory
from integrations.base.registry import destination_types
from policy import Policy, load_policy
from policy.yaml_file import Places, read_yaml
from simulation.comparison import compare
from worker.settings import SHIPPED_POLICY

NOW = datetime(2026, 11, 24, tzinfo=UTC)
BASE = """\
version: 1
destinations: {term: {type: console}}
tiers:
  critical: {steps: [{notify: [term]}, {after: 15m, notify: [term]}]}
  high: {steps: [{notify: [term]}]}
  low: {digest: [term]}
models: {defaults: {slo: {error_rate: 0.05}}}
rules:
"""
RULE = """\
  - name: rule-{number}
    when: alert.metric == "metric_{number}" && alert.environment == "production" && alert.value > model.slo.error_rate
    tier: critical
    hold: 5m
"""


@contextmanager
def policy_file(rules: int) -> Generator[Path]:
    """The file of a policy with a number of rules, each about a metric of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "policy.yaml"
        file.write_text(BASE + "".join(RULE.format(number=number) for number in range(rules)))
        yield file


def times(work: Callable[[], object], turns: int) -> list[float]:
    taken: list[float] = []
    for _ in range(turns):
        began = perf_counter()
        work()
        taken.append(perf_counter() - began)
    return taken


def figures(scale: float) -> list[Figure]:
    return [*deciding(scale), *loading(scale), *comparing(scale)]


def deciding(scale: float) -> Iterator[Figure]:
    """(p) An alert that the last rule matches; beside it, evaluating every condition, which an index avoids."""
    turns = max(int(2000 * scale), 50)
    for rules in (10, 100, 500):
        with policy_file(rules) as file:
            policy = load_policy(file, destination_types())
        alert = an_alert(metric=f"metric_{rules - 1}")
        assert policy.decide(alert, NOW).rule == f"rule-{rules - 1}"
        taken = times(lambda policy=policy, alert=alert: policy.decide(alert, NOW), turns)
        goal = "p50 < 1 ms" if rules == 500 else ""
        p50, rate = median(taken) * 1000, len(taken) / sum(taken)
        yield Figure(f"(p) deciding, {rules} rules, the last matches", f"p50 {p50:.3f} ms · {rate:,.0f}/s", goal=goal)
        if rules == 500:
            evaluated = (
                median(times(lambda policy=policy, alert=alert: evaluate_all(policy, alert), max(turns // 10, 20)))
                * 1000
            )
            ratio = p50 / evaluated
            yield Figure("(p) the same, beside evaluating all 500 conditions", f"{ratio:.2f}", "≤ 0.8", ratio <= 0.8)


def an_alert(metric: str) -> Alert:
    body = {
        "monitor_name": "m",
        "model": "chatbot",
        "environment": "production",
        "metric": metric,
        "metric_value": 0.31,
    }
    return normalise(body)


def evaluate_all(policy: Policy, alert: Alert) -> None:
    facts = policy.facts(alert, NOW)
    for rule in policy.rules:
        assert rule.condition is not None
        rule.condition.matches(facts)


def loading(scale: float) -> Iterator[Figure]:
    """(q) Reading, validating and compiling; beside it, parsing the YAML alone."""
    turns = max(int(10 * scale), 3)
    with policy_file(500) as file:
        whole = median(times(lambda: load_policy(file, destination_types()), turns))
        source = file.read_bytes()
        yaml = median(times(lambda: read_yaml("policy.yaml", source, Places()), turns))
    yield Figure("(q) loading and validating 500 rules", f"{whole:.2f} s", goal="< 1 s")
    yield Figure("(q) the same, beside parsing its YAML", f"{whole / yaml:.1f}", "≤ 5", whole / yaml <= 5)


def comparing(scale: float) -> Iterator[Figure]:
    """(s) A long history, decided by two policies."""
    count = max(int(100_000 * scale), 1000)
    shipped = SHIPPED_POLICY.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        history, new = Path(folder) / "history.jsonl", Path(folder) / "new.yaml"
        history.write_text("".join(json.dumps(body(number)) + "\n" for number in range(count)))
        new.write_text(shipped.replace("hallucination_rise: 0.50", "hallucination_rise: 2.50"))
        policies = [load_policy(file, destination_types()) for file in (SHIPPED_POLICY, new)]
        began = perf_counter()
        found = compare(policies[0], policies[1], AlertHistory().of_file(history), NOW)
        taken = perf_counter() - began
    assert found.alerts == count
    assert found.lost_pages
    yield Figure(
        f"(s) comparing on {count:,} alerts", f"{taken:.1f} s · {count / taken:,.0f}/s", goal="100,000 in < 60 s"
    )


METRICS = (
    ("error_rate", (0.02, 0.04, 0.06, 0.31), 0.03),
    ("p95_latency_ms", (3000, 5200, 9000), 4000),
    ("answer_relevance", (0.5, 0.7, 0.78), 0.8),
    ("embedding_drift", (0.1, 0.2, 0.6), 0.1),
    ("hallucination_rate", (0.03, 0.05, 0.09), 0.03),
)
MODELS = ("support-chatbot", "contract-retriever", "underwriting-llm", "claims-triage", "another")


def body(number: int) -> dict[str, Any]:
    """The alert with a number: 20 monitors of each metric and model, and every seventh clears."""
    metric, values, baseline = METRICS[number % len(METRICS)]
    return {
        "monitor_name": f"{metric} {number % 20}",
        "status": "CLEARED" if number % 7 == 0 else "TRIGGERED",
        "metric": metric,
        "metric_value": values[number % len(values)],
        "baseline": baseline,
        "threshold": baseline,
        "model": MODELS[number // 3 % len(MODELS)],
        "environment": "staging" if number % 11 == 0 else "production",
        "region": "eu-west-1",
        "segment": {"customer_tier": "premium" if number % 2 else "free"},
        "tags": {"deployment": "blue"},
        "triggered_at": (NOW - timedelta(seconds=80 * number)).isoformat(),
    }
