"""The escalation of an incident: holds, steps, acknowledgement timeouts, reminders, and what resumes it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from incident.due_steps import StillDue, still_due
from incident.obligations import new_obligations
from incident.outbox import Outbox
from incident.state import Deadline, IncidentState
from incident.steps import Steps
from policy import Decision, Target, format_duration
from policy.decision import TIERS

OBLIGATIONS = "obligations"
REFIRE = "refire"
"""Names for ``workflow.patched``: what incidents of version 1.0.0 did not do."""


def reminder_targets(decision: Decision) -> tuple[Target, ...]:
    """The destinations that are reminded while an acknowledged incident stays open."""
    return decision.first_targets


class Escalation:
    """All rules about which destinations an incident notifies, and when. Changes the state it is given."""

    def __init__(self, state: IncidentState, outbox: Outbox, patched: Callable[[str], bool]) -> None:
        self._state = state
        self._outbox = outbox
        self._patched = patched
        self.steps = Steps(state, outbox)

    # ── Decisions ───────────────────────────────────────────────────────────────────────────────────────

    def adopt(self, decision: Decision, now: datetime) -> None:
        """Take over who owns and closes the incident from a decision that does not raise its tier.

        What was adopted is never lowered: see ``Decision.with_obligations``.
        """
        state, current = self._state, self._decision()
        adopted = current.with_obligations(decision)
        says = new_obligations(current, adopted)
        if not says or not self._patched(OBLIGATIONS):
            return
        state.decision = adopted
        if state.held_decision is not None:
            state.held_decision = state.held_decision.with_obligations(adopted)
        text = f"{says}, by rule {decision.rule}"
        state.record(now, "obligations_added", text, rule=decision.rule, policy=decision.policy)
        if not state.is_held or adopted.regulated:
            self.steps.open_tickets(adopted)
        if state.is_held:
            return
        note = f"A later alert says: {says}."
        self._outbox.broadcast("refresh", note, kinds=frozenset({"post", "console"}))
        self._outbox.broadcast("note", note, kinds=frozenset({"ticket"}))
        if adopted.owner != current.owner and not state.acknowledged_at:
            self.notify_new_targets(decision, f"{state.cycle}-owner", note)

    def notify_of_description(self, decision: Decision, now: datetime, text: str, *, is_lower: bool) -> None:
        """Open the tickets, notify the rule's destinations that have no message yet, and update all others."""
        state = self._state
        if not state.is_held or decision.regulated:
            self.steps.open_tickets(self._decision())
        if state.is_held:
            return
        note = f"Arize described the monitor: {text}."
        self._outbox.broadcast("refresh", note, kinds=frozenset({"post", "console"}))
        self._outbox.broadcast("note", note, kinds=frozenset({"ticket"}))
        if not (is_lower or state.acknowledged_at):
            self.notify_new_targets(decision, f"{state.cycle}-described", note)

    def notify_new_targets(self, decision: Decision, key: str, note: str) -> None:
        """Notify those of the decision's first step that hold no message yet."""
        state = self._state
        notified = state.holders
        for target in decision.first_targets:
            if target.name not in notified:
                self._outbox.enqueue("notify", target, f"{key}-{target.name}", note)

    def adopt_regulation(self, decision: Decision) -> None:
        """A rise that is held obliges at once: the monitor may clear before the hold ends."""
        current = self._decision()
        if not decision.regulated or current.regulated:
            return
        self._state.decision = current.with_obligations(decision)
        self.steps.open_tickets(self._decision())

    def list_expected(self, decision: Decision, reason: str) -> None:
        """What is usual at this hour is listed in the digest, and nobody is notified."""
        for target in decision.seasonal.digest if decision.seasonal else ():
            key = f"expected-{self._state.event_number}-{target.name}"
            self._outbox.enqueue("notify", target, key, f"Expected: {reason}.", digest=True)

    def record_decision(self, decision: Decision, now: datetime) -> None:
        """The tier, the rule and its reason, for the timeline."""
        text = f"{decision.tier} by rule {decision.rule}: {decision.reason}"
        data = {"rule": decision.rule, "tier": decision.tier, "policy": decision.policy}
        self._state.record(now, "classified", text, **data)
        if decision.withheld:
            names = [target.name for target in decision.withheld]
            who = f"phase {decision.phase} of the rollout: {', '.join(names)} would be notified"
            self._state.record(now, "withheld", who, phase=decision.phase, targets=names)

    def apply_decision(self, decision: Decision) -> None:
        """The incident's own decision from now on, with what earlier ones demand of who closes it."""
        state = self._state
        current = state.decision
        kept = decision.with_obligations(current) if current else decision
        # Once regulated, always regulated.
        is_needed = current is not None and current.regulated and not decision.regulated
        if is_needed or (kept is not decision and kept != decision and self._patched(OBLIGATIONS)):
            decision = kept
        held = state.held_decision
        keeps_hold = state.bounded and held is not None and held.louder_than(decision.tier)
        state.decision, state.tier, state.held_decision = decision, decision.tier, held if keeps_hold else None
        if decision.regulated:
            self.steps.open_tickets(decision)  # for every tier, and during a hold

    # ── Acknowledgements ────────────────────────────────────────────────────────────────────────────────

    def stop(self) -> None:
        """Drop every deadline but the retries of tickets, and the hold of a louder alert: nobody knows of it yet.

        Who acknowledges during the hold of the whole incident acknowledges what is held, too.
        """
        state = self._state
        held, holds = state.held_decision, [one for one in state.deadlines if one.kind == "hold"]
        state.keep_only_ticket_retries()
        if state.tracks_problems:
            self._stop_holds(holds)
            return
        if not state.bounded or held is None:
            return
        if state.state == "holding":
            self.apply_decision(held)
        else:
            state.deadlines += holds

    def _stop_holds(self, holds: list[Deadline]) -> None:
        """Who acknowledges while nothing but holds has happened acknowledges what is held."""
        state = self._state
        if not state.is_held:
            state.deadlines += holds
            return
        held = [(one.problem, one.decision) for one in holds if one.decision and one.problem in state.problems]
        for key, decision in sorted(held, key=lambda one: TIERS.index(one[1].tier)):
            state.lead = key
            state.problems[key].take_effect(decision, state.keep_decision(decision))
            self.apply_decision(decision)

    def resume(self, now: datetime) -> None:
        """Continue after an acknowledgement was withdrawn: the remaining steps, or all of them if none remains."""
        state, decision = self._state, self._state.decision
        if decision is None or state.state == "awaiting_human":
            return
        if state.bounded and decision.steps and not self.steps.was_taken:
            self.start(now, new_fire=False)  # acknowledged during a hold, or resolved before the first page was sent
            return
        if state.bounded and state.level == 0 and state.cycle == 0:
            self.start(now, new_fire=False)
            return
        remaining = list(enumerate(decision.steps))[state.level :]
        taken_after = decision.steps[state.level - 1].after if state.level else 0.0
        for index, step in remaining:
            state.schedule(now, max(step.after - taken_after, 0.0), "step", index)
        if decision.respond_within:
            state.schedule(now, decision.respond_within, "ack_timeout")
        elif decision.steps and not remaining:
            self.start(now, new_fire=False)

    def resume_since(self, since: datetime, now: datetime) -> None:
        """Schedule the later steps of the incident's decision, whose first step was taken then."""
        state, decision = self._state, self._decision()
        state.level = 1 if decision.steps else 0
        for index, step in enumerate(decision.steps):
            if index:
                at = max(since + timedelta(seconds=step.after), now)
                state.deadlines.append(Deadline(at=at, kind="step", step=index))
        if decision.respond_within:
            at = max(since + timedelta(seconds=decision.respond_within), now)
            state.deadlines.append(Deadline(at=at, kind="ack_timeout"))

    # ── Deadlines ───────────────────────────────────────────────────────────────────────────────────────

    def run(self, deadline: Deadline, now: datetime) -> None:
        """Do what a due deadline is for."""
        state = self._state
        match deadline.kind:
            case "hold" | "stable" | "silence_ends":
                pass  # the problem's, not the escalation's
            case "step":
                self.steps.take(deadline.step, self._decision().steps[deadline.step], now)
            case "ack_timeout":
                self._ack_timeout(now)
            case "remind":
                self._remind(now)
            case "silence":
                if state.cleared and state.bounded:
                    state.record(now, "silence_expired", "the monitor has cleared")
                    return
                state.record(now, "silence_expired", "still triggered")
                self.start(now, "The silence expired and the monitor is still triggered.", new_fire=False)
            case "retry":
                retry = deadline.notification
                is_wanted = retry and (not state.acknowledged_at or retry.target.kind == "ticket")
                if retry and is_wanted and (not state.is_over or self._outbox.is_wanted_after_all(retry.target)):
                    state.pending.append(retry)

    def _ack_timeout(self, now: datetime) -> None:
        state, decision = self._state, self._decision()
        raised, waited = decision.on_ack_timeout, decision.respond_within
        if raised is None or waited is None:
            return
        text = f"not acknowledged within {format_duration(waited)}: now {raised.tier}"
        state.record(now, "ack_timeout", text)
        due = still_due(state)
        is_silent = state.bounded and not raised.steps
        state.decision = decision.model_copy(
            update={
                "tier": raised.tier,
                "steps": decision.steps if is_silent else raised.steps,
                "fallback": raised.fallback or decision.fallback,
                "remind": raised.remind or decision.remind,
                "digest": (),
                "respond_within": None,
                "on_ack_timeout": None,
            }
        )
        state.tier = raised.tier
        if not is_silent:  # otherwise nobody else is to be notified, and the steps go on
            self.start(now, due=due, new_fire=False)

    def _remind(self, now: datetime) -> None:
        state, decision = self._state, self._reminding()
        if decision.remind is None:
            return  # what had reminders is over
        state.reminders += 1
        note = f"Acknowledged by {state.acknowledged_by} and still open after {format_duration(decision.remind)}."
        state.record(now, "reminded", note)
        for target in reminder_targets(decision):
            key = f"remind-{state.reminders}-{target.name}"
            self._outbox.enqueue("remind", target, key, note, dedup_key=f"{state.dedup_key}/{key}")
        state.schedule(now, decision.remind, "remind")

    def _reminding(self) -> Decision:
        state = self._state
        return (state.reminding() if state.tracks_problems else state.decision) or self._decision()

    def schedule_reminder(self, now: datetime) -> None:
        """The first reminder after an acknowledgement."""
        decision = self._reminding()
        if decision.remind:
            self._state.schedule(now, decision.remind, "remind")

    def start(self, now: datetime, note: str = "", due: StillDue | None = None, *, new_fire: bool = True) -> None:
        """Start the escalation by the incident's decision; see ``Steps.start``."""
        self.steps.start(self._decision(), now, note, due, new_fire=new_fire)

    def _decision(self) -> Decision:
        decision = self._state.decision
        assert decision is not None
        return decision
