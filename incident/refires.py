"""Whether an alert is another fire of its problem, or a repeat of what the incident knows."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from incident.events import GroupedAlert
from incident.order import MAX_CLOCK_ERROR, EventTimes, believable
from incident.problem import Problem
from incident.state import IncidentState
from policy import format_duration


def fires_again(state: IncidentState, problem: Problem, alerts: Sequence[GroupedAlert], now: datetime) -> str:
    """Why these alerts are no repeat; empty if they are one, or silenced.

    Arize notifies of a monitor that starts to be triggered, and of a clear perhaps not: an alert that comes long after
    the last one means that the monitor had cleared unseen.
    """
    is_answered = bool(state.acknowledged_at) or state.state == "awaiting_human"
    if is_answered and has_data_again(problem, alerts):
        return "after it had no data"  # a silence was for that
    if state.is_silenced:
        return ""  # the person asked for it, and it ends by itself
    if problem.status == "cleared":
        return "after it had cleared"
    if problem.dismissed:
        return "after it had been resolved"
    if state.decision is None:
        return ""
    times = problem.times.model_copy(deep=True)
    for one in alerts:  # they may have waited together: each counts from the one before it
        happened = believable(one.alert.ordering_time, now)
        gap = times.gap(happened, now, one.received_at)
        is_long = gap is not None and gap.total_seconds() > state.decision.refire_after
        is_repeat = one.repeated or _is_late_repeat(state, times, happened, now)
        if gap is not None and is_long and not is_repeat:
            seconds = int(gap.total_seconds())
            return f"{format_duration(seconds // 60 * 60 if seconds >= 60 else seconds)} after its last alert"
        if not one.repeated:
            times.add_trigger(one.happened_at, now, one.arrived_at)
    return ""


def has_data_again(problem: Problem, alerts: Sequence[GroupedAlert]) -> bool:
    """Whether the monitor is triggered, and its problem so far is its lack of data: that is another fire."""
    is_about_data = problem.alert is not None and problem.alert.status == "no_data"
    return is_about_data and any(one.alert.status == "triggered" for one in alerts)


def _is_late_repeat(state: IncidentState, times: EventTimes, happened: datetime | None, now: datetime) -> bool:
    """Whether an alert only arrives late: it happened soon after the last one, and before the acknowledgement."""
    after = times.happened_after(happened, now)
    if after is None or state.decision is None or happened is None or happened.tzinfo is None:
        return False
    is_soon = after != timedelta() and after.total_seconds() <= state.decision.refire_after
    return is_soon and state.opened_at - MAX_CLOCK_ERROR <= happened <= (state.acknowledged_at or now)
