"""The incident as a pure state machine, without Temporal: what each event changes, and which notifications follow.

``received → (holding) → notified → acknowledged → resolved → closed``, with ``awaiting_human`` when only a person may
close. The workflow feeds events to the state machine and dispatches the notifications it queues.
"""

from collections.abc import Sequence
from datetime import datetime

from alerts import Alert
from incident.actions import PROCESSED_EVENT_IDS, ActionHandler
from incident.escalation import Escalation
from incident.events import GroupedAlert, ResponderAction
from incident.message_builder import format_amount
from incident.outbox import Outbox
from incident.receipt import Receipt
from incident.state import Deadline, IncidentState, PendingNotification
from incident.text import counted
from policy import Decision, IncidentFacts

_REPEATS_NOTED = (2, 5)
"""Repeats are noted in threads at the 2nd and 5th alert, the 20th and 50th, and so on."""


class IncidentStateMachine:
    """Changes an IncidentState. Every method takes the time; none reads a clock or has a side effect."""

    def __init__(self, state: IncidentState) -> None:
        self.state = state
        self._outbox = Outbox(state)
        self._escalation = Escalation(state, self._outbox)
        self._actions = ActionHandler(state, self._outbox, self._escalation)

    # ── Alerts ──────────────────────────────────────────────────────────────────────────────────────────

    def deduplicate(self, alert: GroupedAlert) -> GroupedAlert | None:
        """The part of a grouped alert that is not a redelivery; None when all of it is."""
        state = self.state
        known = set(state.processed_event_ids)
        ids = tuple(dict.fromkeys(event_id for event_id in alert.event_ids if event_id))
        new = tuple(event_id for event_id in ids if event_id not in known)
        state.processed_event_ids = (state.processed_event_ids + list(new))[-PROCESSED_EVENT_IDS:]
        redelivered = len(ids) - len(new)
        if ids and not new and alert.count <= redelivered:
            return None
        return alert.model_copy(update={"count": max(alert.count - redelivered, 1), "event_ids": new})

    def facts(self, alerts: Sequence[GroupedAlert], now: datetime) -> IncidentFacts:
        """What a condition may ask of this incident, the given alerts included."""
        state = self.state
        return IncidentFacts(
            alerts=state.alert_count + sum(one.count for one in alerts),
            age=(now - state.opened_at).total_seconds() if state.decision else 0.0,
            tier=state.tier or "",
        )

    def add_alerts(self, alerts: Sequence[GroupedAlert], decision: Decision, now: datetime) -> None:
        """Add alerts that are triggered, and the loudest decision about them."""
        state = self.state
        if state.is_over:
            # Triggered again while its last updates were being sent: a new problem, not an echo.
            state.record(now, "reopened", "triggered again before it was closed")
            state.state, state.decision, state.tier, state.alert = "received", None, None, None
            state.resolved_by, state.cleared = "", False
        self._record_alerts(alerts, now)
        if state.cleared:
            state.cleared = False
            if state.state == "awaiting_human":
                state.state = "acknowledged" if state.acknowledged_at else "notified"
            state.record(now, "refired", "triggered again after it had cleared")
        if state.decision is None:
            self._escalation.apply_first_decision(decision, now)
        else:
            self._escalation.apply_later_decision(decision, now)

    def _record_alerts(self, alerts: Sequence[GroupedAlert], now: datetime) -> None:
        state = self.state
        latest, count = alerts[-1].alert, sum(one.count for one in alerts)
        state.alert_count += count
        state.latest_alert = latest
        if state.alert is None:
            state.alert = latest
            ids = [event_id for one in alerts for event_id in one.event_ids][:50]
            state.record(now, "received", latest.monitor, event_ids=ids, alert=_compact(latest))
            return
        value = "" if latest.value is None else f", now {format_amount(latest.metric, latest.value)}"
        text = f"{counted(count, 'more alert')}{value}"
        state.record(now, "alert_added", text, alert=_compact(latest))
        if _repeats_noted(state.alert_count) > _repeats_noted(state.alert_count - count):
            text = f"Triggered again: {counted(state.alert_count, 'alert')} so far{value}."
            self._outbox.broadcast("note", text, kinds=frozenset({"post"}))

    def clear(self, alert: GroupedAlert, now: datetime) -> None:
        """The monitor cleared."""
        state = self.state
        state.latest_alert = alert.alert
        if state.is_over or state.decision is None:
            return
        value = "" if alert.alert.value is None else f" at {format_amount(alert.alert.metric, alert.alert.value)}"
        state.cleared = True
        if state.decision.regulated:
            action = ResponderAction(type="resolve", by="", source="arize")
            self._actions.closure_denied(f"cleared{value}", action, now)
            return
        state.record(now, "cleared", f"the monitor cleared{value}", by="arize")
        self._actions.resolve("arize", "The monitor cleared.")

    def no_data(self, alert: GroupedAlert, now: datetime) -> None:
        """The monitor has no data: recorded, and no reason to resolve anything."""
        self.state.latest_alert = alert.alert
        self.state.record(now, "no_data", "the monitor has no data", by="arize")

    # ── Responders ──────────────────────────────────────────────────────────────────────────────────────

    def handle_action(self, action: ResponderAction, now: datetime) -> None:
        """Apply what a responder did."""
        self._actions.handle(action, now)

    # ── Notifications ───────────────────────────────────────────────────────────────────────────────────

    def mark_sent(self, notification: PendingNotification, receipt: Receipt, *, audit_written: bool) -> None:
        """A destination accepted a notification. ``audit_written``: the audit log holds its event already."""
        self._outbox.mark_sent(notification, receipt, audit_written=audit_written)

    def mark_failed(self, notification: PendingNotification, reason: str, now: datetime, *, permanent: bool) -> None:
        """All attempts at a notification failed."""
        self._outbox.mark_failed(notification, reason, now, permanent=permanent)

    # ── Time ────────────────────────────────────────────────────────────────────────────────────────────

    def next_deadline(self) -> Deadline | None:
        return min(self.state.deadlines, key=lambda one: one.at, default=None)

    def run_due(self, now: datetime) -> None:
        """Run every deadline that is due, in order."""
        state = self.state
        for deadline in sorted(state.deadlines, key=lambda one: one.at):
            if deadline.at > now or deadline not in state.deadlines or state.is_over:
                continue
            state.deadlines.remove(deadline)
            self._escalation.run(deadline, now)

    def close(self, now: datetime) -> None:
        """Everything is sent and recorded."""
        self.state.state, self.state.closed_at = "closed", now


def _repeats_noted(alerts: int) -> int:
    """How many of the marks 2, 5, 20, 50, 200, 500 … a number of alerts has passed."""
    marks, scale = 0, 1
    while alerts >= 2 * scale:
        marks += sum(alerts >= mark * scale for mark in _REPEATS_NOTED)
        scale *= 10
    return marks


def _compact(alert: Alert) -> dict[str, object]:
    """The alert as the audit log keeps it: enough to decide about it again."""
    return alert.model_dump(mode="json", exclude={"raw"}, exclude_defaults=True)
