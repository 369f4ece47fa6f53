"""For any policy, any alert and any bytes: what must always hold."""

import copy
import dataclasses
from datetime import timedelta
from functools import cache
from typing import Any

import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from activities.destinations import destination_types
from alerts import Alert
from policy import IncidentFacts, Policy, PolicyError, PolicySource, parse_policy
from policy.decision import TIERS
from policy.misses import near_misses
from tests.policy.generated import alerts, documents, policy_text, rule_lists
from tests.policy.policies import BASE, NOW, RULES

TYPES = destination_types()


def parse(text: str) -> Policy:
    return parse_policy(PolicySource((("policy.yaml", text.encode()),)), TYPES)


def without_shadowed(rules: list[tuple[str, str]]) -> tuple[Policy, set[str]]:
    """The policy, and the names of its rules that the loader said can never decide, which are then made never to."""
    try:
        return parse(policy_text(BASE, rules)), set()
    except PolicyError as error:
        problems = error.problems
    said = {problem.path for problem in problems if "can never" in problem.message}
    assert len(said) == len(problems), problems
    return _unchecked(rules), {path.removeprefix("rules[").split("]")[0] for path in said}


def _unchecked(rules: list[tuple[str, str]]) -> Policy:
    """The same rules, each of which the loader accepts when it stands alone."""
    parts: list[Any] = []
    for index, rule in enumerate(rules):
        try:
            (one,) = parse(policy_text(BASE, [rule])).rules
        except PolicyError:
            continue  # it contradicts itself
        named = one.decision.model_copy(update={"rule": f"r{index}"})
        parts.append(dataclasses.replace(one, name=f"r{index}", decision=named))
    return dataclasses.replace(parse(policy_text(BASE, [])), rules=tuple(parts))


@given(rule_lists, alerts, st.builds(IncidentFacts, alerts=st.integers(0, 6)))
def test_it_decides_every_alert_in_one_way_and_the_same_way_again(
    rules: list[tuple[str, str]], alert: Alert, incident: IncidentFacts
) -> None:
    policy, _ = without_shadowed(rules)
    before = copy.deepcopy(alert)
    decision = policy.decide(alert, NOW, incident)
    assert decision.tier in TIERS
    assert decision.steps or decision.digest or decision.tickets
    assert [verdict.matched for verdict in decision.trace].count(True) == (decision.rule != "otherwise")
    assert policy.decide(alert, NOW, incident) == decision
    assert alert == before
    assert type(decision).model_validate_json(decision.model_dump_json()) == decision


@given(rule_lists, alerts, st.builds(IncidentFacts, alerts=st.integers(0, 6)))
def test_what_rules_out_a_rule_unasked_never_changes_the_decision(
    rules: list[tuple[str, str]], alert: Alert, incident: IncidentFacts
) -> None:
    policy, _ = without_shadowed(rules)
    facts = policy.facts(alert, NOW, incident)
    matching = [rule.name for rule in policy.rules if rule.condition and rule.condition.matches(facts).matched]
    assert policy.decide(alert, NOW, incident).rule == (matching[0] if matching else "otherwise")


@given(rule_lists, alerts, st.builds(IncidentFacts, alerts=st.integers(0, 6)))
@example([("alert.value > 0.5", "low"), ("alert.value > 1.0", "low")], Alert(monitor="m", value=2.0), IncidentFacts())
def test_a_rule_that_is_said_never_to_decide_never_does(
    rules: list[tuple[str, str]], alert: Alert, incident: IncidentFacts
) -> None:
    policy, shadowed = without_shadowed(rules)
    assume(shadowed)
    assert policy.decide(alert, NOW, incident).rule.removeprefix("r") not in shadowed


@given(rule_lists, alerts)
def test_a_near_miss_is_a_rule_that_did_not_match(rules: list[tuple[str, str]], alert: Alert) -> None:
    policy, _ = without_shadowed(rules)
    decision = policy.decide(alert, NOW)
    missed = {verdict.rule for verdict in decision.trace if not verdict.matched}
    for miss in near_misses(policy, alert, NOW):
        assert miss.rule in missed
        assert miss.needs
        assert miss.has


@cache
def _good() -> bytes:
    return (BASE + RULES).encode()


@given(
    st.one_of(
        st.binary(max_size=300),
        documents.map(lambda value: yaml.safe_dump(value).encode()),
        st.tuples(st.integers(0, 1200), st.integers(0, 40), st.binary(max_size=12)).map(
            lambda cut: _good()[: cut[0]] + cut[2] + _good()[cut[0] + cut[1] :]
        ),
    )
)
@example(b"\xef\xbb\xbfversion: 1\n")
@example(b"? [a]\n: b\n")
@example(b"rules: {1: 2}\nversion: !!python/object:os.system x\n")
@example(b"version: 1\ndestinations: {1: {type: console}}\ntiers: {}\n")
@example(b"a: !!timestamp 99999-99-99\n")
def test_any_bytes_are_a_policy_or_an_error_with_a_line(content: bytes) -> None:
    try:
        policy = parse_policy(PolicySource((("policy.yaml", content),)), TYPES)
    except PolicyError as error:
        problems = error.problems
    else:
        assert policy.decide(Alert(monitor="m"), NOW + timedelta(hours=1)).tier in TIERS
        return
    assert problems
    lines = len(content.decode("utf-8", "replace").splitlines())
    for problem in problems:
        assert problem.file == "policy.yaml"
        assert 1 <= problem.line <= lines + 1
        assert problem.column >= 1
        assert problem.message
