"""Matchers of silences: a condition in CEL, or the values of fields."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from alerts import Alert
from policy.cel.conditions import Condition, ConditionError, Facts
from policy.cel.unparse import format_value
from policy.decision import IncidentFacts

if TYPE_CHECKING:
    from policy.decide import Policy

_NEW_INCIDENT = IncidentFacts()
MAX_CHARS = 4_000


def matcher_of_fields(fields: Mapping[str, str]) -> str:
    """The condition that each of these fields has its value: ``{"alert.model": "a"}`` as ``alert.model == "a"``."""
    return " && ".join(f"{path} == {format_value(value)}" for path, value in fields.items())


class Matchers:
    """The matchers of one policy, compiled once each."""

    def __init__(self, policy: "Policy") -> None:
        self._policy = policy
        self._compiled = lru_cache(maxsize=512)(self._compile)

    def check(self, matcher: str) -> None:
        """Raises ConditionError: the matcher is no condition, or matches every alert."""
        condition = Condition(matcher[:MAX_CHARS], self._policy.declarations)
        if not condition.alert_names and not any(path.startswith("model.") for path in condition.fields):
            from policy.cel.type_check import Issue

            raise ConditionError([Issue(0, "names no field of an alert: it would match all of them, or none")])

    def matches(self, matcher: str, alert: Alert, now: datetime) -> bool:
        """Whether a matcher is for an interpreted alert.

        One that names a field which the alert lacks is not, whatever it says of the field: ``alert.region != "eu"``
        must not silence everything that states no region. Neither is one that cannot be evaluated.
        """
        condition = self._compiled(matcher)
        if condition is None:
            return False
        facts = self._policy.facts(alert, now, _NEW_INCIDENT, whole=True)
        return all(_is_stated(facts, path) for path in condition.fields) and condition.holds(facts)

    def _compile(self, matcher: str) -> Condition | None:
        """None if it is not valid by this policy: it was written for another one."""
        try:
            return Condition(matcher, self._policy.declarations)
        except ConditionError:
            return None


def _is_stated(facts: Facts, path: str) -> bool:
    return path == "now" or facts.value(path) not in (None, "", {}, [])
