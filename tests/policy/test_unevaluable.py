"""Whatever an expression of the policy raises, the alert is decided, louder, and the decision says why."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import Alert
from integrations.base.registry import destination_types
from policy import Policy, PolicyError, PolicySource, Tier, parse_policy, read_payload
from policy.authoring.near_misses import near_misses
from policy.decision import TIERS
from policy.failures import LIFETIME, EvaluationFailures
from simulation.preview import preview
from tests.policy.policies import BASE, NOW

LABELS = {f"key-{number}": f"value-{number}" for number in range(120)}
"""More than a body may state: descriptions and later releases may add some."""
BIG = Alert(monitor="m", metric="x", value=1.0, model="chatbot", tags=LABELS, segment=LABELS, excluded=LABELS)
FAILING = (
    "alert.tags.exists(a, alert.tags.exists(b, a + b == ''))",
    "int(alert.model) > 1",
    "timestamp(alert.model) > now",
    "duration(alert.monitor) > duration('1m')",
    "1 / (alert.tags.size() - 120) > 0",
    "{alert.monitor: 1.0, alert.monitor: 2.0}.size() > 0",
    "[1.0][alert.tags.size()] > 0.0",
    "double(alert.model) > 1.0",
    "alert.model.matches(alert.model + '[')",
    "now + duration(string(alert.tags.size()) + '0000000000h') > now",
    "now.getHours(alert.model) > 3",
)
"""Valid conditions that have no value for this alert."""


def parse(rules: str) -> Policy:
    return parse_policy(PolicySource((("policy.yaml", (BASE + rules).encode()),)), destination_types())


def rule(when: str, tier: str = "critical") -> str:
    first = f"  - {{name: failing, tier: {tier}, when: {quoted(when)}}}\n"
    return f"rules:\n{first}  - {{name: all, tier: low, when: 'true'}}\n"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@pytest.mark.parametrize("failing", FAILING)
def test_failing_condition_decides_if_louder(failing: str) -> None:
    policy = parse(rule(failing))
    decision = policy.decide(BIG, NOW)
    assert (decision.rule, decision.tier) == ("failing", "critical")
    assert decision.reason.startswith("in doubt, because its condition cannot be evaluated: ")
    assert decision.trace[0].reason.startswith("skipped: ")
    assert decision.steps
    assert "rules.failing cannot be evaluated: " in str(policy.failures)


@pytest.mark.parametrize("failing", FAILING)
def test_failing_condition_never_makes_it_quieter(failing: str) -> None:
    rules = rule(failing, "low").replace("tier: low, when: 'true'", "tier: high, when: 'true'")
    assert parse(rules).decide(BIG, NOW).rule == "all"


def test_costly_condition_is_refused() -> None:
    loop = "alert.tags.exists(a, alert.segment.exists(b, a == b))"
    with pytest.raises(PolicyError, match=r"needs up to [\d,]+ steps"):
        parse(rule(f"{loop} || {loop}"))
    (warning,) = parse(rule(loop)).warnings
    assert "needs up to 8,256 steps" in warning.message


@pytest.mark.parametrize("failing", FAILING)
def test_doubt_about_regulation_regulates(failing: str) -> None:
    text = (
        rule("alert.value > 5.0", "low")
        + f"governance: {{regulated: {quoted(failing)}, ticket: work, closed_by: compliance}}\n"
    )
    decision = parse(text).decide(BIG, NOW)
    assert (decision.regulated, decision.closed_by) == (True, "compliance")
    assert [target.name for target in decision.tickets] == ["work"]
    assert decision.trace[-1].rule == "governance.regulated"
    assert decision.trace[-1].reason.startswith("in doubt, because its condition cannot be evaluated: ")


@pytest.mark.parametrize("failing", [one for one in FAILING if "now" not in one])
def test_doubt_about_the_metric_is_unmapped(failing: str) -> None:
    text = f"metrics: {{odd: {{match: {quoted(failing)}}}}}\n" + rule("alert.value > 5.0", "low")
    decision = parse(text).decide(BIG, NOW)
    assert (decision.rule, decision.tier) == ("unmapped", "high")
    assert "metrics.odd.match cannot be evaluated" in decision.reason


@settings(max_examples=40, deadline=None)
@given(
    conditions=st.lists(
        st.sampled_from((*FAILING, "alert.value == 1.0", "alert.value > 5.0")), min_size=3, max_size=3, unique=True
    ),
    tiers=st.tuples(st.sampled_from(TIERS), st.sampled_from(TIERS)),
    size=st.sampled_from((0, 1, 64, 120)),
    value=st.sampled_from((None, 1.0)),
)
def test_nothing_that_is_evaluated_raises(
    conditions: list[str], tiers: tuple[Tier, Tier], size: int, value: float | None
) -> None:
    """Every combination of failures in rules and governance is decided, at least as loudly as what fails."""
    text = f"""rules:
  - {{name: first, tier: {tiers[0]}, when: {quoted(conditions[0])}}}
  - {{name: second, tier: {tiers[1]}, when: {quoted(conditions[1])}}}
governance: {{regulated: {quoted(conditions[2])}, ticket: work}}
metrics: {{odd: {{match: 'int(alert.monitor) > 1'}}}}
"""
    policy = _parsed(text)
    labels = dict(list(LABELS.items())[:size])
    alert = BIG.model_copy(update={"tags": labels, "segment": labels, "value": value})
    decision = policy.decide(policy.interpret(alert), NOW)
    facts = policy.facts(alert, NOW)
    for compiled in policy.rules:
        assert compiled.condition is not None
        if compiled.condition.matches(facts).failed and any(one.rule == compiled.name for one in decision.trace):
            assert not compiled.decision.louder_than(decision.tier)
    assert not policy.unmapped.decision.louder_than(decision.tier), "metrics.odd.match fails, too"
    near_misses(policy, alert, NOW)
    preview(policy, alert, NOW)


@cache
def _parsed(text: str) -> Policy:
    return parse(text)


MAPPED = """
intake:
  mappings:
    - {{name: first, when: {when}, alert: {{monitor: {monitor}, model: '"a"'}}}}
"""


@pytest.mark.parametrize(
    ("when", "monitor"),
    [
        ("payload.items.exists(a, payload.items.exists(b, a + b < 0.0))", "payload.title"),
        ("int(payload.title) > 1", "payload.title"),
        ("true", "string(payload.items.map(a, payload.items.map(b, a)).size())"),
        ("true", "payload.items[10000]"),
        ("true", "string(int(payload.title))"),
        ("true", "string(timestamp(payload.title))"),
    ],
)
def test_failing_mapping_leaves_the_body_to_the_reader(when: str, monitor: str) -> None:
    policy = parse(MAPPED.format(when=quoted(when), monitor=quoted(monitor)))
    body = {"title": "abc", "items": [float(number) for number in range(120)], "monitor_name": "m", "model": "chatbot"}
    reading = read_payload(policy.mappings, body)
    assert (reading.alert.monitor, reading.alert.model) == ("m", "chatbot")
    assert reading.failures
    assert reading.failures[0].startswith("mapping first: ")


def test_alert_without_any_decision_pages() -> None:
    """A text that no library takes, as only a fault elsewhere lets it in."""
    policy = parse(rule("alert.value > 1.0", "low") + "governance: {regulated: model.regulated, ticket: work}\n")
    alert = BIG.model_copy(update={"model": 5})
    decision = policy.decide(policy.interpret(alert), NOW)
    assert (decision.rule, decision.tier, decision.regulated) == ("undecided", "critical", True)
    assert [target.name for target in decision.steps[0].notify] == ["pager"]
    assert "no decision can be made: " in decision.reason
    assert policy.failures.problems()["decision"] == decision.reason


def test_failures_are_over_after_a_while() -> None:
    now = [0.0]
    counted: list[tuple[str, bool]] = []
    failures = EvaluationFailures(lambda place, _, first: counted.append((place, first)), lambda: now[0])
    for _ in range(2):
        failures.record("rules.a", "why")
    assert counted == [("rules.a", True), ("rules.a", False)]
    assert str(failures) == "rules.a cannot be evaluated: why"
    now[0] = LIFETIME + 1
    assert str(failures) == ""
    failures.record("rules.a", "why")
    assert counted[-1] == ("rules.a", True)
