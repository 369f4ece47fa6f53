"""What a condition demands, as alternatives of demands on single fields.

From it follow: which later rules an earlier one leaves nothing for, which rules an alert's metric alone rules out,
and by how little a rule was missed.

A condition is true exactly where all demands of one alternative are true: CEL's ``&&`` and ``||`` let a known false,
or a known true, win over an error, in any order, and so distribute over each other.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product

from policy.syntax import Call, Items, Literal, Node, path_of

MOST = 64
"""So many alternatives are looked at; a condition with more of them is left alone."""

_SWAPPED = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_", "_==_": "_==_", "_!=_": "_!=_"}
OPPOSITE = {"_<_": "_>=_", "_<=_": "_>_", "_>_": "_<=_", "_>=_": "_<_", "_==_": "_!=_", "_!=_": "_==_"}

Value = str | float | bool


@dataclass(frozen=True)
class Demand:
    """One part that must be true, or false where ``denied``."""

    node: Node
    denied: bool = False


Alternative = tuple[Demand, ...]


def alternatives(node: Node) -> tuple[Alternative, ...] | None:
    """The condition as a choice of alternatives; none where it is never true. None where there are too many."""
    try:
        return tuple(_choices(node, denied=False))
    except _TooManyError:
        return None


class _TooManyError(Exception):
    pass


def _choices(node: Node, *, denied: bool) -> list[Alternative]:
    match node:
        case Call(function="!_", args=(inner,)):
            return _choices(inner, denied=not denied)
        case Call(function="_&&_" | "_||_" as sign, args=(left, right)):
            one, other = _choices(left, denied=denied), _choices(right, denied=denied)
            both = (sign == "_&&_") != denied
            found = [(*a, *b) for a, b in product(one, other)] if both else [*one, *other]
            if len(found) > MOST:
                raise _TooManyError
            return found
        case Literal(value=bool(value)):
            return [()] if value != denied else []
        case _:
            return [(Demand(node, denied),)]


@dataclass(frozen=True)
class Region:
    """What is known of one field where an alternative is true."""

    allowed: frozenset[Value] | None = None
    refused: frozenset[Value] = frozenset()
    low: float = float("-inf")
    low_open: bool = True
    high: float = float("inf")
    high_open: bool = True

    @property
    def empty(self) -> bool:
        if self.allowed is not None:
            return not any(self._holds(value) for value in self.allowed)
        return self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))

    def _holds(self, value: Value) -> bool:
        if value in self.refused:
            return False
        if isinstance(value, str | bool):
            return self.low == float("-inf") and self.high == float("inf")
        above = value > self.low or (value == self.low and not self.low_open)
        return above and (value < self.high or (value == self.high and not self.high_open))

    def within(self, other: "Region") -> bool:
        """Whether every value that is possible here is possible there."""
        if self.allowed is not None:
            mine = [value for value in self.allowed if self._holds(value)]
            return all((other.allowed is None or value in other.allowed) and other._holds(value) for value in mine)
        if other.allowed is not None:
            return False
        low = self.low > other.low or (self.low == other.low and (self.low_open or not other.low_open))
        high = self.high < other.high or (self.high == other.high and (self.high_open or not other.high_open))
        unbounded = float("-inf"), float("inf")
        low = low or other.low == unbounded[0]
        high = high or other.high == unbounded[1]
        return low and high and all(value in self.refused or not self._holds(value) for value in other.refused)

    def and_(self, other: "Region") -> "Region":
        allowed = self.allowed if other.allowed is None else other.allowed
        if self.allowed is not None and other.allowed is not None:
            allowed = self.allowed & other.allowed
        low, low_open = max((self.low, self.low_open), (other.low, other.low_open))
        high, not_open = min((self.high, not self.high_open), (other.high, not other.high_open))
        return Region(allowed, self.refused | other.refused, low, low_open, high, not not_open)


@dataclass(frozen=True)
class Meaning:
    """An alternative, understood: a region for each field, and what cannot be read as one, word for word."""

    regions: Mapping[str, Region] = field(default_factory=dict[str, Region])
    others: frozenset[Demand] = frozenset()

    @property
    def impossible(self) -> bool:
        denials = {Demand(one.node, not one.denied) for one in self.others}
        return bool(denials & self.others) or any(region.empty for region in self.regions.values())

    def implies(self, other: "Meaning") -> bool:
        """Whether the other is true wherever this one is. No claim is made where this one may lack a field."""
        return other.others <= self.others and all(
            path in self.regions and self.regions[path].within(region) for path, region in other.regions.items()
        )

    def apart(self) -> Iterator["Meaning"]:
        """The same with one value for the field that has the fewest: each may be taken by another rule."""
        listed = [
            (len(one.allowed), path) for path, one in self.regions.items() if one.allowed and len(one.allowed) > 1
        ]
        if not listed or min(listed)[0] > MOST:
            yield self
            return
        path = min(listed)[1]
        region = self.regions[path]
        for value in sorted(region.allowed or (), key=str):
            yield replace(self, regions={**self.regions, path: replace(region, allowed=frozenset({value}))})


def meaning(alternative: Iterable[Demand]) -> Meaning:
    """Understand an alternative."""
    regions: dict[str, Region] = {}
    others: set[Demand] = set()
    for demand in alternative:
        read = _region(demand)
        if read is None:
            others.add(_plain(demand))
            continue
        path, region = read
        regions[path] = regions[path].and_(region) if path in regions else region
    return Meaning(regions, frozenset(others))


def _region(demand: Demand) -> tuple[str, Region] | None:
    match demand.node:
        case Call(function=sign, args=(left, right)) if sign in _SWAPPED:
            if not path_of(left):
                left, right, sign = right, left, _SWAPPED[sign]
            value = _constant(right)
            path = path_of(left)
            if not path or value is None:
                return None
            return _compared(path, OPPOSITE[sign] if demand.denied else sign, value)
        case Call(function="@in", args=(one, Items(items=items))):
            values = [_constant(item) for item in items]
            path = path_of(one)
            if not path or None in values:
                return None
            known = frozenset(value for value in values if value is not None)
            return path, Region(refused=known) if demand.denied else Region(allowed=known)
        case node:
            path = path_of(node)
            return (path, Region(allowed=frozenset({not demand.denied}))) if "." in path else None


def _compared(path: str, sign: str, value: Value) -> tuple[str, Region] | None:
    if sign == "_==_":
        return path, Region(allowed=frozenset({value}))
    if sign == "_!=_":
        # Of two truths the other one; of anything else, all others.
        return path, Region(allowed=frozenset({not value})) if isinstance(value, bool) else Region(
            refused=frozenset({value})
        )
    if not isinstance(value, float):
        return None
    match sign:
        case "_<_":
            return path, Region(high=value)
        case "_<=_":
            return path, Region(high=value, high_open=False)
        case "_>_":
            return path, Region(low=value)
        case _:
            return path, Region(low=value, low_open=False)


def _constant(node: Node) -> Value | None:
    match node:
        case Literal(value=bool() | str() as value):
            return value
        case Literal(value=int() | float() as number):
            return float(number)
        case Call(function="-_", args=(Literal(value=int() | float() as number),)):
            return -float(number)
        case _:
            return None


def _plain(demand: Demand) -> Demand:
    """One spelling for what compares two fields: ``a > b`` for ``b < a``, and no denial where a sign can say it."""
    match demand.node:
        case Call(function=sign, args=(left, right)) as node if sign in OPPOSITE:
            if demand.denied:
                sign = OPPOSITE[sign]
            if sign in {"_<_", "_<=_"} or (sign in {"_==_", "_!=_"} and path_of(right) < path_of(left)):
                left, right, sign = right, left, _SWAPPED[sign]
            return Demand(replace(node, function=sign, args=(left, right)))
        case _:
            return demand


def guard(choices: tuple[Alternative, ...] | None, fields: Iterable[str]) -> tuple[str, frozenset[Value]] | None:
    """The first of the fields that every alternative ties to constants, with all of these.

    Where an alert's field has none of them, the condition is false, and need not be asked.
    """
    if not choices:
        return None
    meanings = [meaning(one) for one in choices]
    for path in fields:
        allowed = [one.regions[path].allowed if path in one.regions else None for one in meanings]
        if all(values is not None for values in allowed):
            return path, frozenset(value for values in allowed for value in values or ())
    return None
