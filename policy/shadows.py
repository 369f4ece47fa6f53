"""Rules that can never decide: because they contradict themselves, or because earlier rules leave them nothing."""

from collections.abc import Iterator, Sequence

from policy.clauses import Meaning, Value, meaning
from policy.conditions import GUARDS, Condition


class _Earlier:
    """The rules before, found by a constant that one of their fields is tied to: few can be in question."""

    def __init__(self) -> None:
        self._tied: dict[tuple[str, Value], list[tuple[str, Meaning]]] = {}
        self._free: list[tuple[str, Meaning]] = []

    def add(self, name: str, one: Meaning) -> None:
        tied = [path for path, region in one.regions.items() if region.allowed]
        if not tied:
            self._free.append((name, one))
            return
        path = min(tied, key=lambda path: GUARDS.index(path) if path in GUARDS else len(GUARDS))
        for value in one.regions[path].allowed or ():
            self._tied.setdefault((path, value), []).append((name, one))

    def taker(self, part: Meaning) -> str:
        """The first rule that leaves nothing of this part, or nothing."""
        for path, region in part.regions.items():
            if region.allowed:
                # A rule that takes all of them takes the first.
                found = self._find(part, self._tied.get((path, next(iter(region.allowed))), ()))
                if found:
                    return found
        return self._find(part, self._free)

    @staticmethod
    def _find(part: Meaning, among: Sequence[tuple[str, Meaning]]) -> str:
        return next((name for name, other in among if part.implies(other)), "")


def unreachable(rules: Sequence[tuple[str, Condition]]) -> Iterator[tuple[int, str]]:
    """By the rule's index, why it never decides. Says nothing where it is not certain."""
    earlier = _Earlier()
    for index, (name, condition) in enumerate(rules):
        if condition.alternatives is None:
            continue
        possible = [one for one in map(meaning, condition.alternatives) if not one.impossible]
        if not possible:
            yield index, "can never match: it contradicts itself"
            continue
        takers = [earlier.taker(part) for one in possible for part in one.apart()]
        if all(takers):
            names = list(dict.fromkeys(takers))
            yield index, f"can never decide: {_named(names)} always match{'es' if len(names) == 1 else ''} first"
            continue
        for one in possible:
            earlier.add(name, one)


def _named(names: list[str]) -> str:
    if len(names) == 1:
        return f"rule {names[0]}"
    return f"rules {', '.join(names[:-1])} and {names[-1]}"
