"""Properties that hold for any policy, any alert and any bytes."""

import copy
import dataclasses
from datetime import timedelta
from functools import cache

import yaml
from hypothesis import assume, example, given
from hypothesis import strategies as st

from alerts import Alert
from integrations.base.registry import destination_types
from policy import IncidentFacts, Policy, PolicyError, PolicySource, parse_policy
from policy.authoring.near_misses import near_misses
from policy.cel.conditions import Condition
from policy.cel.declarations import Declarations
from policy.decide import CompiledRule
from policy.decision import TIERS
from tests.policy.generated import alerts, conditions, documents, policy_text, rule_lists
from tests.policy.policies import BASE, NOW, RULES

TYPES = destination_types()


def parse(text: str) -> Policy:
    return parse_policy(PolicySource((("policy.yaml", text.encode()),)), TYPES)


def without_unreachable(rules: list[tuple[str, str]]) -> tuple[Policy, set[str]]:
    """The policy, and the indexes of rules that the loader reports as unreachable; with such, it is built unchecked."""
    try:
        return parse(policy_text(BASE, rules)), set()
    except PolicyError as error:
        problems = error.problems
    errors = [problem for problem in problems if problem.severity == "error"]
    paths = {problem.path for problem in errors if "can never" in problem.message}
    assert len(paths) == len(errors), problems
    return _unchecked(rules), {path.removeprefix("rules[").split("]")[0] for path in paths}


@cache
def _empty() -> Policy:
    return parse(policy_text(BASE, []))


@cache
def _always(tier: str) -> CompiledRule:
    (rule,) = parse(policy_text(BASE, [("true", tier)])).rules
    return rule


def _unchecked(rules: list[tuple[str, str]]) -> Policy:
    """The same rules, without the check that each can decide."""
    declarations = Declarations.of(_empty().models, _empty().default_model)
    parts: list[CompiledRule] = []
    for index, (when, tier) in enumerate(rules):
        rule, name = _always(tier), f"r{index}"
        named = rule.decision.model_copy(update={"rule": name})
        parts.append(dataclasses.replace(rule, name=name, decision=named, condition=Condition(when, declarations)))
    return dataclasses.replace(_empty(), rules=tuple(parts))


WITHOUT_MATCH = {"unmapped", "otherwise"}


@given(rule_lists, alerts, st.builds(IncidentFacts, alerts=st.integers(0, 6)))
def test_decision_is_total_and_repeatable(rules: list[tuple[str, str]], alert: Alert, incident: IncidentFacts) -> None:
    policy, _ = without_unreachable(rules)
    before = copy.deepcopy(alert)
    decision = policy.decide(alert, NOW, incident)
    assert decision.tier in TIERS
    assert decision.steps or decision.digest or decision.tickets
    assert [verdict.matched for verdict in decision.trace].count(True) == (decision.rule not in WITHOUT_MATCH)
    assert policy.decide(alert, NOW, incident) == decision
    assert alert == before
    assert type(decision).model_validate_json(decision.model_dump_json()) == decision


@given(rule_lists, alerts, st.builds(IncidentFacts, alerts=st.integers(0, 6)))
def test_guards_never_change_the_decision(rules: list[tuple[str, str]], alert: Alert, incident: IncidentFacts) -> None:
    policy, _ = without_unreachable(rules)
    facts = policy.facts(alert, NOW, incident)
    matching = [rule.name for rule in policy.rules if rule.condition and rule.condition.matches(facts).matched]
    decision = policy.decide(alert, NOW, incident)
    in_doubt = decision.reason.startswith("in doubt")
    assert decision.rule == matching[0] if matching else in_doubt or decision.rule in WITHOUT_MATCH


def with_implied_rule(rules: list[tuple[str, str]], index: int, also: str) -> list[tuple[str, str]]:
    """The rules, and one that matches only where an earlier one does."""
    when, _ = rules[index % len(rules)]
    return [*rules, (f"({when}) && {also}", "high")]


implied = st.builds(with_implied_rule, rule_lists.filter(bool), st.integers(0, 5), conditions)
"""Most of these lists have a rule that can never decide; of the others few do."""


@given(st.one_of(implied, implied, implied, rule_lists), alerts, st.builds(IncidentFacts, alerts=st.integers(0, 6)))
@example([("alert.value > 0.5", "low"), ("alert.value > 1.0", "low")], Alert(monitor="m", value=2.0), IncidentFacts())
def test_unreachable_rules_never_decide(rules: list[tuple[str, str]], alert: Alert, incident: IncidentFacts) -> None:
    policy, unreachable = without_unreachable(rules)
    assume(unreachable)
    decision = policy.decide(alert, NOW, incident)
    assume(not decision.reason.startswith("in doubt"))  # a contradiction is as undecided as any rule without its value
    assert decision.rule.removeprefix("r") not in unreachable


@given(rule_lists, alerts)
def test_near_miss_is_an_unmatched_rule(rules: list[tuple[str, str]], alert: Alert) -> None:
    policy, _ = without_unreachable(rules)
    decision = policy.decide(alert, NOW)
    missed = {verdict.rule for verdict in decision.trace if not verdict.matched}
    for miss in near_misses(policy, alert, NOW):
        assert miss.rule in missed
        assert miss.needs
        assert miss.has


@cache
def _valid() -> bytes:
    return (BASE + RULES).encode()


@given(
    st.one_of(
        st.binary(max_size=300),
        documents.map(lambda value: yaml.safe_dump(value).encode()),
        st.tuples(st.integers(0, 1200), st.integers(0, 40), st.binary(max_size=12)).map(
            lambda cut: _valid()[: cut[0]] + cut[2] + _valid()[cut[0] + cut[1] :]
        ),
    )
)
@example(b"\xef\xbb\xbfversion: 1\n")
@example(b"? [a]\n: b\n")
@example(b"rules: {1: 2}\nversion: !!python/object:os.system x\n")
@example(b"version: 1\ndestinations: {1: {type: console}}\ntiers: {}\n")
@example(b"a: !!timestamp 99999-99-99\n")
def test_any_bytes_load_or_give_placed_errors(content: bytes) -> None:
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
