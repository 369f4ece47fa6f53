"""The escalation of an incident: holds, steps, acknowledgement timeouts, reminders, and what resumes it."""

from datetime import datetime

from incident.outbox import Outbox
from incident.state import Deadline, IncidentState
from policy import Decision, Step, Target, format_duration


def reminder_targets(decision: Decision) -> tuple[Target, ...]:
    """The destinations that are reminded while an acknowledged incident stays open."""
    return decision.steps[0].notify if decision.steps else ()


class Escalation:
    """All rules about which destinations an incident notifies, and when. Changes the state it is given."""

    def __init__(self, state: IncidentState, outbox: Outbox) -> None:
        self._state = state
        self._outbox = outbox

    # ── Decisions ───────────────────────────────────────────────────────────────────────────────────────

    def apply_first_decision(self, decision: Decision, now: datetime) -> None:
        """Start by the first decision, at once or after its hold."""
        self._apply_decision(decision)
        self._record_decision(decision, now)
        if decision.hold:
            self._hold(decision, now)
        else:
            self.start(now)

    def apply_later_decision(self, decision: Decision, now: datetime) -> None:
        """A later alert raises the tier, ends the hold, or changes nothing."""
        state = self._state
        if state.tier is None or decision.louder_than(state.tier):
            self._raise_tier(decision, now)
        elif state.state == "holding" and not decision.hold and state.tier == decision.tier:
            state.record(now, "hold_expired", f"rule {decision.rule} has no hold")
            self._apply_decision(decision)
            self.start(now)

    def _raise_tier(self, decision: Decision, now: datetime) -> None:
        state, held = self._state, self._state.held_decision
        if held and state.cycle > 0 and not decision.louder_than(held.tier) and decision.hold:
            return  # this rise is being held already
        self._record_decision(decision, now)
        state.alert = state.latest_alert
        if decision.hold:
            self._hold(decision, now)
            return
        self._apply_decision(decision)
        self.start(now)

    def _record_decision(self, decision: Decision, now: datetime) -> None:
        text = f"{decision.tier} by rule {decision.rule}: {decision.reason}"
        data = {"rule": decision.rule, "tier": decision.tier, "policy": decision.policy}
        self._state.record(now, "classified", text, **data)

    def _apply_decision(self, decision: Decision) -> None:
        state = self._state
        current = state.decision
        if current and current.regulated and not decision.regulated:
            # Once regulated, always regulated: a later alert without the model's name removes no obligation.
            kept = {"regulated": True, "closed_by": current.closed_by, "tickets": (*decision.tickets, *current.tickets)}
            decision = decision.model_copy(update=kept)
        state.decision, state.tier, state.held_decision = decision, decision.tier, None
        if decision.regulated:
            self._open_tickets(decision)  # for every tier, and during a hold

    def _hold(self, decision: Decision, now: datetime) -> None:
        state = self._state
        assert decision.hold is not None
        state.held_decision = decision
        if state.cycle == 0:
            state.state = "holding"
        state.schedule(now, decision.hold, "hold")
        state.record(now, "holding", f"notifies only if it is still triggered in {format_duration(decision.hold)}")

    # ── Steps ───────────────────────────────────────────────────────────────────────────────────────────

    def start(self, now: datetime, note: str = "") -> None:
        """Take the first step and schedule the later ones. ``note`` gives the reason when it is not an alert."""
        state, decision = self._state, self._decision()
        state.cycle += 1
        state.level = 0
        state.acknowledged_by = state.acknowledged_source = ""
        state.acknowledged_at = None
        state.deadlines = []
        if state.state in {"holding", "acknowledged"}:
            state.state = "received"
        self._open_tickets(decision)
        for target in decision.digest:
            self._outbox.enqueue("notify", target, f"digest-{state.cycle}-{target.name}", digest=True)
        for index, step in enumerate(decision.steps):
            if index == 0:
                self._take_step(0, step, now, note)
            else:
                state.schedule(now, step.after, "step", index)
        if decision.respond_within:
            state.schedule(now, decision.respond_within, "ack_timeout")

    def resume(self, now: datetime) -> None:
        """Continue after an acknowledgement was withdrawn: the remaining steps, or all of them if none remains."""
        state, decision = self._state, self._state.decision
        if decision is None or state.state == "awaiting_human":
            return
        remaining = list(enumerate(decision.steps))[state.level :]
        taken_after = decision.steps[state.level - 1].after if state.level else 0.0
        for index, step in remaining:
            state.schedule(now, step.after - taken_after, "step", index)
        if decision.respond_within:
            state.schedule(now, decision.respond_within, "ack_timeout")
        elif decision.steps and not remaining:
            self.start(now)

    def _take_step(self, index: int, step: Step, now: datetime, note: str = "") -> None:
        state = self._state
        state.level = index + 1
        if index > 0:
            waited = format_duration(step.after)
            names = ", ".join(target.name for target in step.notify)
            note = f"Not acknowledged for {waited}: step {index + 1} of the escalation."
            text = f"step {index + 1} after {waited} without an acknowledgement: {names}"
            state.record(now, "escalated", text)
            self._outbox.broadcast("note", f"Escalated: {text}.", kinds=frozenset({"post", "ticket"}))
        notified = {receipt.destination for receipt in state.receipts} | {one.target.name for one in state.pending}
        for target in step.notify:
            key = f"{state.cycle}-step-{index + 1}-{target.name}"
            # A pager folds a second trigger with the same key into the first without a sound, so a repeated step has
            # a key of its own.
            dedup_key = f"{state.dedup_key}/{key}" if target.name in notified else state.dedup_key
            self._outbox.enqueue("notify", target, key, note, dedup_key=dedup_key)

    def _open_tickets(self, decision: Decision) -> None:
        note = "This incident must be closed by a person." if decision.regulated else ""
        for target in decision.tickets:
            key = f"ticket-{target.name}"
            if not self._outbox.has(key):
                self._outbox.enqueue("notify", target, key, note)

    # ── Deadlines ───────────────────────────────────────────────────────────────────────────────────────

    def run(self, deadline: Deadline, now: datetime) -> None:
        """Do what a due deadline is for."""
        state = self._state
        match deadline.kind:
            case "hold":
                self._end_hold(now)
            case "step":
                self._take_step(deadline.step, self._decision().steps[deadline.step], now)
            case "ack_timeout":
                self._ack_timeout(now)
            case "remind":
                self._remind(now)
            case "silence":
                state.record(now, "silence_expired", "still triggered")
                self.start(now, "The silence expired and the monitor is still triggered.")
            case "retry":
                retry = deadline.notification
                if retry and (not state.acknowledged_at or retry.target.kind == "ticket"):
                    state.pending.append(retry)

    def _end_hold(self, now: datetime) -> None:
        held = self._state.held_decision
        if held is None:
            return
        assert held.hold is not None
        self._state.record(now, "hold_expired", f"still triggered after {format_duration(held.hold)}")
        self._apply_decision(held)
        self.start(now)

    def _ack_timeout(self, now: datetime) -> None:
        state, decision = self._state, self._decision()
        raised, waited = decision.on_ack_timeout, decision.respond_within
        if raised is None or waited is None:
            return
        text = f"not acknowledged within {format_duration(waited)}: now {raised.tier}"
        state.record(now, "ack_timeout", text)
        state.decision = decision.model_copy(
            update={
                "tier": raised.tier,
                "steps": raised.steps,
                "fallback": raised.fallback or decision.fallback,
                "remind": raised.remind or decision.remind,
                "digest": (),
                "respond_within": None,
                "on_ack_timeout": None,
            }
        )
        state.tier = raised.tier
        self.start(now)

    def _remind(self, now: datetime) -> None:
        state, decision = self._state, self._decision()
        assert decision.remind is not None
        state.reminders += 1
        note = f"Acknowledged by {state.acknowledged_by} and still open after {format_duration(decision.remind)}."
        state.record(now, "reminded", note)
        for target in reminder_targets(decision):
            key = f"remind-{state.reminders}-{target.name}"
            self._outbox.enqueue("remind", target, key, note, dedup_key=f"{state.dedup_key}/{key}")
        state.schedule(now, decision.remind, "remind")

    def _decision(self) -> Decision:
        decision = self._state.decision
        assert decision is not None
        return decision
