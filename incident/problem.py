"""One monitor's condition inside an incident."""

from datetime import datetime

from pydantic import BaseModel, Field

from alerts import Alert, Status
from incident.order import EventTimes
from incident.suppression import Suppression
from policy import Decision, Tier
from policy.decision import MaintenanceSpan

MAX_PROBLEMS = 1_000
"""Problems that an incident keeps. Of more, the ones that cleared longest ago are forgotten."""
MAX_PROBLEM_ALERTS = 100
"""Problems whose alert is kept: of 32 KiB at most, and of far less as Arize sends them."""


class Problem(BaseModel):
    """Mutable, a part of the incident's state. Times are Temporal's, unless they are in ``times``."""

    monitor: str
    monitor_id: str = ""
    identity: tuple[str, ...] = ()
    """The parts of its fingerprint, if they are known."""
    status: Status = "triggered"
    tier: Tier | None = None
    """The loudest of which people were notified since it began, or fired again; None while it is only held."""
    rule: str = ""
    reason: str = ""
    decision: str = ""
    """The key, in ``IncidentState.decisions``, of the decision that gave it its tier."""
    alert: Alert | None = None
    """The alert that its decision is about."""
    alert_count: int = 0
    first_alert_at: datetime
    last_alert_at: datetime
    fired_at: datetime
    """When it began, rose, or last fired again."""
    times: EventTimes = Field(default_factory=EventTimes)
    """When it was triggered and cleared, by the sender's clock, and when its alerts arrived."""
    maintenance: tuple[MaintenanceSpan, ...] = Field(default=(), exclude_if=lambda value: not value)
    """The windows for its last alert that had not ended then."""
    suppression: Suppression | None = Field(default=None, exclude_if=lambda value: value is None)
    """What suppressed it when that was last checked: a silence, another incident, a page budget."""
    changes: list[datetime] = Field(default_factory=list[datetime], exclude_if=lambda value: not value)
    """When it was triggered after it had cleared, and cleared: as long ago as counts for flapping."""
    flapping_since: datetime | None = Field(default=None, exclude_if=lambda value: value is None)
    dismissed: bool = Field(default=False, exclude_if=lambda value: not value)
    """A person resolved the incident while it was triggered."""

    def note_decision(self, decision: Decision, key: str) -> None:
        """The policy's decision about it. ``key`` is that in ``IncidentState.decisions``."""
        self.rule, self.reason, self.decision = decision.rule, decision.reason, key

    def take_effect(self, decision: Decision, key: str) -> None:
        """People are notified of it by this decision."""
        self.note_decision(decision, key)
        self.tier = decision.tier

    @property
    def is_open(self) -> bool:
        """Whether the incident stays open for it: one without data may still be triggered, and what flaps again be."""
        return (self.status != "cleared" or self.flapping_since is not None) and not self.dismissed
