"""What people do about an incident, wherever they do it, and what follows from it.

An answer given in one place is shown in all the others. What a vendor echoes of what we told it changes nothing:
it comes with no person behind it, or finds done already what it says.
"""

from collections.abc import Callable
from datetime import datetime

from policy import format_duration
from workflows.messages import Answer
from workflows.outbox import THREADED, Outbox
from workflows.state import IncidentState

_SEEN = 1000
_ROLES = ("viewer", "responder", "compliance", "admin")


def may_close(answer: Answer, closed_by: str) -> bool:
    """A regulated incident is closed by a person with the role, through an authenticated way only."""
    return bool(answer.by) and answer.role in _ROLES[_ROLES.index(closed_by) :]


def only_by(role: str) -> str:
    return f"this model is regulated: only a person with the role {role} may close its incidents"


class Answers:
    """Changes an IncidentState; a part of ``Life``. ``begin`` takes the first step (again)."""

    def __init__(self, state: IncidentState, outbox: Outbox, begin: Callable[[datetime], None]) -> None:
        self.state = state
        self._outbox = outbox
        self._begin = begin

    def may_close(self, answer: Answer) -> bool:
        decision = self.state.decision
        return decision is None or not decision.regulated or may_close(answer, decision.closed_by)

    def take(self, answer: Answer, now: datetime) -> None:
        """Do what follows from an answer; one for another opening, or that came before, is dropped."""
        state = self.state
        if answer.opening and not state.opening.startswith(answer.opening):
            return
        if state.over and not (answer.act == "reopen" and state.state == "resolved"):
            return
        if answer.id:
            if answer.id in state.seen:
                return
            state.seen = [*state.seen, answer.id][-_SEEN:]
        match answer.act:
            case "acknowledge" | "silence":
                self._acknowledge(answer, now)
            case "unacknowledge" | "reopen":
                self._withdraw(answer, now)
            case "annotate":
                self._note("annotated", answer.note, answer, now)
                self._outbox.tell("note", f"{answer.by}: {answer.note}", via=answer.via, kinds=THREADED)
            case "escalate" | "reassign":
                done = {"escalate": "escalated", "reassign": "reassigned"}[answer.act]
                text = f"{done} in {answer.via}{f' to {answer.note}' if answer.note else ''}"
                self._note(f"{done}_elsewhere", text, answer, now)
                self._outbox.tell("note", f"{answer.by or answer.via} {text}", via=answer.via, kinds=THREADED)
            case "resolve" | "false_alarm":
                self._close(answer, now)

    def _note(self, what: str, text: str, answer: Answer, now: datetime) -> None:
        self.state.note(now, what, text, by=answer.by, via=answer.via, token=answer.token)

    def _acknowledge(self, answer: Answer, now: datetime) -> None:
        state = self.state
        silent = answer.seconds if answer.act == "silence" else 0.0
        if state.acknowledged_at and not (answer.by or silent):
            return  # a vendor's echo of what we told it, with no person behind it
        if silent:
            self._note("silenced", answer.note or f"for {format_duration(silent)} in {answer.via}", answer, now)
        else:
            self._note("acknowledged", answer.note or f"in {answer.via}", answer, now)
        if state.acknowledged_at and not silent:
            return
        state.acknowledged_by = answer.by or answer.via
        state.acknowledged_via = answer.via
        state.acknowledged_at = now
        state.held = None
        self._keep_tickets_only()
        if state.state != "awaiting_human":
            state.state = "acknowledged"
        if silent:
            state.appoint(now, silent, "silence")
        elif state.decision and state.decision.remind:
            state.appoint(now, state.decision.remind, "remind")
        done = f"Silenced for {format_duration(silent)}" if silent else "Acknowledged"
        self._outbox.tell("acknowledge", f"{done} by {state.acknowledged_by}", via=answer.via)
        if state.chronicle:
            self._outbox.tell("note", f"{done} by {state.acknowledged_by}.", kinds=frozenset({"ticket"}))

    def _withdraw(self, answer: Answer, now: datetime) -> None:
        """Nobody is on it any more: the escalation goes on from where it stood."""
        state = self.state
        reopened = answer.act == "reopen"
        text = f"in {answer.via}" if not answer.note else f"in {answer.via}: {answer.note}"
        self._note("reopened" if reopened else "unacknowledged", text, answer, now)
        if state.state == "resolved":
            state.state, state.resolved_by = "acknowledged", ""
        elif not state.acknowledged_at or not (answer.by or answer.via == state.acknowledged_via):
            return  # a pager whose own time ran out takes back no word that a person gave elsewhere
        state.acknowledged_by = state.acknowledged_via = ""
        state.acknowledged_at = None
        if state.state == "acknowledged":
            state.state = "notified"
        self._keep_tickets_only()
        self._resume(now)
        who = answer.by or answer.via
        said = f"Opened again by {who}" if reopened else f"{who} took the acknowledgement back"
        self._outbox.tell("change", said, via=answer.via, kinds=frozenset({"post", "console"}))
        self._outbox.tell("note", f"{said}.", kinds=frozenset({"ticket"}))

    def _resume(self, now: datetime) -> None:
        state, decision = self.state, self.state.decision
        if decision is None or state.state == "awaiting_human":
            return
        later = list(enumerate(decision.steps))[state.escalation :]
        taken = decision.steps[state.escalation - 1].after if state.escalation else 0.0
        for index, step in later:
            state.appoint(now, step.after - taken, "step", index)
        if decision.respond_within:
            state.appoint(now, decision.respond_within, "unanswered")
        elif decision.steps and not later:
            self._begin(now)  # every step was taken before: who is left to hear of it but all of them again

    def _keep_tickets_only(self) -> None:
        state = self.state
        state.agenda = [one for one in state.agenda if one.owed and one.owed.target.kind == "ticket"]

    def _close(self, answer: Answer, now: datetime) -> None:
        false = answer.act == "false_alarm"
        if false:
            self._note("false_alarm", answer.note or f"said in {answer.via}", answer, now)
        if not self.may_close(answer):
            said = "called a false alarm" if false else "resolved"
            self.not_obeyed(f"{said} in {answer.via}", answer, now)
            return
        text = answer.note or ("a false alarm" if false else "resolved")
        self.state.note(now, "resolved", text, by=answer.by, via=answer.via, role=answer.role, token=answer.token)
        self.resolve(answer.by or answer.via, now, via=answer.via, false_alarm=false)

    def not_obeyed(self, what: str, answer: Answer, now: datetime) -> None:
        """For a regulated incident the machine's word, and a pager's, is noted and closes nothing."""
        state = self.state
        assert state.decision is not None
        role = state.decision.closed_by
        self.state.note(
            now,
            "noted",
            f"{what}: noted; a person with the role {role} must close it",
            by=answer.by or answer.via,
        )
        if state.held:
            state.held = None
            state.agenda = [one for one in state.agenda if one.business != "hold"]
        if answer.by and not state.acknowledged_at:
            self._acknowledge(answer.model_copy(update={"act": "acknowledge"}), now)
        state.state = "awaiting_human"
        self._outbox.tell(
            "note",
            f"{what[0].upper()}{what[1:]}. It stays open until a person with the role {role} closes it.",
            kinds=THREADED,
        )

    def resolve(self, by: str, now: datetime, via: str, *, false_alarm: bool = False) -> None:
        """Nothing burns any more, or a person says so: tell everybody, and close when they are told."""
        state = self.state
        # A ticket that could not be opened yet is tried once more, at once: closing must not lose it.
        state.owed += [one.owed for one in state.agenda if one.owed and one.owed.target.kind == "ticket"]
        state.resolved_by, state.state, state.agenda = by, "resolved", []
        state.held = None
        done = "Called a false alarm" if false_alarm else "Resolved"
        text = "The monitor is well again." if by == "arize" else f"{done} by {by}."
        self._outbox.tell("resolve", text, via=via)
        self._outbox.tell("note", text, kinds=frozenset({"ticket"}))
