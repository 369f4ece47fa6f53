"""Conditions that are valid CEL and cannot work: parts that never have a value, loops that exceed what CEL evaluates,
and numbers that the metric does not reach."""

from collections.abc import Iterator, Mapping, Sequence

from cel_expr_python import cel

from alerts.values import LABELS
from policy.cel.dnf import Clause, Interval, conjunction
from policy.cel.evaluation import MAX_ITERATIONS, Failure, evaluate
from policy.cel.syntax import Call, Comprehension, Constant, Ident, ListExpr, MapExpr, Node, children, path_of, walk
from policy.cel.type_check import Issue
from policy.cel.unparse import unparse

COSTLY = MAX_ITERATIONS // 4
_ENV = cel.NewEnv(variables={})
_NOTHING = _ENV.Activation({})
_SIZES = {
    "alert.tags": LABELS,
    "alert.excluded": LABELS,
    "alert.segment": 2 * LABELS,  # each under its short name, too
    "model.slo": LABELS,
    "model.links": LABELS,
}
_UNKNOWN_SIZE = 100  # of a part of the payload
_NUMBERS = ("alert.value", "alert.threshold", "alert.baseline")
_LARGEST_CHANGE = 10.0
"""A change of more than 1,000 % is probably meant in percent."""


def constant_issues(tree: Node) -> Iterator[Issue]:
    """Parts without a name, such as ``duration("5 minutes")`` or a regular expression, that can have no value."""
    for node in _constant_parts(tree):
        if reason := _reason(unparse(node)):
            yield Issue(node.offset, f"{unparse(node)} can never be evaluated: {reason}")
    for node in walk(tree):
        if not isinstance(node, Call) or not node.args or not isinstance(node.args[-1], Constant):
            continue
        argument = unparse(node.args[-1])
        if node.function == "matches" and (reason := _reason(f'"".matches({argument})')):
            yield Issue(node.args[-1].offset, f"{argument} is no regular expression: {reason.rpartition(': ')[0]}")
        if node.function.startswith("get") and (reason := _reason(f"timestamp(0).{node.function}({argument})")):
            yield Issue(node.args[-1].offset, f"{argument} is no time zone: write a name such as Europe/Berlin")


def _constant_parts(node: Node) -> Iterator[Node]:
    """The largest parts that use no name and no loop."""
    if isinstance(node, Call) and not any(isinstance(part, Ident | Comprehension) for part in walk(node)):
        yield node
        return
    for child in children(node):
        yield from _constant_parts(child)


def _reason(source: str) -> str:
    """Why an expression has no value; empty if it has one, or if it is not the value that is wrong."""
    try:
        program = _ENV.compile(source, disable_check=True)
    except RuntimeError:
        return ""
    result = evaluate(program, _NOTHING)
    return result.reason if isinstance(result, Failure) else ""


def cost_issues(tree: Node) -> Iterator[Issue]:
    """Loops that need more steps than CEL makes, or a good part of them, for an alert with as many labels as may be."""
    loop = next((node for node in walk(tree) if isinstance(node, Comprehension)), None)
    if loop is None:
        return
    steps = _steps(tree)
    needs = (
        f"needs up to {steps:,} steps for an alert with {LABELS} tags and segments, and CEL makes {MAX_ITERATIONS:,}"
    )
    if steps >= MAX_ITERATIONS:
        yield Issue(loop.offset, f"{needs}: take loops out of loops, or name the keys")
    elif steps > COSTLY:
        yield Issue(loop.offset, f"{needs}: a loop inside a loop is slow", warning=True)


def nested_payload_issues(tree: Node) -> Iterator[Issue]:
    """The same for a mapping, whose body may have lists of any length."""
    loop = next((node for node in walk(tree) if isinstance(node, Comprehension)), None)
    if loop is not None and _steps(tree) >= MAX_ITERATIONS:
        yield Issue(
            loop.offset,
            f"a loop inside a loop fails for long lists: CEL makes {MAX_ITERATIONS:,} steps, and a body that needs "
            "more is read by the next mapping, or goes to the quarantine",
            warning=True,
        )


def _steps(node: Node) -> int:
    own = sum(map(_steps, children(node)))
    if isinstance(node, Comprehension):
        start, *each, result = node.parts
        inner = 1 + sum(map(_steps, each))
        own = _steps(node.iter_range) + _steps(start) + _size(node.iter_range) * inner + _steps(result)
    return own


def _size(node: Node) -> int:
    match node:
        case ListExpr(items=items):
            return len(items)
        case MapExpr(pairs=pairs):
            return len(pairs)
        case Comprehension(iter_range=inner):
            return _size(inner)
        case Call(function="_+_" | "_?_:_", args=args):
            return sum(map(_size, args))
        case _:
            return _SIZES.get(path_of(node), _UNKNOWN_SIZE)


def range_issues(clauses: Sequence[Clause] | None, units: Mapping[str, str]) -> Iterator[Issue]:
    """Comparisons with numbers that the alert's metric hardly has: 20.0 for a ratio, which is at most 1.

    Args:
        clauses: of the condition.
        units: of the metrics that are known, by their names.
    """
    for clause in clauses or ():
        intervals = conjunction(clause).intervals
        metrics = intervals["alert.metric"].allowed if "alert.metric" in intervals else None
        offset = {path: _offset(clause, path) for path in intervals}
        is_ratio = bool(metrics) and all(units.get(str(metric)) == "ratio" for metric in metrics or ())
        for path in _NUMBERS if is_ratio else ():
            if path in intervals and (number := _beyond(intervals[path], 0.0, 1.0)) is not None:
                shown = ", ".join(sorted(map(str, metrics or ())))
                yield Issue(
                    offset[path],
                    f"{shown} is a ratio from 0 to 1, and {path} is compared with {number:g}: "
                    f"write {number / 100:g} for {number:g} %",
                    warning=True,
                )
        if "alert.change" in intervals:
            number = _beyond(intervals["alert.change"], -1.0, _LARGEST_CHANGE)
            if number is not None:
                yield Issue(
                    offset["alert.change"],
                    f"alert.change is a share, and is compared with {number:g}: "
                    f"write {number / 100:g} for {number:g} %",
                    warning=True,
                )


def _beyond(interval: Interval, lowest: float, highest: float) -> float | None:
    """A limit of the interval that no plausible number reaches."""
    if interval.allowed is not None:
        numbers = [value for value in interval.allowed if isinstance(value, float)]
        return next((value for value in numbers if not lowest <= value <= highest), None)
    if interval.low > highest and interval.low != float("inf"):
        return interval.low
    return interval.high if interval.high < lowest and interval.high != float("-inf") else None


def _offset(clause: Clause, path: str) -> int:
    return next(
        (literal.node.offset for literal in clause if any(path_of(one) == path for one in walk(literal.node))), 0
    )
