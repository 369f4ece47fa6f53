"""Rules that compare with an objective that a model lacks: such a rule does not decide about the model's alerts."""

import re
from collections.abc import Iterator, Mapping, Sequence

from policy.cel.conditions import Condition, paths_of
from policy.cel.dnf import Clause, Literal
from policy.cel.syntax import Call, Select, walk
from policy.schema import ModelConfig

_OBJECTIVE = re.compile(r'model\.slo(?:\.(\w+)|\["((?:[^"\\]|\\.)*)"\])')
_EQUAL, _DIFFERENT = frozenset({"_==_", "@in"}), "_!=_"
_MAX_NAMED = 3


def missing_objectives(
    conditions: Sequence[Condition], models: Mapping[str, ModelConfig], defaults: ModelConfig
) -> Iterator[tuple[int, str]]:
    """The indexes of conditions that match nothing without an objective that has no default, with the models that
    lack it.

    Args:
        conditions: of all rules.
        models: the catalogue, each with the defaults applied.
        defaults: what a model that is not listed has.

    A condition that also matches in another way, chooses its models, or asks whether the objective is there, is left
    out: it is meant so.
    """
    for index, condition in enumerate(conditions):
        lacking = [_lacking(clause, defaults) for clause in condition.clauses or ()]
        if not lacking or not all(lacking):
            continue
        name = lacking[0][0]
        without = [model for model, entry in models.items() if name not in entry.slo]
        text = f"model.slo.{name} has no default, so this never matches an alert of {_listed(without)}"
        yield index, f"{text}: set models.defaults.slo.{name}"


def _lacking(clause: Clause, defaults: ModelConfig) -> list[str]:
    """The objectives without a default that a clause needs; none if it chooses its models."""
    if any(_chooses_models(literal) for literal in clause):
        return []
    found = [_OBJECTIVE.fullmatch(path) for literal in clause for path in paths_of(literal.node)]
    names = [match[1] or match[2] for match in found if match]
    return [name for name in names if name not in defaults.slo]


def _chooses_models(literal: Literal) -> bool:
    if any(isinstance(node, Select) and node.test_only for node in walk(literal.node)):
        return True
    paths = [path for path in paths_of(literal.node) if not _OBJECTIVE.fullmatch(path)]
    if not any(path == "alert.model" or path.startswith("model.") for path in paths):
        return False
    if isinstance(literal.node, Call) and literal.node.function in {*_EQUAL, _DIFFERENT}:
        return (literal.node.function in _EQUAL) != literal.negated
    return True


def _listed(models: list[str]) -> str:
    more = len(models) - _MAX_NAMED
    named = [*models[:_MAX_NAMED], f"{more} more" if more > 0 else "", "a model that is not listed"]
    *first, last = filter(None, named)
    return f"{', '.join(first)} or {last}" if first else last
