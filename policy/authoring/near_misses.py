"""Rules that nearly matched an alert: exactly one part of their condition is unmet."""

from dataclasses import dataclass
from datetime import datetime

from alerts import Alert
from policy.cel.unmet import only_unmet
from policy.decide import Policy
from policy.decision import IncidentFacts, Tier


@dataclass(frozen=True)
class NearMiss:
    """A rule that would have matched but for one part of its condition."""

    rule: str
    tier: Tier
    needs: str
    has: str
    distance: float
    """Between a number and the limit that it missed, as a share of the limit; 1 if it cannot be computed."""

    def __str__(self) -> str:
        return f"{self.rule} needs {self.needs}, this alert has {self.has}"


def near_misses(
    policy: Policy, alert: Alert, now: datetime, incident: IncidentFacts | None = None, most: int = 5
) -> list[NearMiss]:
    """The near misses among the rules before the one that decided, the closest first.

    A rule that decided in doubt nearly matched, too, and is left out.
    """
    facts = policy.facts(alert, now, incident)
    decided_by = policy.decide(alert, now, incident).rule
    found: list[NearMiss] = []
    for rule in policy.rules:
        condition = rule.condition
        if condition is None or condition.holds(facts):
            break
        unmet = only_unmet(condition, facts)
        if unmet and rule.name != decided_by:
            found.append(NearMiss(rule.name, rule.decision.tier, unmet.needs, unmet.has, unmet.distance))
    return sorted(found, key=lambda miss: miss.distance)[:most]
