"""Plays events on an incident's state machine, minute by minute, and notes what it sends. No Temporal, no clock."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from alerts import Alert
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


@dataclass(frozen=True)
class Fire:
    """An alert that is triggered, and the decision about it."""

    decision: Decision = CRITICAL


@dataclass(frozen=True)
class Clear:
    """The monitor clears."""


def act(action: str, by: str = "alice", **more: Any) -> ResponderAction:
    """What a responder does through the API."""
    return ResponderAction.model_validate({"type": action, "by": by, "source": "api", **more})


Event = Fire | Clear | ResponderAction


@dataclass
class TimelinePlayer:
    """``sent`` holds a line for each notification: ``15 notify secondary``, by the minute, verb and destination."""

    failing: Collection[str] = ()
    """Destinations whose notifications fail."""
    permanent: bool = False
    """Whether a retry of those could never succeed."""
    sent: list[str] = field(default_factory=list[str])
    keys: list[str] = field(default_factory=list[str])
    """The dedup keys of pages, in order."""
    minute: float = 0.0

    def __post_init__(self) -> None:
        state = IncidentState(incident="incident-chatbot-1", first_run_id="01234567", opened_at=START)
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
        return self

    @property
    def _now(self) -> datetime:
        return START + timedelta(minutes=self.minute)

    def _apply(self, event: Event) -> None:
        alert = GroupedAlert(alert=Alert(monitor="error rate", metric="error_rate", value=0.31))
        match event:
            case Fire(decision):
                self.machine.add_alerts([alert], decision, self._now)
            case Clear():
                self.machine.clear(alert, self._now)
            case ResponderAction():
                self.machine.handle_action(event, self._now)

    def _run_until(self, minute: float) -> None:
        while (deadline := self.machine.next_deadline()) and deadline.at <= START + timedelta(minutes=minute):
            self.minute = (deadline.at - START) / timedelta(minutes=1)
            self.machine.run_due(self._now)
            self._send_pending()
        self.minute = minute

    def _send_pending(self) -> None:
        while self.state.pending:
            one = self.state.pending[0]
            if one.target.name in self.failing:
                self.sent.append(f"{self.minute:g} FAILED {one.target.name}")
                self.machine.mark_failed(one, "HTTP 503", self._now, permanent=self.permanent)
            else:
                self.sent.append(f"{self.minute:g} {one.verb} {one.target.name}")
                self.machine.mark_sent(one, self._receipt(one), audit_written=True)

    def _receipt(self, one: PendingNotification) -> Receipt:
        if one.verb == "notify" and one.target.kind == "page":
            self.keys.append(one.dedup_key)
        return Receipt(destination=one.target.name, type=one.target.type, id=one.dedup_key, at=self._now, key=one.key)
