"""The state of an incident: one serialisable object, carried whole when the workflow continues as new."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from alerts import Alert
from incident.audit_events import AuditEvent
from incident.dedup_key import incident_dedup_key
from incident.receipt import Receipt, Verb
from policy import Decision, Target, Tier

TIMELINE_LENGTH = 200
"""Only the latest entries are kept for reading; the audit log keeps all."""

State = Literal["received", "holding", "notified", "acknowledged", "awaiting_human", "resolved", "closed"]
DeadlineKind = Literal["hold", "step", "ack_timeout", "remind", "retry", "silence"]


class PendingNotification(BaseModel):
    """A notification to send. It stays pending until its receipt arrives or it no longer matters."""

    model_config = ConfigDict(frozen=True)

    key: str
    dedup_key: str
    verb: Verb
    target: Target
    note: str = ""
    digest: bool = False
    original_receipt: Receipt | None = None
    """The receipt of the message that this one updates."""
    fallback_for: str = ""
    """The destination that could not be reached, when this notification replaces it."""
    retry_after_giveup: bool = False
    """All earlier attempts were given up; one may have reached the vendor all the same."""


class Deadline(BaseModel):
    """Something to do at a time, unless what it waits for happens first."""

    model_config = ConfigDict(frozen=True)

    at: datetime
    kind: DeadlineKind
    step: int = 0
    notification: PendingNotification | None = None


class TimelineEntry(BaseModel):
    """One line of an incident's timeline."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at: datetime
    event: str
    by: str
    text: str


class IncidentState(BaseModel):
    """Mutable. Changed only by ``IncidentStateMachine`` and its parts."""

    incident: str
    first_run_id: str
    opened_at: datetime
    state: State = "received"
    tier: Tier | None = None
    decision: Decision | None = None
    held_decision: Decision | None = None
    """A decision that takes effect when its hold expires."""
    alert: Alert | None = None
    """The alert that the decision is about; ``latest_alert`` is the last one that arrived."""
    latest_alert: Alert | None = None
    alert_count: int = 0
    cleared: bool = False
    acknowledged_by: str = ""
    acknowledged_source: str = ""
    acknowledged_at: datetime | None = None
    resolved_by: str = ""
    closed_at: datetime | None = None
    cycle: int = 0
    """How often the escalation started: once, and again for each rise of the tier."""
    level: int = 0
    """The escalation step last taken, from 1; 0 before the first."""
    reminders: int = 0
    deadlines: list[Deadline] = []
    pending: list[PendingNotification] = []
    receipts: list[Receipt] = []
    notified_targets: dict[str, Target] = {}
    """Destinations, by name, that hold a message which can be updated."""
    timeline: list[TimelineEntry] = []
    unwritten_events: list[AuditEvent] = []
    """Audit events that are not known to be in the audit log yet."""
    event_number: int = 0
    processed_event_ids: list[str] = []

    @property
    def dedup_key(self) -> str:
        """The incident's key at every vendor."""
        return incident_dedup_key(self.incident, self.first_run_id)

    @property
    def is_over(self) -> bool:
        return self.state in {"resolved", "closed"}

    def record(self, now: datetime, event: str, text: str, by: str = "tocsin", **data: object) -> None:
        """Add an event to the timeline and to the audit log."""
        self.event_number += 1
        key, by = str(self.event_number), by or "unknown"
        self.append_event(AuditEvent(key=key, at=now, event=event, by=by, text=text[:2000], data=dict(data)))

    def append_event(self, event: AuditEvent, *, written: bool = False) -> None:
        """Add an existing event; ``written`` when the audit log holds it already."""
        entry = TimelineEntry(at=event.at, event=event.event, by=event.by, text=event.text[:500])
        self.timeline = [*self.timeline, entry][-TIMELINE_LENGTH:]
        if not written:
            self.unwritten_events.append(event)

    def schedule(self, now: datetime, seconds: float, kind: DeadlineKind, step: int = 0) -> None:
        """Set a deadline that many seconds from now."""
        self.deadlines.append(Deadline(at=now + timedelta(seconds=seconds), kind=kind, step=step))

    def keep_only_ticket_retries(self) -> None:
        """Drop every deadline but the retries of tickets: a person's answer does not make a ticket unnecessary."""
        self.deadlines = [
            one for one in self.deadlines if one.notification and one.notification.target.kind == "ticket"
        ]
