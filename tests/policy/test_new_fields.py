"""A field that is added to a decision is scaled, replaced and reported by its type, without further code."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel, Field

from integrations.base.registry import destination_types
from policy import Decision, IncidentFacts, Policy, Step, Target, Watchdog
from policy.durations import Seconds
from policy.rewrite import fields_of, holds_seconds, rewrite
from policy.schema import OutcomeConfig
from simulation.test_cases import Expected
from tests.policy.policies import BASE, NOW, RULES, an_alert, load

CONSOLE = destination_types()["console"](type="console")


class Rotation(BaseModel):
    """A nested value, as a later feature may add one."""

    every: Seconds
    stages: tuple[Step, ...]


class ExtendedDecision(Decision):
    """A decision with more fields than the schema has today."""

    cool_down: Seconds | None = None
    windows: tuple[Seconds, ...] = ()
    by_name: dict[str, Seconds] = Field(default={})
    observers: tuple[Target, ...] = ()
    rotation: Rotation | None = None
    weight: float = 1.0


PAGER = Target(name="pager", type="pagerduty", kind="page")
ADDED: dict[str, Any] = {
    "cool_down": 60.0,
    "windows": (30.0, 60.0),
    "by_name": {"a": 120.0},
    "observers": (PAGER,),
    "rotation": Rotation(every=600, stages=(Step(after=60, notify=(PAGER,)),)),
    "weight": 5.0,
}


@pytest.fixture
def extended(tmp_path: Path) -> Policy:
    policy = load(tmp_path, BASE + RULES)
    rules = [
        dataclasses.replace(rule, decision=ExtendedDecision(**{**dict(rule.decision), **ADDED}))
        for rule in policy.rules
    ]
    return dataclasses.replace(policy, rules=tuple(rules))


def decide(policy: Policy) -> ExtendedDecision:
    decision = policy.decide(an_alert(metric="error_rate", metric_value=1), NOW)
    assert isinstance(decision, ExtendedDecision)
    return decision


def test_new_durations_are_scaled(extended: Policy) -> None:
    decision = decide(extended.scaled(60))
    assert (decision.cool_down, decision.windows, decision.by_name) == (1, (0.5, 1), {"a": 2})
    assert decision.rotation
    assert (decision.rotation.every, decision.rotation.stages[0].after) == (10, 1)
    assert decision.weight == 5, "a number that is no duration stays"


def test_new_targets_are_replaced(extended: Policy) -> None:
    decision = decide(extended.with_destinations({"pager": CONSOLE}))
    assert [target.kind for target in decision.observers] == ["console"]
    assert decision.rotation
    assert decision.rotation.stages[0].notify[0].kind == "console"


def test_rewrite_without_change_shares_parts(extended: Policy) -> None:
    assert rewrite(extended) == extended
    assert rewrite(extended, seconds=lambda old: old / 2).default_model is extended.default_model


def models_in(kind: Any) -> Iterator[type]:
    """A model or dataclass, and all that its fields refer to."""
    if isinstance(kind, type) and fields_of(kind):
        yield kind
        hints = get_type_hints(kind) if dataclasses.is_dataclass(kind) else _annotations(kind)
        for hint in hints.values():
            yield from models_in(hint)
    for argument in get_args(kind):
        yield from models_in(argument)


def _annotations(model: Any) -> dict[str, Any]:
    return {name: field.annotation for name, field in model.model_fields.items()}


def _hints(model: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(model):
        return get_type_hints(model, include_extras=True)
    return {name: Seconds if fields_of(model)[name] else hint for name, hint in _annotations(model).items()}


def _contains_float(hint: Any) -> bool:
    return hint is float or any(_contains_float(argument) for argument in get_args(hint))


@pytest.mark.parametrize("root", [Decision, Watchdog, IncidentFacts])
def test_every_number_of_seconds_has_its_type(root: type) -> None:
    """All floats of a decision and of the watchdog are seconds: one without the type would not be scaled."""
    found = {model.__name__: hints for model in models_in(root) for hints in [_hints(model)]}
    assert root.__name__ in found
    for model, hints in found.items():
        for name, hint in hints.items():
            assert holds_seconds(hint) or not _contains_float(hint), (
                f"{model}.{name} is a float without the type Seconds"
            )


def test_tests_may_state_every_decided_key() -> None:
    decided = set(OutcomeConfig.model_fields) & set(Decision.model_fields)
    assert decided <= set(Expected.model_fields)
    assert {"hold", "respond_within", "priority", "tags"} <= decided
