"""Decisions: the first rule that matches, and why; the same alert, the same decision."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.destinations import destination_types, with_console
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


def test_the_first_rule_that_matches_decides_and_says_why(policy: Policy) -> None:
    decision = policy.decide(an_alert(metric="error_rate", metric_value=0.03, baseline=0.1), NOW)
    assert (decision.rule, decision.tier, decision.team, decision.owner) == ("errors", "critical", "support", "alice")
    assert decision.why == 'alert.metric = "error_rate", alert.value = 0.03, model.slo.error_rate = 0.02'
    assert [(step.after, names(step.notify)) for step in decision.steps] == [
        (0, ["pager"]),
        (900, ["chat"]),
        (1800, ["pager"]),
        (2700, ["pager"]),
        (3600, ["pager"]),
    ]
    assert (names(decision.fallback), decision.remind, decision.hold) == (["term"], 14400, None)
    assert decision.policy == policy.digest


def test_a_models_own_slo_counts_and_else_the_defaults(policy: Policy) -> None:
    rate = {"metric": "error_rate", "metric_value": 0.03}
    assert policy.decide(an_alert(**rate), NOW).rule == "errors"
    assert policy.decide(an_alert(**rate, model="Chatbot"), NOW).rule == "errors", "whatever the case of the name"
    assert policy.decide(an_alert(**rate, model="another"), NOW).rule == "otherwise"


def test_a_missing_field_makes_that_condition_false_and_is_told(policy: Policy) -> None:
    decision = policy.decide(an_alert(metric="error_rate"), NOW)
    assert decision.rule == "otherwise"
    assert decision.trace[0].why == "skipped: alert.value is not in this alert"
    assert decision.why == "no rule matched"
    assert len(decision.trace) == 4


def test_what_a_rule_sets_wins_over_its_tier(policy: Policy) -> None:
    slow = policy.decide(an_alert(metric="p95_latency_ms", metric_value=1), NOW)
    assert (slow.hold, slow.respond_within) == (300, 600)
    assert slow.unanswered
    assert (slow.unanswered.tier, names(slow.unanswered.steps[0].notify)) == ("critical", ["term"])
    drop = policy.decide(an_alert(metric="x", metric_value=0.5, baseline=1.0), NOW)
    assert (drop.rule, drop.priority, drop.tags, drop.respond_within) == ("drop", "P2", ("a", "b"), 3600)
    assert drop.unanswered
    assert (drop.unanswered.tier, len(drop.unanswered.steps), drop.unanswered.remind) == ("critical", 5, 14400)
    silent = policy.decide(an_alert(kind="drift"), NOW)
    assert (silent.steps, silent.digest, names(silent.tickets)) == ((), (), ["work"])


def test_a_regulated_model_gets_its_ticket_and_its_closer(policy: Policy) -> None:
    decision = policy.decide(an_alert(model="underwriting"), NOW)
    assert (decision.regulated, decision.closed_by, names(decision.tickets)) == (True, "compliance", ["work"])
    twice = policy.decide(an_alert(model="underwriting", kind="drift"), NOW)
    assert names(twice.tickets) == ["work"], "one ticket where rule and governance name the same"
    assert not policy.decide(an_alert(), NOW).regulated


def test_the_incident_may_be_asked(tmp_path: Path) -> None:
    rules = """rules:
  - {name: storm, when: 'incident.alerts >= 10 || incident.age > 3600.0', tier: critical}
"""
    policy = load(tmp_path, BASE + rules)
    assert policy.decide(an_alert(), NOW, IncidentFacts(alerts=9)).rule == "otherwise"
    assert policy.decide(an_alert(), NOW, IncidentFacts(alerts=10)).rule == "storm"
    assert policy.decide(an_alert(), NOW, IncidentFacts(alerts=1, age=4000)).rule == "storm"


def test_when_it_happened_and_what_time_it_is_may_be_asked(tmp_path: Path) -> None:
    rules = """rules:
  - {name: stale, when: 'alert.occurred_at < now - duration("1h")', tier: low}
  - {name: night, when: 'now.getHours("Europe/Berlin") < 8 && has(alert.occurred_at)', tier: high}
"""
    policy = load(tmp_path, BASE + rules)
    assert policy.decide(an_alert(timestamp="2026-11-24T01:00:00Z"), NOW).rule == "stale"
    night = policy.decide(an_alert(timestamp="2026-11-24T02:30:00Z"), NOW)
    assert (night.rule, night.trace[0].why) == (
        "night",
        "alert.occurred_at = 2026-11-24 02:30:00 UTC, now = 2026-11-24 03:00:00 UTC",
    )
    day = policy.decide(an_alert(timestamp="2026-11-24T09:30:00Z"), NOW.replace(hour=10))
    assert day.rule == "otherwise"
    never = policy.decide(an_alert(), NOW)
    assert (never.rule, never.trace[0].why) == ("otherwise", "skipped: alert.occurred_at is not in this alert")


@pytest.mark.parametrize(
    "hostile", ["' || true || '", '" || true || "', "\\", "${model}", "\n", "a" * 250, "\ud800", "\x00"]
)
def test_an_alerts_text_cannot_alter_a_condition(policy: Policy, hostile: str) -> None:
    assert policy.decide(an_alert(metric=hostile, region=hostile, monitor_name=hostile + "m"), NOW).rule == "otherwise"


def test_console_stands_in_for_what_lacks_its_secret(policy: Policy) -> None:
    replaced, lacking = with_console(policy, {"SLACK": "x"})
    assert lacking == {"pager": "KEY", "work": "U, T"}
    decision = replaced.decide(an_alert(metric="error_rate", metric_value=1), NOW)
    assert [(target.name, target.kind) for step in decision.steps[:2] for target in step.notify] == [
        ("pager", "console"),
        ("chat", "post"),
    ]
    drop = replaced.decide(an_alert(metric="x", metric_value=0.5, baseline=1.0), NOW)
    assert drop.unanswered
    assert drop.unanswered.steps[0].notify[0].kind == "console"
    assert replaced.decide(an_alert(model="underwriting"), NOW).tickets[0].kind == "console"


def test_faster_for_a_demonstration_and_the_digest_says_so(policy: Policy) -> None:
    decision = policy.sped_up(60).decide(an_alert(metric="p95_latency_ms", metric_value=1), NOW)
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
def test_the_shipped_policy_on_the_shipped_samples(sample: str, rule: str, tier: str) -> None:
    import json

    from alerts import normalise

    shipped = load_policy(SHIPPED_POLICY, destination_types())
    body = json.loads((SHIPPED_POLICY.parent / "samples" / f"{sample}.json").read_text())
    decision = shipped.decide(normalise(body), NOW)
    assert (decision.rule, decision.tier, decision.regulated) == (rule, tier, sample == "regulated")


SHIPPED = load_policy(SHIPPED_POLICY, destination_types())


@given(bodies, st.builds(IncidentFacts, alerts=st.integers(0, 10**6), age=st.floats(0, 1e9)))
def test_for_any_alert_it_decides_the_same_way_twice(sent: dict[str, Any], incident: IncidentFacts) -> None:
    from alerts import AlertError, normalise

    try:
        alert = normalise(sent)
    except AlertError:
        return
    decision = SHIPPED.decide(alert, NOW, incident)
    assert decision.tier in TIERS
    assert decision.steps or decision.digest or decision.tickets, "nothing is ever dropped"
    assert SHIPPED.decide(alert, NOW, incident) == decision
    for verdict in decision.trace:
        # Nothing else may silence a rule: a value that the library cannot take would silence them all.
        assert not verdict.why.startswith("skipped") or verdict.why.endswith("is not in this alert"), verdict
    assert type(decision).model_validate_json(decision.model_dump_json()) == decision


def test_an_answer_of_null_is_no_match_and_costs_nothing(tmp_path: Path) -> None:
    """Release 0.1.3 gives a reference of None away for each null that is taken out; some thousands end the process."""
    policy = load(tmp_path, BASE + "rules:\n  - {name: nothing, when: dyn(null), tier: low}\n")
    decision = policy.decide(an_alert(), NOW)
    assert (decision.rule, decision.trace[0].why) == ("otherwise", "skipped: the answer is neither true nor false")
    before = sys.getrefcount(None)
    for _ in range(1000):
        policy.decide(an_alert(), NOW)
    assert sys.getrefcount(None) > before - 500
