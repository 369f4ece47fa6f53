"""Which metrics the rules name: a triggered metric that none names is not covered by ``otherwise``."""

from collections.abc import Iterator, Sequence

from policy.cel.conditions import Condition, Facts, Subexpression, paths_of
from policy.cel.syntax import Call, Constant, ListExpr, Node, children
from policy.cel.unparse import unparse

_TOPICS = frozenset(
    {"alert.metric", "alert.custom_metric", "alert.custom_metric_id", "alert.dimension", "alert.monitor_id"}
)
"""Fields that say what is measured. A rule about a kind names no metric."""
_NEGATIONS = frozenset({"!_", "_!=_"})
_CONNECTIVES = frozenset({"_&&_", "_||_", "_?_:_"})


class NamedTopics:
    """The parts of the rules' conditions that name a metric, a custom metric, a dimension or a monitor."""

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._equal: dict[str, set[str]] = {path: set() for path in _TOPICS}
        self._others: list[Subexpression] = []
        for condition in conditions:
            for node in _topic_parts(condition.tree):
                self._add(node)

    def covers(self, facts: Facts) -> bool:
        """Whether a rule names what the alert is about, whatever else the rule demands."""
        if any(facts.value(path) in texts for path, texts in self._equal.items() if texts):
            return True
        return any(part.evaluate(facts) for part in self._others)

    @property
    def metrics(self) -> frozenset[str]:
        """The metrics that conditions compare with."""
        return frozenset(self._equal["alert.metric"])

    def _add(self, node: Call) -> None:
        path = paths_of(node)[0]
        texts = _constants(node)
        if node.function in {"_==_", "@in"} and texts is not None:
            self._equal[path] |= texts - {""}
        else:
            self._others.append(Subexpression(unparse(node)))


def _topic_parts(node: Node) -> Iterator[Call]:
    """The largest parts that depend on one topic alone and are not negated."""
    if isinstance(node, Call):
        if node.function in _NEGATIONS:
            return
        if node.function not in _CONNECTIVES and len(paths := set(paths_of(node))) == 1 and paths <= _TOPICS:
            yield node
            return
    for child in children(node):
        yield from _topic_parts(child)


def _constants(node: Call) -> set[str] | None:
    """The texts of ``path == "text"`` or ``path in ["text", …]``; None for any other expression."""
    found: set[str] = set()
    for argument in node.args:
        items = argument.items if isinstance(argument, ListExpr) else (argument,)
        for item in items:
            if isinstance(item, Constant) and isinstance(item.value, str):
                found.add(item.value)
            elif isinstance(item, Constant | Call):
                return None
    return found


def texts_of(node: Node) -> set[str]:
    """Every text that an expression contains."""
    if isinstance(node, Constant):
        return {node.value} if isinstance(node.value, str) else set()
    return set[str]().union(*(texts_of(child) for child in children(node)))
