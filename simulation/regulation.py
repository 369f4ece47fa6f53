"""Whether a condition may hold for fewer alerts than another."""

from policy.cel.conditions import Condition
from policy.cel.dnf import conjunction


def narrower(old: Condition, new: Condition) -> bool:
    """Whether an alert may exist for which only the old condition holds. In doubt, yes."""
    if old.source == new.source:
        return False
    if old.clauses is None or new.clauses is None:
        return True
    wide = [conjunction(clause) for clause in new.clauses]
    return not all(any(conjunction(clause).implies(other) for other in wide) for clause in old.clauses)
