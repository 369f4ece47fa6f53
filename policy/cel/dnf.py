"""A condition in disjunctive normal form (DNF): an ``or`` of clauses, each an ``and`` of literals.

Three things are derived from it: the rules that no alert can reach, the rules that an alert's metric alone rules out,
and how close a rule came to matching.

A condition is true exactly if all literals of one clause are true: in CEL, ``false && error`` is false and
``true || error`` is true, in either order, so ``&&`` and ``||`` distribute over each other.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

from policy.cel.syntax import Call, Constant, ListExpr, Node, path_of

MAX_CLAUSES = 64
"""A condition with more clauses is not analysed."""

_SWAPPED = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_", "_==_": "_==_", "_!=_": "_!=_"}
OPPOSITE = {"_<_": "_>=_", "_<=_": "_>_", "_>_": "_<=_", "_>=_": "_<_", "_==_": "_!=_", "_!=_": "_==_"}

Value = str | float | bool


@dataclass(frozen=True)
class Literal:
    """An expression that must be true, or false if ``negated``."""

    node: Node
    negated: bool = False


Clause = tuple[Literal, ...]


def to_clauses(node: Node, *, negated: bool = False) -> tuple[Clause, ...] | None:
    """The clauses of a condition. Empty if it is never true; None if there are more than ``MAX_CLAUSES``."""
    match node:
        case Call(function="!_", args=(inner,)):
            return to_clauses(inner, negated=not negated)
        case Call(function="_&&_" | "_||_" as sign, args=(left, right)):
            first, second = to_clauses(left, negated=negated), to_clauses(right, negated=negated)
            if first is None or second is None:
                return None
            conjunctive = (sign == "_&&_") != negated
            found = tuple((*a, *b) for a, b in product(first, second)) if conjunctive else (*first, *second)
            return found if len(found) <= MAX_CLAUSES else None
        case Constant(value=bool(value)):
            return ((),) if value != negated else ()
        case _:
            return ((Literal(node, negated),),)


@dataclass(frozen=True)
class Interval:
    """The values that one field can have: a finite set (``allowed``) or a range, without those in ``excluded``."""

    allowed: frozenset[Value] | None = None
    excluded: frozenset[Value] = frozenset()
    low: float = float("-inf")
    low_open: bool = True
    high: float = float("inf")
    high_open: bool = True

    @property
    def is_empty(self) -> bool:
        if self.allowed is not None:
            return not any(self._contains(value) for value in self.allowed)
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    def _contains(self, value: Value) -> bool:
        """Whether a value is in the range and not excluded; ``allowed`` is left to the caller."""
        if value in self.excluded:
            return False
        if isinstance(value, str | bool):
            return self.low == float("-inf") and self.high == float("inf")
        above = value > self.low or (value == self.low and not self.low_open)
        return above and (value < self.high or (value == self.high and not self.high_open))

    def is_subset_of(self, other: "Interval") -> bool:
        if self.allowed is not None:
            mine = [value for value in self.allowed if self._contains(value)]
            return all((other.allowed is None or value in other.allowed) and other._contains(value) for value in mine)
        if other.allowed is not None:
            return False
        low = self.low > other.low or (self.low == other.low and (self.low_open or not other.low_open))
        high = self.high < other.high or (self.high == other.high and (self.high_open or not other.high_open))
        low = low or other.low == float("-inf")
        high = high or other.high == float("inf")
        return low and high and all(value in self.excluded or not self._contains(value) for value in other.excluded)

    def intersection(self, other: "Interval") -> "Interval":
        allowed = self.allowed if other.allowed is None else other.allowed
        if self.allowed is not None and other.allowed is not None:
            allowed = self.allowed & other.allowed
        low, low_open = max((self.low, self.low_open), (other.low, other.low_open))
        high, high_closed = min((self.high, not self.high_open), (other.high, not other.high_open))
        return Interval(allowed, self.excluded | other.excluded, low, low_open, high, not high_closed)


@dataclass(frozen=True)
class Conjunction:
    """A clause as an interval for each field, and the literals that are no interval (``opaque``), compared as text."""

    intervals: Mapping[str, Interval] = field(default_factory=dict[str, Interval])
    opaque: frozenset[Literal] = frozenset()

    @property
    def is_contradictory(self) -> bool:
        complements = {Literal(literal.node, not literal.negated) for literal in self.opaque}
        return bool(complements & self.opaque) or any(interval.is_empty for interval in self.intervals.values())

    def implies(self, other: "Conjunction") -> bool:
        """Whether the other is true whenever this is. False if an alert may lack a field that the other needs."""
        return other.opaque <= self.opaque and all(
            path in self.intervals and self.intervals[path].is_subset_of(interval)
            for path, interval in other.intervals.items()
        )

    def split(self) -> Iterator["Conjunction"]:
        """One conjunction for each value of the field with the fewest: different rules may cover them."""
        enumerated = [
            (len(interval.allowed), path)
            for path, interval in self.intervals.items()
            if interval.allowed and len(interval.allowed) > 1
        ]
        if not enumerated or min(enumerated)[0] > MAX_CLAUSES:
            yield self
            return
        path = min(enumerated)[1]
        interval = self.intervals[path]
        for value in sorted(interval.allowed or (), key=str):
            yield replace(self, intervals={**self.intervals, path: replace(interval, allowed=frozenset({value}))})


def conjunction(clause: Iterable[Literal]) -> Conjunction:
    """A clause with the literals of each field merged into one interval."""
    intervals: dict[str, Interval] = {}
    opaque: set[Literal] = set()
    for literal in clause:
        read = _interval(literal)
        if read is None:
            opaque.add(_normal_form(literal))
            continue
        path, interval = read
        intervals[path] = intervals[path].intersection(interval) if path in intervals else interval
    return Conjunction(intervals, frozenset(opaque))


def _interval(literal: Literal) -> tuple[str, Interval] | None:
    match literal.node:
        case Call(function=sign, args=(left, right)) if sign in _SWAPPED:
            if not path_of(left):
                left, right, sign = right, left, _SWAPPED[sign]
            value = _constant(right)
            path = path_of(left)
            if not path or value is None:
                return None
            return _comparison(path, OPPOSITE[sign] if literal.negated else sign, value)
        case Call(function="@in", args=(element, ListExpr(items=items))):
            values = [_constant(item) for item in items]
            path = path_of(element)
            if not path or None in values:
                return None
            known = frozenset(value for value in values if value is not None)
            return path, Interval(excluded=known) if literal.negated else Interval(allowed=known)
        case node:
            path = path_of(node)
            return (path, Interval(allowed=frozenset({not literal.negated}))) if "." in path else None


def _comparison(path: str, sign: str, value: Value) -> tuple[str, Interval] | None:
    if sign == "_==_":
        return path, Interval(allowed=frozenset({value}))
    if sign == "_!=_":
        if isinstance(value, bool):
            return path, Interval(allowed=frozenset({not value}))
        return path, Interval(excluded=frozenset({value}))
    if not isinstance(value, float):
        return None
    match sign:
        case "_<_":
            return path, Interval(high=value)
        case "_<=_":
            return path, Interval(high=value, high_open=False)
        case "_>_":
            return path, Interval(low=value)
        case _:
            return path, Interval(low=value, low_open=False)


def _constant(node: Node) -> Value | None:
    match node:
        case Constant(value=bool() | str() as value):
            return value
        case Constant(value=int() | float() as number):
            return float(number)
        case Call(function="-_", args=(Constant(value=int() | float() as number),)):
            return -float(number)
        case _:
            return None


def _normal_form(literal: Literal) -> Literal:
    """One spelling of a comparison of two fields: ``a > b`` for ``b < a``, and an opposite sign for a negation."""
    match literal.node:
        case Call(function=sign, args=(left, right)) as node if sign in OPPOSITE:
            if literal.negated:
                sign = OPPOSITE[sign]
            if sign in {"_<_", "_<=_"} or (sign in {"_==_", "_!=_"} and path_of(right) < path_of(left)):
                left, right, sign = right, left, _SWAPPED[sign]
            return Literal(replace(node, function=sign, args=(left, right)))
        case _:
            return literal


def find_guard(clauses: tuple[Clause, ...] | None, fields: Iterable[str]) -> tuple[str, frozenset[Value]] | None:
    """The first of the fields that every clause restricts to constants, with all these constants.

    If an alert's field has none of these values, the condition is false and need not be evaluated.
    """
    if not clauses:
        return None
    conjunctions = [conjunction(clause) for clause in clauses]
    for path in fields:
        allowed = [one.intervals[path].allowed if path in one.intervals else None for one in conjunctions]
        if all(values is not None for values in allowed):
            return path, frozenset(value for values in allowed for value in values or ())
    return None
