"""By how little a rule was missed: what one more thing an alert lacked, asked of CEL itself part by part."""

from dataclasses import dataclass, replace
from datetime import datetime

from alerts import Alert
from policy.clauses import OPPOSITE, Alternative, Demand
from policy.conditions import Facts, Question, paths_of
from policy.decide import Policy
from policy.decision import IncidentFacts, Tier
from policy.syntax import Call, Literal, Node, walk
from policy.written import show, written

_FAR = 1.0
_ANOTHER_MATTER = frozenset({"alert.metric", "alert.kind"})
"""A rule about something else was not nearly met."""


@dataclass(frozen=True)
class Miss:
    """A rule that would have matched, but for one demand."""

    rule: str
    tier: Tier
    needs: str
    has: str
    distance: float
    """Of a number from the limit that it missed, as a share of the limit; 1 where that cannot be said."""

    def __str__(self) -> str:
        return f"{self.rule} needs {self.needs}, this alert has {self.has}"


def near_misses(
    policy: Policy, alert: Alert, now: datetime, incident: IncidentFacts | None = None, most: int = 5
) -> list[Miss]:
    """The rules before the one that decided that a single demand kept from matching, the nearest first."""
    facts = policy.facts(alert, now, incident)
    found: list[Miss] = []
    for rule in policy.rules:
        condition = rule.condition
        if condition is None or condition.holds(facts):
            break
        missed = [_only_one(one, facts) for one in condition.alternatives or ()]
        misses = [_miss(rule.name, rule.decision.tier, demand, facts) for demand in missed if demand]
        if misses:
            found.append(min(misses, key=lambda miss: miss.distance))
    return sorted(found, key=lambda miss: miss.distance)[:most]


def _only_one(alternative: Alternative, facts: Facts) -> Demand | None:
    """The one demand that is not met, where there is one, and others are."""
    unmet: list[Demand] = []
    for demand in alternative:
        if not _met(demand, facts):
            unmet.append(demand)
            if len(unmet) > 1:
                return None
    if len(unmet) != 1 or len(alternative) == 1 or set(paths_of(unmet[0].node)) <= _ANOTHER_MATTER:
        return None
    return unmet[0]


def _met(demand: Demand, facts: Facts) -> bool:
    answer = Question(written(demand.node)).answer(facts)
    return answer is not None and answer != demand.denied


def _miss(rule: str, tier: Tier, demand: Demand, facts: Facts) -> Miss:
    node = _as_asked(demand)
    paths = paths_of(node)
    told = [(path, facts.value(path)) for path in paths]
    asked = [value for path, value in told if not path.startswith("model.")]
    needs = written(node)
    for path, value in told:
        if path.startswith("model.") and len(told) > 1 and value is not None:
            needs = needs.replace(path, f"{path} ({show(value)})")
    values = asked or [value for _, value in told]
    has = ", ".join("none" if value is None else show(value)[:80] for value in values)
    return Miss(rule, tier, needs, has or "nothing to compare", _distance(node, facts))


def _as_asked(demand: Demand) -> Node:
    node = demand.node
    if not demand.denied:
        return node
    if isinstance(node, Call) and node.function in OPPOSITE:
        return replace(node, function=OPPOSITE[node.function])
    return Call(node.offset, "!_", (node,))


def _distance(node: Node, facts: Facts) -> float:
    """How far the compared numbers lie apart, as a share of the limit."""
    if not isinstance(node, Call) or node.function not in OPPOSITE:
        return _FAR
    values: list[float] = []
    for side in node.args:
        constants = [part.value for part in walk(side) if isinstance(part, Literal)]
        value = facts.value(paths[0]) if (paths := paths_of(side)) else next(iter(constants), None)
        if isinstance(side, Call) and side.function == "-_" and isinstance(value, int | float):
            value = -value
        if isinstance(value, bool) or not isinstance(value, int | float):
            return _FAR
        values.append(float(value))
    return min(abs(values[0] - values[1]) / max(abs(values[1]), 1e-9), _FAR)
