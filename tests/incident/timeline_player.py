"""Plays events on an incident's state machine, minute by minute, and notes what it sends. No Temporal, no clock."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from alerts import Alert, Status
from incident.audit_events import AuditEvent
from incident.events import GroupedAlert, ResponderAction
from incident.receipt import Receipt
from incident.state import IncidentState, PendingNotification
from incident.state_machine import IncidentStateMachine
from policy import Decision, OnAckTimeout, Step, Target

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
MINUTE = 60.0

PRIMARY = Target(name="primary", type="pagerduty", kind="page")
SECONDARY = Target(name="secondary", type="pagerduty", kind="page")
OPS = Target(name="ops", type="slack", kind="post")
JIRA = Target(name="jira", type="jira", kind="ticket")

CRITICAL = Decision(
    rule="errors",
    reason="0.31 > 0.05",
    tier="critical",
    steps=(Step(notify=(PRIMARY,)), Step(after=15 * MINUTE, notify=(SECONDARY,))),
    fallback=(OPS,),
    remind=240 * MINUTE,
)
HIGH = Decision(
    rule="quality",
    reason="0.7 < 0.8",
    tier="high",
    steps=(Step(notify=(OPS,)),),
    respond_within=60 * MINUTE,
    on_ack_timeout=OnAckTimeout(tier="critical", steps=CRITICAL.steps, fallback=CRITICAL.fallback),
)
LOW = Decision(rule="otherwise", reason="no rule matched", tier="low", digest=(OPS,))
REGULATED = HIGH.model_copy(update={"regulated": True, "closed_by": "compliance", "tickets": (JIRA,)})

PROBLEM = "problem-1"
UNDESCRIBED = Alert(monitor="m-1", monitor_id="m-1")
"""A delivery that names only the monitor's id."""


@dataclass(frozen=True)
class Fire:
    """An alert that is triggered, and the decision about it. ``undescribed``: Arize did not describe it in time."""

    decision: Decision = CRITICAL
    undescribed: bool = False
    at: float | None = None
    """The minute at which it happened, by the sender's clock; None if the sender does not say."""
    value: float = 0.31
    received: float | None = None
    """The minute at which a gateway received it; None if it does not say."""
    status: Status = "triggered"
    local: bool = False
    """Whether the time is without a time zone."""
    repeated: bool = False
    """Whether the gateway had it before."""
    problem: str = PROBLEM


@dataclass(frozen=True)
class Describe:
    """Arize describes the alert that it did not describe in time, and the decision is made again."""

    decision: Decision
    status: Status = "triggered"


@dataclass(frozen=True)
class Clear:
    """The monitor clears."""

    at: float | None = None
    """The minute at which it happened, by the sender's clock; None if the sender does not say."""
    local: bool = False
    """Whether the time is without a time zone."""
    problem: str = PROBLEM


def at_minute(minute: float | None) -> datetime | None:
    """The time of a minute; None for none."""
    return None if minute is None else START + timedelta(minutes=minute)


def act(action: str, by: str = "alice", **more: Any) -> ResponderAction:
    """What a responder does through the API."""
    return ResponderAction.model_validate({"type": action, "by": by, "source": "api", **more})


Event = Fire | Describe | Clear | ResponderAction


@dataclass
class TimelinePlayer:
    """``sent`` holds a line for each notification: ``15 notify secondary``, by the minute, verb and destination."""

    failing: Collection[str] = ()
    """Destinations whose notifications fail."""
    permanent: bool = False
    """Whether a retry of those could never succeed."""
    hanging: Collection[str] = ()
    """Destinations that answer nothing: their notifications stay pending."""
    sent: list[str] = field(default_factory=list[str])
    audited: list[AuditEvent] = field(default_factory=list[AuditEvent])
    """The audit log."""
    keys: list[str] = field(default_factory=list[str])
    """The dedup keys of pages, in order."""
    minute: float = 0.0
    tracks_problems: ClassVar[bool] = True
    """Whether the incident follows its problems; ``conftest`` also plays every test as earlier versions do."""

    def __post_init__(self) -> None:
        state = IncidentState(
            incident="incident-chatbot-1",
            first_run_id="01234567",
            opened_at=START,
            bounded=True,
            tracks_problems=self.tracks_problems,
        )
        self.machine = IncidentStateMachine(state)

    @property
    def state(self) -> IncidentState:
        return self.machine.state

    @property
    def events(self) -> list[str]:
        """The names of the timeline's events."""
        return [entry.event for entry in self.state.timeline]

    def play(self, events: Sequence[tuple[float, Event]], until: float) -> "TimelinePlayer":
        """Apply events at their minutes, and run every deadline, up to a minute."""
        for minute, event in events:
            self._run_until(minute)
            self._apply(event)
            self._send_pending()
        self._run_until(until)
        self._send_pending()
        return self

    @property
    def _now(self) -> datetime:
        return START + timedelta(minutes=self.minute)

    def _apply(self, event: Event) -> None:
        problem = getattr(event, "problem", PROBLEM)
        name, monitor = ("error rate", "m-1") if problem == PROBLEM else (problem, problem)
        known = Alert(monitor=name, monitor_id=monitor, metric="error_rate", value=0.31)
        match event:
            case Fire(decision, False):
                update = {"occurred_at": at_minute(event.at), "value": event.value, "status": event.status}
                alert = known.model_copy(update={**update, "local_time": event.local})
                received = at_minute(event.received)
                group = GroupedAlert(alert=alert, received_at=received, repeated=event.repeated, problem=event.problem)
                self.machine.add_alerts([group], decision, self._now)
            case Fire(decision):
                undescribed = UNDESCRIBED.model_copy(update={"undescribed": "Arize is down"})
                group = GroupedAlert(alert=undescribed, problem=event.problem)
                self.machine.add_alerts([group], decision, self._now)
                self.machine.note_undescribed([UNDESCRIBED], "Arize is down", self._now)
            case Describe(decision, status):
                asked, described = self.state.undescribed, known.model_copy(update={"status": status})
                self.machine.reconsider(asked, [described] * len(asked), decision, self._now)
            case Clear():
                alert = known.model_copy(update={"occurred_at": at_minute(event.at), "local_time": event.local})
                self.machine.clear(GroupedAlert(alert=alert, problem=event.problem), self._now)
            case ResponderAction():
                self.machine.handle_action(event, self._now)

    def _run_until(self, minute: float) -> None:
        while (deadline := self.machine.next_deadline()) and deadline.at <= START + timedelta(minutes=minute):
            self.minute = (deadline.at - START) / timedelta(minutes=1)
            self.machine.run_due(self._now)
            self._send_pending()
        self.minute = minute

    def _send_pending(self) -> None:
        while pending := [one for one in self.state.pending if one.target.name not in self.hanging]:
            one = pending[0]
            if one.target.name in self.failing:
                self.sent.append(f"{self.minute:g} FAILED {one.target.name}")
                self.machine.mark_failed(one, "HTTP 503", self._now, permanent=self.permanent)
            else:
                self.sent.append(f"{self.minute:g} {one.verb} {one.target.name}")
                self.machine.mark_sent(one, self._receipt(one), audit_written=True)
        self.audited += self.state.unwritten_events
        self.state.unwritten_events = []

    def _receipt(self, one: PendingNotification) -> Receipt:
        if one.verb == "notify" and one.target.kind == "page":
            self.keys.append(one.dedup_key)
        return Receipt(destination=one.target.name, type=one.target.type, id=one.dedup_key, at=self._now, key=one.key)
