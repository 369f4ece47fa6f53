"""Which incident an alert belongs to, by the policy in force and the descriptions in memory."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import structlog

from alerts import Alert, described, incident_id
from gateway.ingest.first_decision import Descriptions
from policy import Policy

T = TypeVar("T")
_log = structlog.get_logger()


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
        return self._asked(lambda policy: bool(policy.noise.group_by), otherwise=False)

    @property
    def reopens(self) -> bool:
        return self._asked(lambda policy: policy.file.noise is not None, otherwise=False)

    def incident_of(self, alert: Alert) -> str:
        return self._asked(lambda policy: self._incident_of(policy, alert), otherwise=incident_id(alert))

    def _asked(self, ask: Callable[[Policy], T], otherwise: T) -> T:
        """Whatever fails, the alert has an incident: one of its own."""
        try:
            return ask(self._policy())
        except Exception as error:  # noqa: BLE001
            _log.error("grouping_failed", error=f"{type(error).__name__}: {error}")
            return otherwise

    def _incident_of(self, policy: Policy, alert: Alert) -> str:
        if not policy.noise.group_by or alert.drill or alert.quarantined:
            return incident_id(alert)
        known = self._descriptions.get(alert.monitor_id) if alert.monitor_id else None
        return policy.incident_of(policy.interpret(described(alert, known) if known else alert))
