"""The only literal that keeps a condition from matching, if there is exactly one."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from policy.cel.conditions import Condition, Facts, Subexpression, paths_of
from policy.cel.dnf import OPPOSITE, Clause, Literal
from policy.cel.syntax import Call, Constant, Node, walk
from policy.cel.unparse import format_value, unparse

_MAX_DISTANCE = 1.0
_TOPIC_FIELDS = frozenset({"alert.metric", "alert.kind"})
"""A rule about another metric or kind did not nearly match."""


@dataclass(frozen=True)
class Unmet:
    """``needs`` is the unmet literal as CEL text, ``has`` the alert's values."""

    needs: str
    has: str
    distance: float
    """Between a number and the limit that it missed, as a share of the limit; 1 if it cannot be computed."""


def only_unmet(condition: Condition, facts: Facts) -> Unmet | None:
    """The literal to which a condition that does not match came closest. None if several are unmet in each clause."""
    literals = (_only_unmet_literal(clause, facts) for clause in condition.clauses or ())
    return _closest(_describe(literal, facts) for literal in literals if literal)


def _closest(found: Iterable[Unmet]) -> Unmet | None:
    return min(found, key=lambda unmet: unmet.distance, default=None)


def _only_unmet_literal(clause: Clause, facts: Facts) -> Literal | None:
    """The clause's unmet literal, if it is the only one and at least one other literal is met."""
    unmet: list[Literal] = []
    for literal in clause:
        if not _is_met(literal, facts):
            unmet.append(literal)
            if len(unmet) > 1:
                return None
    if len(unmet) != 1 or len(clause) == 1 or set(paths_of(unmet[0].node)) <= _TOPIC_FIELDS:
        return None
    return unmet[0]


def _is_met(literal: Literal, facts: Facts) -> bool:
    result = Subexpression(unparse(literal.node)).evaluate(facts)
    return result is not None and result != literal.negated


def _describe(literal: Literal, facts: Facts) -> Unmet:
    node = _without_negation(literal)
    values = [(path, facts.value(path)) for path in paths_of(node)]
    needs = unparse(node)
    for path, value in values:
        if path.startswith("model.") and len(values) > 1 and value is not None:
            needs = needs.replace(path, f"{path} ({format_value(value)})")
    asked = [value for path, value in values if not path.startswith("model.")] or [value for _, value in values]
    has = ", ".join("none" if value is None else format_value(value)[:80] for value in asked)
    return Unmet(needs, has or "nothing to compare", _distance(node, facts))


def _without_negation(literal: Literal) -> Node:
    node = literal.node
    if not literal.negated:
        return node
    if isinstance(node, Call) and node.function in OPPOSITE:
        return replace(node, function=OPPOSITE[node.function])
    return Call(node.offset, "!_", (node,))


def _distance(node: Node, facts: Facts) -> float:
    if not isinstance(node, Call) or node.function not in OPPOSITE:
        return _MAX_DISTANCE
    values: list[float] = []
    for side in node.args:
        constants = [part.value for part in walk(side) if isinstance(part, Constant)]
        value = facts.value(paths[0]) if (paths := paths_of(side)) else next(iter(constants), None)
        if isinstance(side, Call) and side.function == "-_" and isinstance(value, int | float):
            value = -value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _MAX_DISTANCE
        values.append(float(value))
    return min(abs(values[0] - values[1]) / max(abs(values[1]), 1e-9), _MAX_DISTANCE)
