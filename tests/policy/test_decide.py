"""Decisions: the first rule that matches, its reason, and the fields that follow from it."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import AlertError, normalise
from integrations.base.console_fallback import with_console_fallback
from integrations.base.registry import destination_types
from policy import IncidentFacts, Policy, Target, load_policy
from policy.decision import TIERS
from tests.alerts.test_properties import bodies
from tests.policy.policies import BASE, NOW, RULES, an_alert, load
from worker.settings import SHIPPED_POLICY


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    return load(tmp_path, BASE + RULES)


def names(targets: tuple[Target, ...]) -> list[str]:
    return [target.name for target in targets]


def test_first_matching_rule_decides(policy: Policy) -> None:
    decision = policy.decide(an_alert(metric="error_rate", metric_value=0.03, baseline=0.1), NOW)
    assert (decision.rule, decision.tier, decision.team, decision.owner) == ("errors", "critical", "support", "alice")
    assert decision.reason == 'alert.metric = "error_rate", alert.value = 0.03, model.slo.error_rate = 0.02'
    assert [(step.after, names(step.notify)) for step in decision.steps] == [
        (0, ["pager"]),
        (900, ["chat"]),
        (1800, ["pager"]),
        (2700, ["pager"]),
        (3600, ["pager"]),
    ]
    assert (names(decision.fallback), decision.remind, decision.hold) == (["term"], 14400, None)
    assert decision.policy == policy.digest


def test_slo_of_model_overrides_defaults(policy: Policy) -> None:
    rate = {"metric": "error_rate", "metric_value": 0.03}
    assert policy.decide(an_alert(**rate), NOW).rule == "errors"
    assert policy.decide(an_alert(**rate, model="Chatbot"), NOW).rule == "errors", (
        "names are compared without regard to case"
    )
    assert policy.decide(an_alert(**rate, model="another"), NOW).rule == "otherwise"


def test_alert_without_its_value_takes_the_rule_in_doubt(policy: Policy) -> None:
    decision = policy.decide(an_alert(metric="error_rate"), NOW)
    assert (decision.rule, decision.tier) == ("errors", "critical")
    assert decision.reason == "in doubt, because alert.value is not in this alert"
    assert policy.decide(an_alert(metric="error_rate", status="cleared"), NOW).rule == "otherwise"


def test_value_that_is_no_number_is_shown(policy: Policy) -> None:
    """Otherwise a sender that sends something wrong looks like one that sends nothing."""
    decision = policy.decide(normalise({"monitor_name": "m", "metric": "error_rate", "metric_value": "abc"}), NOW)
    assert decision.reason == "in doubt, because alert.value is no number: 'abc'"


def test_dynamic_threshold_without_baseline_takes_the_rule_in_doubt(policy: Policy) -> None:
    manual = {"metric": "error_rate", "metric_value": 0.01}
    dynamic = {**manual, "threshold": {"type": "DYNAMIC_SINGLE", "operator": "LESS_THAN", "multiplier": 2}}
    assert policy.decide(an_alert(**manual), NOW).rule == "otherwise"
    assert policy.decide(an_alert(**dynamic), NOW).rule == "drop"
    assert policy.decide(an_alert(**dynamic, baseline=0.01), NOW).rule == "otherwise"


def test_undescribed_alert_takes_the_louder_rule(policy: Policy) -> None:
    alert = an_alert(metric="p95_latency_ms", metric_value=9).model_copy(update={"undescribed": "Arize is slow"})
    assert policy.decide(alert, NOW).rule == "slow"
    unknown = alert.model_copy(update={"metric": ""})
    decision = policy.decide(unknown, NOW)
    assert (decision.rule, decision.tier) == ("unmapped", "high")
    assert decision.reason == "no rule matched without Arize's description of the monitor: Arize is slow"
    no_value = policy.decide(an_alert(metric="error_rate").model_copy(update={"undescribed": "Arize is slow"}), NOW)
    assert (no_value.rule, no_value.reason) == ("errors", "in doubt, because Arize is slow")


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"metric": "error_rate", "metric_value": 0.001}, "otherwise"),
        ({"metric": "p99_latency_ms", "metric_value": 1}, "unmapped"),
        ({"metric": "", "metric_value": 1}, "unmapped"),
        ({"metric": "p99_latency_ms", "metric_value": 1, "status": "cleared"}, "otherwise"),
        ({"metric": "p99_latency_ms", "metric_value": 1, "kind": "drift"}, "silent"),
    ],
)
def test_metric_that_no_rule_names_is_unmapped(policy: Policy, fields: dict[str, Any], rule: str) -> None:
    assert policy.decide(an_alert(**fields), NOW).rule == rule


@pytest.mark.parametrize(
    ("when", "covered"),
    [
        ('alert.metric in ["x", "p99_latency_ms"] && alert.value > 9.0', True),
        ('alert.value > 9.0 && alert.metric.startsWith("p99")', True),
        ('(alert.metric == "p99_latency_ms" || alert.kind == "drift") && alert.value > 9.0', True),
        ('alert.dimension == "latency_ms" && alert.value > 9.0', True),
        ('alert.metric != "error_rate" && alert.value > 9.0', False),
        ('!(alert.metric == "p99_latency_ms") && alert.value > 9.0', False),
        ('alert.kind == "drift" && alert.value > 9.0', False),
        ('alert.metric == "error_rate"', False),
    ],
)
def test_which_conditions_name_a_metric(tmp_path: Path, when: str, covered: bool) -> None:
    policy = load(tmp_path, BASE + f"rules:\n  - {{name: r, when: '{when}', tier: critical}}\n")
    alert = an_alert(metric="P99", dimension="latency_ms", metric_value=1)
    assert policy.decide(alert, NOW).rule == ("otherwise" if covered else "unmapped")


def test_reason_of_unmapped_has_the_line_that_maps_it(policy: Policy) -> None:
    custom = policy.decide(an_alert(custom_metric_name="Brand Voice", metric_value=1), NOW)
    assert 'metrics: {NAME: {names: ["Brand Voice"]}}' in custom.reason
    named = policy.decide(an_alert(metric="error_count", metric_value=1), NOW)
    assert 'add a rule with `when: alert.metric == "error_count"`' in named.reason


def test_missing_field_skips_the_rule(policy: Policy) -> None:
    decision = policy.decide(an_alert(metric="error_rate", metric_value=0.01), NOW)
    assert decision.rule == "otherwise"
    assert decision.trace[1].reason == "skipped: alert.change is not in this alert"
    assert decision.reason == "no rule matched"
    assert len(decision.trace) == 4


def test_rule_overrides_its_tier(policy: Policy) -> None:
    slow = policy.decide(an_alert(metric="p95_latency_ms", metric_value=1), NOW)
    assert (slow.hold, slow.respond_within) == (300, 600)
    assert slow.on_ack_timeout
    assert (slow.on_ack_timeout.tier, names(slow.on_ack_timeout.steps[0].notify)) == ("critical", ["term"])
    drop = policy.decide(an_alert(metric="x", metric_value=0.5, baseline=1.0), NOW)
    assert (drop.rule, drop.priority, drop.tags, drop.respond_within) == ("drop", "P2", ("a", "b"), 3600)
    assert drop.on_ack_timeout
    assert (drop.on_ack_timeout.tier, len(drop.on_ack_timeout.steps), drop.on_ack_timeout.remind) == (
        "critical",
        5,
        14400,
    )
    silent = policy.decide(an_alert(kind="drift"), NOW)
    assert (silent.steps, silent.digest, names(silent.tickets)) == ((), (), ["work"])


def test_regulated_model_has_ticket_and_closing_role(policy: Policy) -> None:
    decision = policy.decide(an_alert(model="underwriting"), NOW)
    assert (decision.regulated, decision.closed_by, names(decision.tickets)) == (True, "compliance", ["work"])
    twice = policy.decide(an_alert(model="underwriting", kind="drift"), NOW)
    assert names(twice.tickets) == ["work"], "one ticket if the rule and governance name the same destination"
    assert not policy.decide(an_alert(), NOW).regulated


def test_condition_uses_incident_facts(tmp_path: Path) -> None:
    rules = """rules:
  - {name: storm, when: 'incident.alerts >= 10 || incident.age > 3600.0', tier: critical}
"""
    policy = load(tmp_path, BASE + rules)
    assert policy.decide(an_alert(), NOW, IncidentFacts(alerts=9)).rule == "unmapped"
    assert policy.decide(an_alert(), NOW, IncidentFacts(alerts=10)).rule == "storm"
    assert policy.decide(an_alert(), NOW, IncidentFacts(alerts=1, age=4000)).rule == "storm"


def test_condition_uses_times(tmp_path: Path) -> None:
    rules = """rules:
  - {name: stale, when: 'alert.occurred_at < now - duration("1h")', tier: low}
  - {name: night, when: 'now.getHours("Europe/Berlin") < 8 && has(alert.occurred_at)', tier: high}
"""
    policy = load(tmp_path, BASE + rules)
    assert policy.decide(an_alert(timestamp="2026-11-24T01:00:00Z"), NOW).rule == "stale"
    night = policy.decide(an_alert(timestamp="2026-11-24T02:30:00Z"), NOW)
    assert (night.rule, night.trace[0].reason) == (
        "night",
        "alert.occurred_at = 2026-11-24 02:30:00 UTC, now = 2026-11-24 03:00:00 UTC",
    )
    day = policy.decide(an_alert(timestamp="2026-11-24T09:30:00Z"), NOW.replace(hour=10))
    assert day.rule == "unmapped"
    never = policy.decide(an_alert(), NOW)
    assert (never.rule, never.trace[0].reason) == ("unmapped", "skipped: alert.occurred_at is not in this alert")


@pytest.mark.parametrize(
    "hostile", ["' || true || '", '" || true || "', "\\", "${model}", "\n", "a" * 250, "\ud800", "\x00"]
)
def test_alert_text_cannot_change_a_condition(policy: Policy, hostile: str) -> None:
    assert policy.decide(an_alert(metric=hostile, region=hostile, monitor_name=hostile + "m"), NOW).rule == "unmapped"


def test_console_replaces_destinations_without_secret(policy: Policy) -> None:
    replaced, missing = with_console_fallback(policy, {"SLACK": "x"})
    assert missing == {"pager": "KEY", "work": "U, T"}
    decision = replaced.decide(an_alert(metric="error_rate", metric_value=1), NOW)
    assert [(target.name, target.kind) for step in decision.steps[:2] for target in step.notify] == [
        ("pager", "console"),
        ("chat", "post"),
    ]
    drop = replaced.decide(an_alert(metric="x", metric_value=0.5, baseline=1.0), NOW)
    assert drop.on_ack_timeout
    assert drop.on_ack_timeout.steps[0].notify[0].kind == "console"
    assert replaced.decide(an_alert(model="underwriting"), NOW).tickets[0].kind == "console"


def test_scaled_policy_divides_durations(policy: Policy) -> None:
    decision = policy.scaled(60).decide(an_alert(metric="p95_latency_ms", metric_value=1), NOW)
    assert (decision.hold, decision.steps[1].after, decision.remind) == (5, 15, 240)
    assert decision.policy == f"{policy.digest}/60"


@pytest.mark.parametrize(
    ("sample", "rule", "tier"),
    [
        ("critical", "error-rate-breach", "critical"),
        ("high", "quality-drop", "high"),
        ("low", "data-quality", "low"),
        ("regulated", "hallucination-spike", "critical"),
    ],
)
def test_shipped_policy_decides_shipped_samples(sample: str, rule: str, tier: str) -> None:
    import json

    shipped = load_policy(SHIPPED_POLICY, destination_types())
    body = json.loads((SHIPPED_POLICY.parent / "samples" / f"{sample}.json").read_text())
    decision = shipped.decide(normalise(body), NOW)
    assert (decision.rule, decision.tier, decision.regulated) == (rule, tier, sample == "regulated")


SHIPPED = load_policy(SHIPPED_POLICY, destination_types())


@given(bodies, st.builds(IncidentFacts, alerts=st.integers(0, 10**6), age=st.floats(0, 1e9)))
def test_any_alert_has_a_repeatable_decision(sent: dict[str, Any], incident: IncidentFacts) -> None:
    try:
        alert = normalise(sent)
    except AlertError:
        return
    decision = SHIPPED.decide(alert, NOW, incident)
    assert decision.tier in TIERS
    assert decision.steps or decision.digest or decision.tickets, "every alert is notified, listed or ticketed"
    assert SHIPPED.decide(alert, NOW, incident) == decision
    for verdict in decision.trace:
        # A value that the library rejects would skip every rule, for another reason than a missing field.
        assert not verdict.reason.startswith("skipped") or verdict.reason.endswith("is not in this alert"), verdict
    assert type(decision).model_validate_json(decision.model_dump_json()) == decision


def test_null_result_is_no_match(tmp_path: Path) -> None:
    """Release 0.1.3 of the library loses a reference to None for each null that is read; thousands end the process."""
    policy = load(tmp_path, BASE + "rules:\n  - {name: nothing, when: dyn(null), tier: low}\n")
    decision = policy.decide(an_alert(), NOW)
    assert (decision.rule, decision.trace[0].reason) == ("unmapped", "skipped: the result is neither true nor false")
    before = sys.getrefcount(None)
    for _ in range(1000):
        policy.decide(an_alert(), NOW)
    assert sys.getrefcount(None) > before - 500
