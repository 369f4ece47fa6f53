"""What an escalation that nobody has acknowledged still has to do, when another one begins in the same incident.

Time without an acknowledgement adds up: a monitor that flaps faster than its steps must not begin them again and again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from incident.state import Deadline, IncidentState
from policy import Decision, Step


@dataclass(frozen=True, slots=True)
class DueStep:
    """A step and the time at which it is taken."""

    at: datetime
    step: Step


@dataclass(frozen=True, slots=True)
class StillDue:
    """The steps and the timeout for an acknowledgement that have not come yet, and the decision that they are from."""

    steps: tuple[DueStep, ...] = ()
    timeout: Deadline | None = None
    decision: Decision | None = None

    def with_timeout(self, decision: Decision) -> Decision:
        """A decision with this timeout, if it is as urgent and has none of its own."""
        mine = self.decision
        if self.timeout is None or mine is None or decision.respond_within or decision.louder_than(mine.tier):
            return decision
        update = {"respond_within": mine.respond_within, "on_ack_timeout": mine.on_ack_timeout}
        return decision.model_copy(update=update)

    def timeout_at(self, decision: Decision, now: datetime) -> datetime | None:
        """When the timeout of a new decision is: not later than the one that runs, unless it is a louder decision."""
        if not decision.respond_within:
            return None
        at = now + timedelta(seconds=decision.respond_within)
        is_louder = self.decision is not None and decision.louder_than(self.decision.tier)
        return at if self.timeout is None or is_louder else min(at, max(self.timeout.at, now))


def still_due(state: IncidentState) -> StillDue:
    """What the running escalation still has to do; nothing in runs that 1.1 or earlier began."""
    decision = state.decision
    if decision is None or not state.bounded:
        return StillDue()
    deadlines = sorted(state.deadlines, key=lambda one: one.at)
    steps = tuple(DueStep(one.at, decision.steps[one.step]) for one in deadlines if one.kind == "step")
    timeout = next((one for one in deadlines if one.kind == "ack_timeout"), None)
    return StillDue(steps, timeout, decision)


def merged_steps(steps: Sequence[Step], due: Sequence[DueStep], now: datetime) -> list[DueStep]:
    """The steps of an escalation that begins now, and those that are due already, in the order of their times.

    A later step that notifies the same destinations as one that is due already is that one, at the earlier time.
    """
    left, merged = list(due), list[DueStep]()
    for index, step in enumerate(steps):
        at = now + timedelta(seconds=step.after if index else 0.0)
        same = next((one for one in left if index and one.step.notify == step.notify), None)
        if same is not None:
            left.remove(same)
            at = min(at, same.at)
        merged.append(DueStep(at, step))
    overdue_now = [DueStep(max(one.at, now), one.step) for one in (*merged, *left)]
    return sorted(overdue_now, key=lambda one: one.at)


def kept_deadlines(state: IncidentState, first: Step) -> list[Deadline]:
    """Of the deadlines of an earlier escalation, what its steps did not include.

    Retries, but of destinations that the first step notifies now, and the hold of a louder alert.
    """
    if not state.bounded:
        return []
    return [
        one
        for one in state.deadlines
        if (one.notification and one.notification.target not in first.notify)
        or (one.kind == "hold" and (state.held_decision is not None or one.problem))
        or one.kind == "stable"
    ]


def with_own_hold(state: IncidentState) -> list[Deadline]:
    """The deadlines, before something louder is held: an earlier hold ends at its own time, for its own decision."""
    earlier = state.held_decision
    if earlier is None or not state.bounded:
        return state.deadlines
    return [
        one if one.kind != "hold" or one.decision else one.model_copy(update={"decision": earlier})
        for one in state.deadlines
    ]


def ends_sooner(state: IncidentState, hold: float, now: datetime) -> bool:
    """Whether a hold that begins now, in seconds, ends before what is being held."""
    ends = [one.at for one in state.deadlines if one.kind == "hold" and one.decision is None]
    return state.bounded and bool(ends) and now + timedelta(seconds=hold) < min(ends)


def with_remaining_hold(decision: Decision, fires_since: datetime, now: datetime) -> Decision:
    """The hold counts from when the incident opened, or last fired again: it was triggered all the time since."""
    if not decision.hold:
        return decision
    left = decision.hold - (now - fires_since).total_seconds()
    return decision.model_copy(update={"hold": left if left > 0 else None})
