"""Responder actions: what people do about an incident, in any place, and what follows.

An action in one place is shown in all the others. A vendor's echo of what Tocsin sent changes nothing: no person is
behind it, or the incident is in that state already.
"""

from collections.abc import Callable
from datetime import datetime

from incident.escalation import Escalation
from incident.events import ResponderAction
from incident.order import believable
from incident.outbox import HAS_THREAD, Outbox
from incident.state import IncidentState
from incident.tickets import opened_ticket
from policy import ROLES, format_duration

PROCESSED_EVENT_IDS = 1000
"""How many ids of alerts and actions an incident remembers, to drop redeliveries."""
VENDOR_IDS = 20
"""How many ids of vendors an incident remembers. A pager has one or two for each step of the escalation."""
EARLY_ACTIONS = 20
"""How many actions wait for the receipt of the ticket in which they were done."""


ARIZE = "arize"
"""The source of what a monitor's clear does."""
EVENT_ORDER = "event-order"
SECOND_ACKNOWLEDGEMENT = "second-acknowledgement"
BY_A_PERSON = "acknowledged-by-a-person"
"""Names for ``workflow.patched``: what incidents of version 1.0.0 did not do."""
_QUIETER = frozenset({"acknowledge", "silence", "resolve", "false_alarm"})
_LOUDER = frozenset({"unacknowledge", "reopen"})
_DONE = {
    "acknowledge": "acknowledged",
    "silence": "silenced",
    "resolve": "resolved",
    "false_alarm": "marked as false alarm",
    "unacknowledge": "acknowledgement withdrawn",
    "reopen": "reopened",
}


def may_close(action: ResponderAction, closed_by: str) -> bool:
    """A regulated incident is closed by a person with the role, through an authenticated path only."""
    return bool(action.by) and action.role in ROLES[ROLES.index(closed_by) :]


def closure_denied_text(role: str) -> str:
    """The error for a closure without the role."""
    return f"this model is regulated: only a person with the role {role} may close its incidents"


class ActionHandler:
    """Applies responder actions to the state."""

    def __init__(
        self, state: IncidentState, outbox: Outbox, escalation: Escalation, patched: Callable[[str], bool]
    ) -> None:
        self._state = state
        self._outbox = outbox
        self._escalation = escalation
        self._patched = patched

    def may_close(self, action: ResponderAction) -> bool:
        decision = self._state.decision
        return decision is None or not decision.regulated or may_close(action, decision.closed_by)

    def handle(self, action: ResponderAction, now: datetime) -> None:
        """Apply an action. A redelivery is dropped, and one for another run of the incident changes nothing."""
        state = self._state
        if not state.is_run(action.first_run_id):
            self._record_for_other_run(action, now)
            return
        if state.is_over and not (action.type == "reopen" and state.state == "resolved"):
            return
        if action.merged_into and f"{action.source}-merged:{action.merged_into}" not in state.vendor_ids:
            return  # another opening, or an earlier escalation, was merged
        if self._is_redelivery(action):
            return
        if action.refused:
            self._record_refusal(action, now)
            return
        if action.ticket is not None and opened_ticket(state.receipts, action.source, action.ticket) is None:
            if action.type != "annotate" and self._ticket_is_pending(action.source):
                state.early_actions = [*state.early_actions, action][-EARLY_ACTIONS:]
                return
            self._handle_in_other_ticket(action, now)
            return
        self._apply(action, now)

    def _record_for_other_run(self, action: ResponderAction, now: datetime) -> None:
        """A person used the message of an earlier opening, which that person may have taken for this one."""
        if not (action.by and self._state.bounded) or self._is_redelivery(action):
            return
        text = f"{_DONE.get(action.type, action.type)} {action.channel} changes nothing: it is about another opening"
        self._state.record(now, "older_action", text, by=action.by, source=action.source)

    def _is_redelivery(self, action: ResponderAction) -> bool:
        """Whether it came before; if not, it is remembered."""
        state = self._state
        if not action.id:
            return False
        if action.id in state.processed_event_ids:
            return True
        state.processed_event_ids = [*state.processed_event_ids, action.id][-PROCESSED_EVENT_IDS:]
        return False

    def handle_early(self, now: datetime) -> None:
        """Apply what was done in a ticket before its receipt arrived."""
        state = self._state
        early, state.early_actions = state.early_actions, []
        for action in early:
            assert action.ticket is not None
            if state.is_over and not (action.type == "reopen" and state.state == "resolved"):
                continue
            if opened_ticket(state.receipts, action.source, action.ticket) is not None:
                self._apply(action, now)
            elif self._ticket_is_pending(action.source):
                state.early_actions.append(action)
            else:
                self._handle_in_other_ticket(action, now)

    def _apply(self, action: ResponderAction, now: datetime) -> None:
        state = self._state
        if self._is_older(action, now) and self._patched(EVENT_ORDER):
            self._record_older(action, now)
            return
        if self._is_answer(action):
            state.times.add_acknowledgement(action.source, action.occurred_at, now)
        if action.vendor_id and not self._is_earlier_merge(action, now):
            name = f"{action.source}-merged" if action.type == "merge" else action.source
            state.vendor_ids = [*dict.fromkeys((*state.vendor_ids, f"{name}:{action.vendor_id}"))][-VENDOR_IDS:]
        match action.type:
            case "acknowledge" | "silence":
                self._acknowledge(action, now)
            case "unacknowledge" | "reopen":
                self._withdraw_acknowledgement(action, now)
            case "annotate":
                self._record(action, "annotated", action.note, now)
                self._outbox.broadcast(
                    "note", f"{action.by or action.source}: {action.note}", source=action.source, kinds=HAS_THREAD
                )
            case "escalate" | "reassign":
                self._record_reassignment(action, now)
            case "resolve" | "false_alarm":
                self._close(action, now)
            case "merge":
                text = f"merged {action.channel}: {action.note}; it stays open here"
                self._record(action, "merged_elsewhere", text, now)
                by = action.by or action.source
                self._outbox.broadcast("note", f"{by} {text}.", source=action.source, kinds=HAS_THREAD)

    def _is_answer(self, action: ResponderAction) -> bool:
        """Whether it makes earlier withdrawals void: a person acts, or a vendor confirms what a person did."""
        if action.type not in _QUIETER:
            return False
        is_closure = action.type in {"resolve", "false_alarm"}
        return bool(action.by or (self._state.acknowledged_at and not (is_closure and self._state.bounded)))

    def _is_earlier_merge(self, action: ResponderAction, now: datetime) -> bool:
        """Whether the page of an earlier escalation was merged: the later one has pages of its own."""
        at, escalated_at = believable(action.occurred_at, now), self._state.times.escalated_at
        is_earlier = at is not None and escalated_at is not None and at < escalated_at
        return self._state.bounded and action.type == "merge" and is_earlier

    def _ticket_is_pending(self, vendor: str) -> bool:
        state = self._state
        waiting = [*state.pending, *(one.notification for one in state.deadlines if one.notification)]
        return any(one.verb == "notify" and one.target.type == vendor for one in waiting)

    def _handle_in_other_ticket(self, action: ResponderAction, now: datetime) -> None:
        """A ticket that this incident did not open names it: what a person wrote there is kept, and nothing more."""
        assert action.ticket is not None
        name = action.ticket.name
        if action.type == "annotate":
            self._apply(action.model_copy(update={"note": f"{name}: {action.note}"}), now)
            return
        what = f"{action.type} in {name} ({action.source})"
        text = f"{what}: this incident did not open that ticket, so nothing changes; {action.note}"
        self._record(action, "other_ticket_ignored", text, now)

    def _is_older(self, action: ResponderAction, now: datetime) -> bool:
        """Whether a newer action, or a newer escalation, made this one void before it arrived."""
        times, opened_at = self._state.times, self._state.opened_at
        names_run = bool(action.first_run_id)
        if action.seen_run_id and not names_run:
            names_run = self._state.is_run(action.seen_run_id)
            at = believable(action.occurred_at, now)
            if not names_run and at is not None and at < opened_at:
                return True  # what was seen was an earlier opening, and this one was not there yet
        if action.type in _QUIETER:
            return times.is_older_acknowledgement(
                action.source, action.occurred_at, opened_at, now, names_run=names_run
            )
        if action.type in _LOUDER:
            return times.is_older_withdrawal(action.source, action.occurred_at, opened_at, now)
        return False

    def _record_older(self, action: ResponderAction, now: datetime) -> None:
        state, at = self._state, action.occurred_at
        assert at is not None
        done = f"{_DONE[action.type]} {action.channel} at {at:%Y-%m-%d %H:%M:%S} UTC"
        newer = "a later action" if action.type in _LOUDER else "a later action or alert"
        text = f"{done} changes nothing: {newer} is known already"
        state.record(now, "older_action", text, by=action.by or action.source, source=action.source)

    def _record(self, action: ResponderAction, event: str, text: str, now: datetime) -> None:
        by = action.by or action.source
        self._state.record(now, event, text, by=by, source=action.source, token=action.token)

    def _acknowledge(self, action: ResponderAction, now: datetime) -> None:
        state = self._state
        silence = action.silence_seconds if action.type == "silence" else 0.0
        if state.acknowledged_at and not (action.by or silence):
            return  # a vendor's echo of what Tocsin sent
        if not action.by and self._patched(BY_A_PERSON):
            self._note_acknowledgement_by_machine(action, now)
            return
        if silence:
            text = action.note or f"for {format_duration(silence)} {action.channel}"
            self._record(action, "silenced", text, now)
        else:
            self._record(action, "acknowledged", action.note or action.channel, now)
        state.known_fires = state.fires
        if state.acknowledged_at and not silence and not (state.is_silenced and state.bounded):
            if action.by != state.acknowledged_by and self._patched(SECOND_ACKNOWLEDGEMENT):
                self._take_over(action, now)
            return
        state.acknowledged_by = action.by or action.source
        state.acknowledged_source = action.source
        state.acknowledged_at = now
        self._escalation.stop()
        if not state.bounded:
            state.held_decision = None
        if state.state != "awaiting_human":
            state.state = "acknowledged"
        if silence:
            state.schedule(now, silence, "silence")
        elif state.decision:
            self._escalation.schedule_reminder(now)
        done = f"Silenced for {format_duration(silence)}" if silence else "Acknowledged"
        self._outbox.broadcast("acknowledge", f"{done} by {state.acknowledged_by}", source=action.source)
        self._outbox.broadcast("note", f"{done} by {state.acknowledged_by}.", kinds=frozenset({"ticket"}))

    def _note_acknowledgement_by_machine(self, action: ResponderAction, now: datetime) -> None:
        """A rule of the vendor, or the late echo of an acknowledgement that is void by now: nobody works on it."""
        text = f"{_DONE[action.type]} {action.channel} by no person: the escalation goes on"
        self._record(action, "acknowledged_elsewhere", text, now)
        self._outbox.broadcast("note", f"{text[0].upper()}{text[1:]}.", source=action.source, kinds=HAS_THREAD)

    def _take_over(self, action: ResponderAction, now: datetime) -> None:
        """Another person acknowledges: reminders and messages name the person who works on it now."""
        state = self._state
        done = f"Acknowledged by {action.by}, who takes over from {state.acknowledged_by}"
        state.acknowledged_by, state.acknowledged_source, state.acknowledged_at = action.by, action.source, now
        self._outbox.broadcast("refresh", done, source=action.source, kinds=frozenset({"post", "console"}))
        self._outbox.broadcast("note", f"{done}.", kinds=frozenset({"ticket"}))

    def _withdraw_acknowledgement(self, action: ResponderAction, now: datetime) -> None:
        """Nobody works on it any more: the escalation resumes."""
        state = self._state
        reopened = action.type == "reopen"
        text = f"{action.channel}: {action.note}" if action.note else action.channel
        self._record(action, "reopened" if reopened else "unacknowledged", text, now)
        was_resolved = state.state == "resolved"
        if was_resolved:
            state.state, state.resolved_by = "acknowledged", ""
            for problem in state.problems.values():
                problem.dismissed = False
        elif not state.acknowledged_at:
            state.times.add_withdrawal(action.source, action.occurred_at, now)  # it overtook the acknowledgement
            return
        elif not (action.by or action.source == state.acknowledged_source):
            return  # a pager whose own timeout expired does not withdraw what a person said elsewhere
        state.times.add_withdrawal(action.source, action.occurred_at, now)
        state.forget_acknowledgement()
        # A person who reopens it says that it is not over. Otherwise a clear is a reason to page nobody.
        resumes = was_resolved or not state.cleared
        if state.state == "acknowledged" or (state.bounded and resumes):
            state.state = "notified"
        self._escalation.stop()
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
        if not (action.by or self._is_regulated()):
            self._note_closure_by_machine(action, now)
            return
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
        self._state.known_fires = self._state.fires
        done = f"Marked as false alarm by {by}." if false_alarm else f"Resolved by {by}."
        self.resolve(by, done, now, source=action.source)

    def _record_refusal(self, action: ResponderAction, now: datetime) -> None:
        """The gateway answered the person already, who knows that nothing changed."""
        decision = self._state.decision
        role = decision.closed_by if decision else ""
        text = f"{_DONE[action.type]} {action.channel}: refused; a person with the role {role} must close it"
        data = {"source": action.source, "role": action.role, "token": action.token}
        self._state.record(now, "closure_denied", text, by=action.by or action.source, **data)

    def _is_regulated(self) -> bool:
        return bool(self._state.decision and self._state.decision.regulated)

    def _note_closure_by_machine(self, action: ResponderAction, now: datetime) -> None:
        """A vendor closed its incident by itself, after a time or by a rule: the monitor is triggered all the same."""
        text = f"closed {action.channel} by no person: it stays open here"
        self._record(action, "closed_elsewhere", f"{text}; {action.note}" if action.note else text, now)
        self._outbox.broadcast("note", f"{text[0].upper()}{text[1:]}.", source=action.source, kinds=HAS_THREAD)

    def closure_denied(self, attempt: str, action: ResponderAction, now: datetime) -> None:
        """Record an attempt to close a regulated incident by a machine, or by a person without the role."""
        state = self._state
        assert state.decision is not None
        role = state.decision.closed_by
        text = f"{attempt}: not closed; a person with the role {role} must close it"
        state.record(now, "closure_denied", text, by=action.by or action.source)
        if action.by or action.source == ARIZE or not state.bounded:
            self._wait_for_person(action, now)  # a machine's attempt changes nothing
        note = f"{attempt[0].upper()}{attempt[1:]}. It stays open until a person with the role {role} closes it."
        self._outbox.broadcast("note", note, kinds=HAS_THREAD)

    def _wait_for_person(self, action: ResponderAction, now: datetime) -> None:
        state = self._state
        if state.held_decision and not (action.by and state.bounded):
            state.held_decision = None  # it cleared before the hold expired
            state.deadlines = [one for one in state.deadlines if one.kind != "hold"]
        if action.by and not state.acknowledged_at:
            self._acknowledge(action.model_copy(update={"type": "acknowledge"}), now)
        state.state = "awaiting_human"

    def resolve(self, by: str, note: str, now: datetime, *, source: str = "") -> None:
        """The monitor cleared, or a person resolved the incident: it closes when everybody is updated."""
        state = self._state
        # A ticket that could not be opened is retried at once: closing must not lose it.
        retries = [deadline.notification for deadline in state.deadlines if deadline.notification]
        nobody_knows = self._outbox.nobody_knows
        state.pending += [one for one in retries if nobody_knows or one.target.kind == "ticket"]
        self._drop_unwanted(now)
        state.resolved_by, state.state, state.deadlines = by, "resolved", []
        for problem in state.open_problems.values():
            problem.dismissed = True
        state.held_decision = None
        self._outbox.broadcast("resolve", note, source=source)
        self._outbox.broadcast("note", note, kinds=frozenset({"ticket"}))

    def _drop_unwanted(self, now: datetime) -> None:
        """Nobody is reminded, or paged by a further step, of what is over. What is in flight may still arrive.

        The first notification of a fire is sent all the same, even if it cleared before: somebody must read of it.
        """
        state = self._state
        if not state.bounded:
            return
        unwanted = [
            one
            for one in state.pending
            if one.verb == "remind"
            or (one.verb == "notify" and one.target.kind == "page" and state.known_fires >= state.fires)
        ]
        if not unwanted:
            return
        keys = {one.key for one in unwanted}
        state.pending = [one for one in state.pending if one.key not in keys]
        names = ", ".join(dict.fromkeys(one.target.name for one in unwanted))
        state.record(now, "notifications_dropped", f"no longer needed, and not sent unless on its way: {names}")
