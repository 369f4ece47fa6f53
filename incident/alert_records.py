"""What the timeline and the audit log say of alerts that change nothing, or that came late."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from incident.events import GroupedAlert
from incident.order import EventTimes
from incident.state import IncidentState
from incident.text import clock_text, counted
from policy import format_duration

_REPEATS_NOTED = (2, 5)
"""Repeats are noted in threads at the 2nd and 5th alert, the 20th and 50th, and so on."""
_LATE = timedelta(minutes=1)
"""How much later than a gateway received it an alert is processed if nothing is unavailable."""


def record_older_triggers(
    state: IncidentState, alerts: Sequence[GroupedAlert], now: datetime, times: EventTimes
) -> None:
    """They were triggered before the monitor cleared; ``times`` are the monitor's."""
    for one in alerts:
        then = f"triggered before the monitor cleared at {clock_text(times.last_clear(one.happened_at))}"
        _record(state, one, f"of {clock_text(one.happened_at)} changes nothing: {then}", now)


def record_older_clear(state: IncidentState, alert: GroupedAlert, now: datetime, times: EventTimes) -> None:
    """It is from before the monitor triggered; ``times`` are the monitor's."""
    then = f"cleared before the monitor triggered at {clock_text(times.last_trigger(alert.happened_at))}"
    _record(state, alert, f"of {clock_text(alert.happened_at)} changes nothing: {then}", now)


def record_repeats(state: IncidentState, alerts: Sequence[GroupedAlert], now: datetime) -> None:
    """Deliveries of what came before: the monitor has not triggered again since it cleared."""
    for one in alerts:
        _record(state, one, "came again after it was over, and changes nothing", now)


def record_delay(state: IncidentState, alerts: Sequence[GroupedAlert], now: datetime) -> None:
    """An outage of Temporal or of the workers is part of the incident: people were notified later for it."""
    received = min((one.received_at for one in alerts if one.received_at), default=None)
    if received is not None and now - received > _LATE:
        late = format_duration(int((now - received).total_seconds()))
        text = f"a gateway received it at {received:%Y-%m-%d %H:%M:%S} UTC, {late} before a worker processed it"
        state.record(now, "processed_late", text)


def _record(state: IncidentState, alert: GroupedAlert, what: str, now: datetime) -> None:
    text, ids = f"{counted(alert.count, 'alert')} {what}", list(alert.event_ids[:50])
    state.record(now, "older_alert", text, by="arize", event_ids=ids, alert=alert.alert)


def note_repeats(alerts: int, added: int) -> bool:
    """Whether threads are to say how many alerts there are by now. ``added`` of them are new."""
    return _marks_passed(alerts) > _marks_passed(alerts - added)


def _marks_passed(alerts: int) -> int:
    """How many of the marks 2, 5, 20, 50, 200, 500 … a number of alerts has passed."""
    marks, scale = 0, 1
    while alerts >= 2 * scale:
        marks += sum(alerts >= mark * scale for mark in _REPEATS_NOTED)
        scale *= 10
    return marks
