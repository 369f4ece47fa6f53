"""The steps of an escalation: who is notified at first, and who later without an acknowledgement."""

from datetime import datetime

from incident.due_steps import StillDue, kept_deadlines, merged_steps, still_due
from incident.outbox import Outbox
from incident.state import Deadline, IncidentState
from policy import Decision, Step, Target, format_duration


class Steps:
    """Takes and schedules the steps of a decision. Changes the state it is given."""

    def __init__(self, state: IncidentState, outbox: Outbox) -> None:
        self._state = state
        self._outbox = outbox

    def start(
        self, decision: Decision, now: datetime, note: str = "", due: StillDue | None = None, *, new_fire: bool = True
    ) -> None:
        """Take the first step and schedule the later ones. What was due before stays due: nobody has acknowledged it.

        Args:
            decision: the incident's.
            now: the time.
            note: the reason, when it is not an alert.
            due: what is still due, by the decision before this one; by default, by this one.
            new_fire: people do not know of it yet, whatever they know of the incident.
        """
        state = self._state
        state.fires += new_fire
        due = still_due(state) if due is None else due
        has_first = bool(decision.steps)
        steps = merged_steps(decision.steps, due.steps, now)
        if state.bounded and due.decision is not None:
            decision = due.with_timeout(decision).model_copy(update={"steps": tuple(one.step for one in steps)})
            state.decision = decision
        state.cycle += 1
        state.level = 0
        state.forget_acknowledgement()
        state.deadlines = kept_deadlines(state, steps[0].step if has_first else Step())
        is_denied = state.state == "awaiting_human" and not state.cleared  # this is louder than what was denied
        if state.state in {"holding", "suppressed", "acknowledged"} or (state.bounded and is_denied):
            state.state = "received"
        if decision.phase == "observe":
            state.state = "suppressed"
        self.open_tickets(decision)
        for target in decision.digest:
            self._outbox.enqueue("notify", target, f"digest-{state.cycle}-{target.name}", digest=True)
        for index, one in enumerate(steps):
            if index == 0 and has_first:
                self.take(0, one.step, now, note)
            else:
                state.deadlines.append(Deadline(at=one.at, kind="step", step=index))
        if timeout := due.timeout_at(decision, now):
            state.deadlines.append(Deadline(at=timeout, kind="ack_timeout"))

    @property
    def was_taken(self) -> bool:
        """Whether a notification of a step of this escalation was sent, or is still to be sent."""
        state = self._state
        retries = [one.notification for one in state.deadlines if one.notification]
        prefix = f"{state.dedup_key}:{state.cycle}-step-"
        return state.level > 0 and any(
            one.key.startswith(prefix) for one in (*state.receipts, *state.pending, *retries)
        )

    def take(self, index: int, step: Step, now: datetime, note: str = "") -> None:
        """Notify the destinations of a step, ``index`` from 0."""
        state = self._state
        state.level = index + 1
        state.notified_at = now
        if index > 0:
            waited = format_duration(step.after)
            names = ", ".join(target.name for target in step.notify)
            note = f"Not acknowledged for {waited}: step {index + 1} of the escalation."
            text = f"step {index + 1} after {waited} without an acknowledgement: {names}"
            state.record(now, "escalated", text)
            self._outbox.broadcast("note", f"Escalated: {text}.", kinds=frozenset({"post", "ticket"}))
        for target, dedup_key in [(one, self._outbox.page_key(one, self._step_key(index, one))) for one in step.notify]:
            budget = state.decision.budget if state.decision and index == 0 and state.tracks_problems else None
            key = self._step_key(index, target)
            self._outbox.enqueue("notify", target, key, note, dedup_key=dedup_key, budget=budget)

    def _step_key(self, index: int, target: Target) -> str:
        return f"{self._state.cycle}-step-{index + 1}-{target.name}"

    def open_tickets(self, decision: Decision) -> None:
        """Open those of the decision's tickets that are not open."""
        note = "This incident must be closed by a person." if decision.regulated else ""
        for target in decision.tickets:
            key = f"ticket-{target.name}"
            if not self._outbox.has(key):
                self._outbox.enqueue("notify", target, key, note)
