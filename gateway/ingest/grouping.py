"""Which incident an alert belongs to, by the policy in force and the descriptions in memory."""

from collections.abc import Callable
from typing import Protocol

from alerts import Alert, described, incident_id
from gateway.ingest.first_decision import Descriptions
from policy import Policy


class Grouping(Protocol):
    """Gives an alert's incident, unless its problem is in an open one already."""

    @property
    def groups(self) -> bool:
        """Whether alerts of several monitors may share an incident."""
        ...

    @property
    def reopens(self) -> bool:
        """Whether an incident that closed a moment ago may be opened again."""
        ...

    def incident_of(self, alert: Alert) -> str:
        """The id of its incident. Never raises."""
        ...


class Ungrouped:
    """Every problem has an incident of its own."""

    groups = reopens = False

    def incident_of(self, alert: Alert) -> str:
        return incident_id(alert)


class PolicyGrouping:
    """Groups by the policy's ``noise``."""

    def __init__(self, policy: Callable[[], Policy], descriptions: Descriptions) -> None:
        """
        Args:
            policy: returns the policy in force.
            descriptions: of monitors, in memory.
        """
        self._policy, self._descriptions = policy, descriptions

    @property
    def groups(self) -> bool:
        return bool(self._policy().noise.group_by)

    @property
    def reopens(self) -> bool:
        return self._policy().file.noise is not None

    def incident_of(self, alert: Alert) -> str:
        policy = self._policy()
        if not policy.noise.group_by or alert.drill or alert.quarantined:
            return incident_id(alert)
        known = self._descriptions.get(alert.monitor_id) if alert.monitor_id else None
        return policy.incident_of(policy.interpret(described(alert, known) if known else alert))
