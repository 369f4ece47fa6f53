"""Rules that can never decide: they contradict themselves, or earlier rules match every alert that they match."""

from collections.abc import Iterator, Sequence

from policy.cel.conditions import GUARDS, Condition
from policy.cel.dnf import Conjunction, Value, conjunction


class _EarlierRules:
    """The conjunctions of earlier rules, indexed by a constant of one of their fields, so that few are compared."""

    def __init__(self) -> None:
        self._by_constant: dict[tuple[str, Value], list[tuple[str, Conjunction]]] = {}
        self._others: list[tuple[str, Conjunction]] = []

    def add(self, rule: str, added: Conjunction) -> None:
        restricted = [path for path, interval in added.intervals.items() if interval.allowed]
        if not restricted:
            self._others.append((rule, added))
            return
        path = min(restricted, key=lambda path: GUARDS.index(path) if path in GUARDS else len(GUARDS))
        for value in added.intervals[path].allowed or ():
            self._by_constant.setdefault((path, value), []).append((rule, added))

    def covering(self, part: Conjunction) -> str:
        """The first rule that matches whenever this conjunction is true; empty if there is none."""
        for path, interval in part.intervals.items():
            if interval.allowed:
                # A conjunction that covers all allowed values is indexed under each of them.
                candidates = self._by_constant.get((path, next(iter(interval.allowed))), ())
                if found := self._first_implied(part, candidates):
                    return found
        return self._first_implied(part, self._others)

    @staticmethod
    def _first_implied(part: Conjunction, candidates: Sequence[tuple[str, Conjunction]]) -> str:
        return next((rule for rule, other in candidates if part.implies(other)), "")


def unreachable(rules: Sequence[tuple[str, Condition]]) -> Iterator[tuple[int, str]]:
    """The indexes of rules that can never decide, with the reason. Only certain cases are reported."""
    earlier = _EarlierRules()
    for index, (name, condition) in enumerate(rules):
        if condition.clauses is None:
            continue
        possible = [one for one in map(conjunction, condition.clauses) if not one.is_contradictory]
        if not possible:
            yield index, "can never match: it contradicts itself"
            continue
        covering = [earlier.covering(part) for one in possible for part in one.split()]
        if all(covering):
            names = list(dict.fromkeys(covering))
            yield index, f"can never decide: {_listed(names)} always match{'es' if len(names) == 1 else ''} first"
            continue
        for one in possible:
            earlier.add(name, one)


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return f"rule {names[0]}"
    return f"rules {', '.join(names[:-1])} and {names[-1]}"
