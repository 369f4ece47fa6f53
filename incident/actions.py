"""Responder actions: what people do about an incident, in any place, and what follows.

An action in one place is shown in all the others. A vendor's echo of what Tocsin sent changes nothing: no person is
behind it, or the incident is in that state already.
"""

from datetime import datetime

from incident.escalation import Escalation
from incident.events import ROLES, ResponderAction
from incident.outbox import HAS_THREAD, Outbox
from incident.state import IncidentState
from policy import format_duration

PROCESSED_EVENT_IDS = 1000
"""How many ids of alerts and actions an incident remembers, to drop redeliveries."""


def may_close(action: ResponderAction, closed_by: str) -> bool:
    """A regulated incident is closed by a person with the role, through an authenticated path only."""
    return bool(action.by) and action.role in ROLES[ROLES.index(closed_by) :]


def closure_denied_text(role: str) -> str:
    """The error for a closure without the role."""
    return f"this model is regulated: only a person with the role {role} may close its incidents"


class ActionHandler:
    """Applies responder actions to the state."""

    def __init__(self, state: IncidentState, outbox: Outbox, escalation: Escalation) -> None:
        self._state = state
        self._outbox = outbox
        self._escalation = escalation

    def may_close(self, action: ResponderAction) -> bool:
        decision = self._state.decision
        return decision is None or not decision.regulated or may_close(action, decision.closed_by)

    def handle(self, action: ResponderAction, now: datetime) -> None:
        """Apply an action. One for another run of the incident, or a redelivery, is dropped."""
        state = self._state
        if action.first_run_id and not state.first_run_id.startswith(action.first_run_id):
            return
        if state.is_over and not (action.type == "reopen" and state.state == "resolved"):
            return
        if action.id:
            if action.id in state.processed_event_ids:
                return
            state.processed_event_ids = [*state.processed_event_ids, action.id][-PROCESSED_EVENT_IDS:]
        match action.type:
            case "acknowledge" | "silence":
                self._acknowledge(action, now)
            case "unacknowledge" | "reopen":
                self._withdraw_acknowledgement(action, now)
            case "annotate":
                self._record(action, "annotated", action.note, now)
                self._outbox.broadcast("note", f"{action.by}: {action.note}", source=action.source, kinds=HAS_THREAD)
            case "escalate" | "reassign":
                self._record_reassignment(action, now)
            case "resolve" | "false_alarm":
                self._close(action, now)

    def _record(self, action: ResponderAction, event: str, text: str, now: datetime) -> None:
        self._state.record(now, event, text, by=action.by, source=action.source, token=action.token)

    def _acknowledge(self, action: ResponderAction, now: datetime) -> None:
        state = self._state
        silence = action.silence_seconds if action.type == "silence" else 0.0
        if state.acknowledged_at and not (action.by or silence):
            return  # a vendor's echo of what Tocsin sent
        if silence:
            text = action.note or f"for {format_duration(silence)} {action.channel}"
            self._record(action, "silenced", text, now)
        else:
            self._record(action, "acknowledged", action.note or action.channel, now)
        if state.acknowledged_at and not silence:
            return
        state.acknowledged_by = action.by or action.source
        state.acknowledged_source = action.source
        state.acknowledged_at = now
        state.held_decision = None
        state.keep_only_ticket_retries()
        if state.state != "awaiting_human":
            state.state = "acknowledged"
        if silence:
            state.schedule(now, silence, "silence")
        elif state.decision and state.decision.remind:
            state.schedule(now, state.decision.remind, "remind")
        done = f"Silenced for {format_duration(silence)}" if silence else "Acknowledged"
        self._outbox.broadcast("acknowledge", f"{done} by {state.acknowledged_by}", source=action.source)
        self._outbox.broadcast("note", f"{done} by {state.acknowledged_by}.", kinds=frozenset({"ticket"}))

    def _withdraw_acknowledgement(self, action: ResponderAction, now: datetime) -> None:
        """Nobody works on it any more: the escalation resumes."""
        state = self._state
        reopened = action.type == "reopen"
        text = f"{action.channel}: {action.note}" if action.note else action.channel
        self._record(action, "reopened" if reopened else "unacknowledged", text, now)
        if state.state == "resolved":
            state.state, state.resolved_by = "acknowledged", ""
        elif not state.acknowledged_at or not (action.by or action.source == state.acknowledged_source):
            return  # a pager whose own timeout expired does not withdraw what a person said elsewhere
        state.acknowledged_by = state.acknowledged_source = ""
        state.acknowledged_at = None
        if state.state == "acknowledged":
            state.state = "notified"
        state.keep_only_ticket_retries()
        self._escalation.resume(now)
        by = action.by or action.source
        done = f"Reopened by {by}" if reopened else f"Acknowledgement withdrawn by {by}"
        self._outbox.broadcast("refresh", done, source=action.source, kinds=frozenset({"post", "console"}))
        self._outbox.broadcast("note", f"{done}.", kinds=frozenset({"ticket"}))

    def _record_reassignment(self, action: ResponderAction, now: datetime) -> None:
        """The vendor escalated or reassigned its own incident: recorded, and shown elsewhere."""
        done = {"escalate": "escalated", "reassign": "reassigned"}[action.type]
        text = f"{done} {action.channel}{f' to {action.note}' if action.note else ''}"
        self._record(action, f"{done}_elsewhere", text, now)
        by = action.by or action.source
        self._outbox.broadcast("note", f"{by} {text}", source=action.source, kinds=HAS_THREAD)

    def _close(self, action: ResponderAction, now: datetime) -> None:
        false_alarm = action.type == "false_alarm"
        if false_alarm:
            self._record(action, "false_alarm", action.note or f"marked {action.channel}", now)
        if not self.may_close(action):
            done = "marked as false alarm" if false_alarm else "resolved"
            self.closure_denied(f"{done} {action.channel}", action, now)
            return
        text = action.note or ("a false alarm" if false_alarm else "resolved")
        data = {"source": action.source, "role": action.role, "token": action.token}
        self._state.record(now, "resolved", text, by=action.by, **data)
        by = action.by or action.source
        done = f"Marked as false alarm by {by}." if false_alarm else f"Resolved by {by}."
        self.resolve(by, done, source=action.source)

    def closure_denied(self, attempt: str, action: ResponderAction, now: datetime) -> None:
        """Record an attempt to close a regulated incident by a machine, or by a person without the role."""
        state = self._state
        assert state.decision is not None
        role = state.decision.closed_by
        text = f"{attempt}: not closed; a person with the role {role} must close it"
        state.record(now, "closure_denied", text, by=action.by or action.source)
        if state.held_decision:
            state.held_decision = None
            state.deadlines = [one for one in state.deadlines if one.kind != "hold"]
        if action.by and not state.acknowledged_at:
            self._acknowledge(action.model_copy(update={"type": "acknowledge"}), now)
        state.state = "awaiting_human"
        note = f"{attempt[0].upper()}{attempt[1:]}. It stays open until a person with the role {role} closes it."
        self._outbox.broadcast("note", note, kinds=HAS_THREAD)

    def resolve(self, by: str, note: str, *, source: str = "") -> None:
        """The monitor cleared, or a person resolved the incident: it closes when everybody is updated."""
        state = self._state
        # A ticket that could not be opened is retried at once: closing must not lose it.
        retries = [deadline.notification for deadline in state.deadlines if deadline.notification]
        state.pending += [one for one in retries if one.target.kind == "ticket"]
        state.resolved_by, state.state, state.deadlines = by, "resolved", []
        state.held_decision = None
        self._outbox.broadcast("resolve", note, source=source)
        self._outbox.broadcast("note", note, kinds=frozenset({"ticket"}))
