"""The escalation of incidents that earlier versions began: such an incident has one monitor, whose holds are its own.

Kept unchanged for them, because Temporal replays their histories; ``incident.fires`` has all others.
"""

from datetime import datetime

from incident.due_steps import ends_sooner, still_due, with_own_hold, with_remaining_hold
from incident.escalation import REFIRE, Escalation
from incident.state import Deadline
from policy import Decision, format_duration


class SingleEscalation(Escalation):
    """An ``Escalation`` that also holds, raises and starts again by the decisions about its one monitor."""

    def run(self, deadline: Deadline, now: datetime) -> None:
        if deadline.kind == "hold":
            self.end_hold(now, deadline.decision)
        else:
            super().run(deadline, now)

    def apply_first_decision(self, decision: Decision, now: datetime) -> None:
        """Start by the first decision, at once or after its hold."""
        self.apply_decision(decision)
        self.record_decision(decision, now)
        if not decision.hold:
            self.start(now)
            return
        if self._state.cycle > 0 and self._patched(REFIRE):
            self._state.forget_acknowledgement()
            self._state.state = "holding"
        self._hold(decision, now)

    def refire(self, decision: Decision, now: datetime, reason: str) -> None:
        """A new escalation in the same incident, which its earlier acknowledgement does not stop.

        Args:
            decision: about the alert that fires again. If the earlier ones have cleared, its tier is the incident's;
                otherwise they may still be triggered, and the tier does not fall. Neither does it if nobody has
                acknowledged: then the earlier escalation goes on beside the new one.
            now: the time.
            reason: such as ``after it had cleared``.
        """
        state, current = self._state, self._decision()
        is_unanswered = state.bounded and not state.acknowledged_at
        if (is_unanswered or not state.cleared) and state.tier and current.louder_than(decision.tier):
            decision = current.with_obligations(decision)
        state.cleared = False
        state.refire_count += 1
        state.record(now, "refired", f"fires again {reason}")
        self.record_decision(decision, now)
        state.alert = state.latest_alert
        state.times.escalated_at = now
        state.forget_acknowledgement()
        state.forget_merges()
        state.state = "received"
        due = still_due(state)
        if not is_unanswered:
            self.stop()
            self.apply_decision(decision)
        elif decision.hold:
            state.decision = current.with_obligations(decision)
            self.steps.open_tickets(state.decision)
        else:
            self.apply_decision(decision)
        note = f"Fires again {reason}."
        self._outbox.broadcast("refresh", note, kinds=frozenset({"post", "console"}))
        self._outbox.broadcast("note", note, kinds=frozenset({"ticket"}))
        if decision.hold:
            state.state = "holding"
            self._hold(decision, now)
        else:
            self.start(now, note, due)

    def apply_later_decision(self, decision: Decision, now: datetime) -> None:
        """A later alert raises the tier, ends the hold, or changes nothing."""
        state = self._state
        if state.tier is None or decision.louder_than(state.tier):
            self._raise_tier(decision, now)
        elif state.state == "holding" and not decision.hold and state.tier == decision.tier:
            state.record(now, "hold_expired", f"rule {decision.rule} has no hold")
            due = still_due(state)
            self.apply_decision(decision)
            self.start(now, due=due)
        else:
            self.adopt(decision, now)

    def reconsider(self, decision: Decision, now: datetime, still_missing: str = "") -> None:
        """The decision about the same alerts, after Arize described them: it may raise the tier, never lower it.

        ``still_missing`` says what Arize cannot describe either.
        """
        state, current = self._state, self._decision()
        assert state.tier is not None
        text = f"{decision.tier} by rule {decision.rule}: {decision.reason}"
        text += f" ({still_missing})" if still_missing else ""
        data = {"rule": decision.rule, "tier": decision.tier, "policy": decision.policy}
        if state.cleared and state.bounded:  # it waits for a person to close it: nobody is notified of what is over
            state.record(now, "description_arrived", f"{text}; the monitor has cleared", **data)
            self.adopt(decision, now)
            return
        if decision.louder_than(state.tier):
            state.record(now, "description_arrived", f"now {text}", **data)
            if state.bounded and state.state == "holding":  # what was held is what this is now
                state.held_decision, state.deadlines = None, [one for one in state.deadlines if one.kind != "hold"]
            fires_since = max(state.opened_at, state.times.escalated_at or state.opened_at)
            self._raise_tier(with_remaining_hold(decision, fires_since if state.bounded else state.opened_at, now), now)
            return
        is_lower = decision.tier != state.tier
        text += f"; it stays {state.tier}" if is_lower else ""
        state.record(now, "description_arrived", text, **data)
        adopted = ("team", "owner", "service", "runbook", "links")
        adopted = adopted if is_lower else (*adopted, "rule", "reason", "priority", "tags", "trace", "policy")
        update = {name: getattr(decision, name) or getattr(current, name) for name in adopted}
        state.decision = current.model_copy(update=update).with_obligations(decision)
        if state.held_decision is not None and state.cycle == 0:
            state.held_decision = state.held_decision.model_copy(update=update).with_obligations(decision)
        if state.state == "holding" and not (decision.hold or is_lower):
            state.record(now, "hold_expired", f"rule {decision.rule} has no hold")
            state.held_decision = None
            self.start(now)
            return
        self.notify_of_description(decision, now, text, is_lower=is_lower)

    def _raise_tier(self, decision: Decision, now: datetime) -> None:
        state, held = self._state, self._state.held_decision
        if held and decision.hold and not decision.louder_than(held.tier) and (state.cycle > 0 or state.bounded):
            if decision.tier != held.tier or not ends_sooner(state, decision.hold, now):
                return  # this rise is being held already
            state.deadlines = [one for one in state.deadlines if one.kind != "hold" or one.decision]
        self.record_decision(decision, now)
        state.alert = state.latest_alert
        state.times.escalated_at = now
        state.forget_merges()
        if decision.hold:
            self.adopt_regulation(decision)
            self._hold(decision, now)
            return
        due = still_due(state)
        self.apply_decision(decision)
        self.start(now, due=due)

    def _hold(self, decision: Decision, now: datetime) -> None:
        state = self._state
        assert decision.hold is not None
        state.deadlines = with_own_hold(state)
        state.held_decision = decision
        if state.cycle == 0:
            state.state = "holding"
        if state.bounded and state.state == "holding":
            state.level = 0  # acknowledged now, and withdrawn, it begins with the first step
        state.schedule(now, decision.hold, "hold")
        state.record(now, "holding", f"notifies only if it is still triggered in {format_duration(decision.hold)}")

    def end_hold(self, now: datetime, superseded: Decision | None = None) -> None:
        """A hold is over, in an incident that does not track its problems."""
        if self._state.held_decision is None:
            return
        held = superseded or self._state.held_decision
        assert held.hold is not None
        self._state.record(now, "hold_expired", f"still triggered after {format_duration(held.hold)}")
        due, current = still_due(self._state), self._decision()
        if self._state.bounded and current.louder_than(held.tier):
            held = current.with_obligations(held)  # nobody acknowledged meanwhile
        self.apply_decision(held)
        self.start(now, due=due)
