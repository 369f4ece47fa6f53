"""How the problems of an incident start its escalation, join it, and leave it.

What begins soon after the incident's last page is the same fire: those who must know of it and do not are notified,
and everybody else sees an update. A louder tier, a problem that fires again, and one that begins later page again.
"""

from datetime import datetime

from alerts import Alert
from incident.due_steps import still_due, with_remaining_hold
from incident.escalation import Escalation
from incident.holds import Holds, Wait
from incident.obligations import new_obligations
from incident.outbox import Outbox
from incident.problem import Problem
from incident.state import Deadline, IncidentState
from policy import Decision, Tier, format_duration
from policy.decision import TIERS, loudest_tier

_UPDATED_IN_PLACE = frozenset({"post", "console"})
_NOTED_COUNTS = frozenset({2, 3, 4, 5, 10, 20, 50, 100, 200, 500})
"""How many problems an incident has when threads say so: every other one is seen in the message itself."""


class Fires:
    """Changes the state it is given. ``decision`` is always the policy's about the problem in question."""

    def __init__(self, state: IncidentState, outbox: Outbox, escalation: Escalation) -> None:
        self._state, self._outbox, self._escalation = state, outbox, escalation
        self.holds = Holds(state, escalation)

    # ── What happens to a problem ───────────────────────────────────────────────────────────────────────

    def begin(self, key: str, decision: Decision, now: datetime, closed: Decision | None = None) -> None:
        """A problem's first alert in this incident.

        Args:
            key: of the problem.
            decision: about it.
            now: the time.
            closed: the decision of the incident before it was closed, if this opens it again.
        """
        state = self._state
        if state.decision is None:
            if closed and closed.regulated and not decision.regulated:
                decision = decision.with_obligations(closed)
            self._open(key, decision, now)
            return
        monitor = state.problems[key].monitor
        state.record(now, "problem_added", monitor)
        self._escalation.record_decision(decision, now)
        if waits := self.holds.wait_for(key, decision, now):
            self.holds.add(key, decision, waits, now)
        else:
            self._join(key, decision, now, f"{monitor} is triggered as well")

    def again(self, key: str, decision: Decision, now: datetime, reason: str) -> None:
        """A problem fires again. ``reason``: such as ``after it had cleared``."""
        state = self._state
        state.refire_count += 1
        state.record(now, "refired", f"fires again {reason}")
        self._escalation.record_decision(decision, now)
        waits = self.holds.wait_for(key, decision, now)
        if waits is None:
            self._start_held(key, decision, now, reason)
            return
        if all(name == key for name in state.open_problems):
            self._hold_all(key, decision, waits)
        self.holds.add(key, decision, waits, now, reason)

    def repeat(self, key: str, decision: Decision, now: datetime) -> None:
        """A later alert of a problem that is triggered: it may be louder, or end the problem's hold."""
        state, problem = self._state, self._state.problems[key]
        if problem.tier is not None and not decision.louder_than(problem.tier):
            self._escalation.adopt(decision, now)
        elif decision.louder_than(state.tier_of(key)):
            self._rise(key, decision, now)
        elif waits := self.holds.wait_for(key, decision, now):
            self.holds.add(key, decision, waits, now)
            self._escalation.adopt(decision, now)
        elif decision.tier == state.tier_of(key):
            state.record(now, "hold_expired", f"rule {decision.rule} has no hold")
            self._end_holds(key, decision, now)
        elif problem.tier is not None:  # something louder is held meanwhile
            self._escalation.record_decision(decision, now)
            self._join(key, decision, now, f"{problem.monitor} is {decision.tier} now")
        else:
            self._escalation.adopt(decision, now)

    def _rise(self, key: str, decision: Decision, now: datetime) -> None:
        problem = self._state.problems[key]
        self._escalation.record_decision(decision, now)
        if waits := self.holds.wait_for(key, decision, now):
            self.holds.add(key, decision, waits, now)
            return
        self.holds.drop(key)
        self._join(key, decision, now, f"{problem.monitor} is {decision.tier} now")

    def end(self, key: str, alert: Alert, now: datetime) -> None:
        """A problem has cleared, and others have not: the escalation goes on for the loudest of them."""
        state, problem = self._state, self._state.problems[key]
        tier = state.tier_of(key)
        self.holds.drop(key)
        left = state.open_problems
        names = _listed([one.monitor for one in left.values()])
        state.record(
            now, "problem_cleared", f"{problem.monitor} cleared; still triggered: {names}", by="arize", alert=alert
        )
        note = f"{problem.monitor} cleared. Still triggered: {names}."
        self.update(note)
        if key == state.lead:
            self._follow(tier, left, now)
        for hold in [one for one in state.deadlines if one.suppression and one.suppression.source == state.incident]:
            state.deadlines.remove(hold)  # what it inhibited in this incident
            self.release(hold, now)

    def reconsider(self, key: str, decision: Decision, now: datetime, still_missing: str = "") -> None:
        """The decision about the same alert, after Arize described it: it may raise the tier, never lower it."""
        state, problem = self._state, self._state.problems[key]
        text = f"{decision.tier} by rule {decision.rule}: {decision.reason}"
        text += f" ({still_missing})" if still_missing else ""
        data = {"rule": decision.rule, "tier": decision.tier, "policy": decision.policy}
        if not problem.is_open:
            state.record(now, "description_arrived", f"{text}; the monitor has cleared", **data)
            self._escalation.adopt(decision, now)
            return
        if decision.louder_than(state.tier_of(key)):
            state.record(now, "description_arrived", f"now {text}", **data)
            if problem.tier is None:
                self.holds.drop(key)  # what was held is what this is now
            self._rise(key, with_remaining_hold(decision, problem.fired_at, now), now)
            return
        is_lower, is_held = decision.tier != state.tier_of(key), bool(state.held_decisions(key))
        text += f"; it stays {state.tier_of(key)}" if is_lower else ""
        state.record(now, "description_arrived", text, **data)
        if not is_lower:
            problem.note_decision(decision, state.keep_decision(decision))
        if key == state.lead:
            self._describe_lead(decision, is_lower=is_lower)
        if is_held and not (is_lower or self.holds.wait_for(key, decision, now)):
            state.record(now, "hold_expired", f"rule {decision.rule} has no hold")
            self._end_holds(key, decision, now)
            return
        if key != state.lead:
            self._escalation.adopt(decision, now)
        self._escalation.notify_of_description(decision, now, text, is_lower=is_lower or is_held)

    def end_hold(self, hold: Deadline, now: datetime) -> None:
        """A hold is over, and its problem is still triggered."""
        state, problem = self._state, self._state.problems.get(hold.problem)
        decision = hold.decision
        if problem is None or decision is None or problem.status == "cleared" or not problem.is_open:
            return
        if hold.suppression and hold.suppression.is_external and hold.suppression.source != state.incident:
            state.unchecked[hold.problem] = hold  # a worker checks whether it is over
            return
        self.release(hold, now)

    def release(self, hold: Deadline, now: datetime) -> None:
        """A held problem is notified of, unless something suppresses it yet. Nothing else is to be asked."""
        state, decision = self._state, hold.decision
        assert decision is not None
        if waits := self.holds.suppressed(hold.problem, now):
            self.holds.add(hold.problem, decision, waits, now, hold.refired, hold.suppression)
            return
        ended = (
            "still triggered" if hold.suppression else f"still triggered after {format_duration(decision.hold or 0)}"
        )
        state.record(now, "suppression_ended" if hold.suppression else "hold_expired", ended)
        self._start_held(hold.problem, decision, now, hold.refired)

    def flaps(self, key: str, decision: Decision, now: datetime, note: str) -> None:
        """It is triggered and clears again and again: one notification says so, and what follows is folded into it."""
        self.update(note, in_thread=True)
        self._notify_once(decision, now, note)

    def is_stable(self, key: str, decision: Decision, now: datetime, note: str) -> None:
        """It flapped, and has been triggered for long enough: who acknowledged the flapping did not know that."""
        if self._state.acknowledged_at:
            self._page_again(key, decision, now, note)
        else:
            self.update(note, in_thread=True)

    # ── Holds ───────────────────────────────────────────────────────────────────────────────────────────

    def _hold_all(self, key: str, decision: Decision, waits: Wait) -> None:
        """Nothing else is triggered: the incident itself is held. A running escalation goes on until it is answered."""
        state = self._state
        if state.acknowledged_at:
            self._escalation.stop()
            self._lead(key, decision)
        state.forget_acknowledgement()
        state.times.escalated_at = state.problems[key].fired_at
        state.state, state.level = waits.state, 0

    def _end_holds(self, key: str, decision: Decision, now: datetime) -> None:
        """A later alert of the same tier has no hold."""
        holds = [one for one in self._state.deadlines if one.kind == "hold" and one.problem == key]
        louder = [one for one in holds if one.decision and one.decision.louder_than(decision.tier)]
        self.holds.drop(key)
        self._state.deadlines += louder
        self._start_held(key, decision, now, next((one.refired for one in holds), ""))

    def _start_held(self, key: str, decision: Decision, now: datetime, refired: str) -> None:
        state, monitor = self._state, self._state.problems[key].monitor
        if refired and not state.is_held:
            self._page_again(key, decision, now, f"Fires again {refired}.")
        else:
            self._join(key, decision, now, f"{monitor} is still triggered")

    # ── The incident's escalation ───────────────────────────────────────────────────────────────────────

    def _open(self, key: str, decision: Decision, now: datetime) -> None:
        state = self._state
        self._escalation.apply_decision(decision)
        self._escalation.record_decision(decision, now)
        state.lead = key
        waits = self.holds.wait_for(key, decision, now)
        if waits is None:
            self._take_effect(key, decision, now)
            self._escalation.start(now)
            return
        state.forget_acknowledgement()
        state.state, state.level = waits.state, 0
        self.holds.add(key, decision, waits, now)

    def _join(self, key: str, decision: Decision, now: datetime, what: str) -> None:
        """A problem that must be notified of, in an incident that has others, or held it so far."""
        state = self._state
        tier = state.tier
        self._take_effect(key, decision, now)
        if state.is_held:  # nothing but holds so far
            self._lead(key, decision)
            self._escalation.start(now, due=still_due(state))
        elif tier is None or decision.louder_than(tier):
            due = still_due(state)
            state.times.escalated_at = now
            state.forget_merges()
            self._lead(key, decision)
            self._escalation.start(now, due=due)
        elif self._is_same_fire(decision, now):
            self._add_to_fire(key, decision, now, f"{what}.")
        else:
            state.refire_count += 1
            state.record(now, "refired", f"fires again: {what}")
            self._page_again(key, decision, now, f"Fires again: {what}.")

    def _is_same_fire(self, decision: Decision, now: datetime) -> bool:
        """What notifies nobody at once is never a fire of its own."""
        last = self._state.notified_at
        if not decision.steps:
            return True
        return last is not None and (now - last).total_seconds() <= decision.group_window

    def _add_to_fire(self, key: str, decision: Decision, now: datetime, note: str) -> None:
        """Notify those who must know and hold no message yet; everybody else sees an update."""
        state = self._state
        note += self._adopt(decision, now)
        self.update(note, in_thread=len(state.problems) in _NOTED_COUNTS)
        self._escalation.steps.open_tickets(self._current())
        self._notify_once(decision, now, note)
        if not (state.lead or state.acknowledged_at):  # what was notified last is over
            self._lead(key, decision)
            self._escalation.resume_since(now, now)

    def _notify_once(self, decision: Decision, now: datetime, note: str) -> None:
        state = self._state
        known = state.holders
        for target in decision.digest:
            if target.name not in known:
                self._outbox.enqueue("notify", target, f"digest-{state.cycle}-{target.name}", digest=True)
        new = [target for target in decision.first_targets if target.name not in known]
        for target in new:
            name = f"{state.cycle}-added-{state.event_number}-{target.name}"
            self._outbox.enqueue("notify", target, name, note, dedup_key=self._outbox.page_key(target, name))
        if new:
            state.notified_at = now

    def _page_again(self, key: str, decision: Decision, now: datetime, note: str) -> None:
        """A new escalation, which no earlier acknowledgement stops. A louder one that runs goes on beside it."""
        state = self._state
        self._take_effect(key, decision, now)
        others: list[Tier] = [one.tier for name, one in state.open_problems.items() if name != key and one.tier]
        is_unanswered = not state.acknowledged_at
        runs_louder = is_unanswered and any(not _reaches(decision, tier) for tier in others)
        if runs_louder or (others and not decision.steps):
            self._page_beside(decision, now, note)
            return
        current = self._current()
        if is_unanswered and state.tier and current.louder_than(decision.tier):
            decision = current.with_obligations(decision)
        state.times.escalated_at = now
        state.forget_acknowledgement()
        state.forget_merges()
        state.state = "received"
        due = still_due(state)
        if not is_unanswered:
            self._escalation.stop()
        self._lead(key, decision)
        self.update(note)
        self._escalation.start(now, note, due)
        state.tier = loudest_tier((decision.tier, *others))

    def _page_beside(self, decision: Decision, now: datetime, note: str) -> None:
        """What runs is louder, and goes on: the first step of this one is taken beside it."""
        state = self._state
        note += self._adopt(decision, now)
        self.update(note)
        self._escalation.steps.open_tickets(self._current())
        for target in decision.digest:
            self._outbox.enqueue(
                "notify", target, f"digest-{state.cycle}-{state.event_number}-{target.name}", digest=True
            )
        if first := decision.first_targets:
            state.fires += 1
            state.notified_at = now
        for target in first:
            name = f"{state.cycle}-beside-{state.event_number}-{target.name}"
            self._outbox.enqueue("notify", target, name, note, dedup_key=self._outbox.page_key(target, name))

    def _follow(self, over: Tier, left: dict[str, Problem], now: datetime) -> None:
        """The problem that the escalation was for is over. It goes on if another one is as loud; otherwise it stops."""
        state = self._state
        key, loudest = next(iter(left.items()))
        state.lead, state.alert = key, loudest.alert or state.alert
        if TIERS.index(state.tier_of(key)) >= TIERS.index(over):
            return
        notified = {name: one for name, one in left.items() if one.tier}
        state.lead, chosen = next(iter(notified.items()), ("", loudest))
        decision = state.decision_of(chosen)
        if decision is None:
            return
        state.alert = chosen.alert or state.alert
        holds = [one for one in state.deadlines if one.kind == "hold"]
        state.keep_only_ticket_retries()
        state.deadlines += holds
        self._escalation.apply_decision(decision)
        if not state.lead:
            return  # all others are held
        if not state.acknowledged_at:
            self._escalation.resume_since(chosen.fired_at, now)
        elif state.state != "awaiting_human":
            self._escalation.schedule_reminder(now)

    def _lead(self, key: str, decision: Decision) -> None:
        """The incident follows this problem from now on."""
        state = self._state
        state.lead, state.alert = key, state.problems[key].alert or state.latest_alert
        self._escalation.apply_decision(decision)

    def _take_effect(self, key: str, decision: Decision, now: datetime) -> None:
        problem = self._state.problems[key]
        problem.take_effect(decision, self._state.keep_decision(decision))
        problem.fired_at = now

    def remind_posts(self, decision: Decision, note: str) -> None:
        """Post a note to those of the first step who are posted to; nobody is paged."""
        for target in [one for one in decision.first_targets if one.kind == "post"]:
            self._outbox.enqueue("notify", target, f"silence-ends-{self._state.event_number}-{target.name}", note)

    def refresh(self, note: str) -> None:
        """Show something in the messages that can be replaced, and nowhere else."""
        self._outbox.broadcast("refresh", note, kinds=_UPDATED_IN_PLACE)

    def update(self, note: str, *, in_thread: bool = False) -> None:
        """Show something in every message that was sent."""
        self.refresh(note)
        self._outbox.broadcast("note", note, kinds=frozenset({"ticket", "post"} if in_thread else {"ticket"}))

    def _adopt(self, decision: Decision, now: datetime) -> str:
        """Take over what a problem demands of who owns and closes the incident; returns that in words."""
        state, current = self._state, self._current()
        adopted = current.with_obligations(decision)
        if says := new_obligations(current, adopted):
            text = f"{says}, by rule {decision.rule}"
            state.record(now, "obligations_added", text, rule=decision.rule, policy=decision.policy)
            state.decision = adopted
        return f" The incident is now: {says}." if says else ""

    def _describe_lead(self, decision: Decision, *, is_lower: bool) -> None:
        adopted = ("team", "owner", "service", "runbook", "links")
        adopted = adopted if is_lower else (*adopted, "rule", "reason", "priority", "tags", "trace", "policy")
        current = self._current()
        update = {name: getattr(decision, name) or getattr(current, name) for name in adopted}
        self._state.decision = current.model_copy(update=update).with_obligations(decision)

    def _current(self) -> Decision:
        decision = self._state.decision
        assert decision is not None
        return decision


def _reaches(decision: Decision, tier: Tier) -> bool:
    """Whether a decision is as loud as a tier."""
    return TIERS.index(decision.tier) >= TIERS.index(tier)


def _listed(names: list[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join([*names[:most], *([f"{more} more"] if more > 0 else [])])
