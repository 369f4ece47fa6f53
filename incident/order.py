"""In which order things happened: retries, spools and several gateways deliver them in another order.

What happened before the newest known event of its kind changes nothing. A time orders events only if it can be
believed: one that is missing, in the future or more than a year old says nothing, and then the order of arrival counts.
So it does for a time that comes again, because some senders state a constant, or the beginning of the episode.

A time without ``tzinfo`` is of an unknown time zone. Such times are kept apart, and compare with each other only: a
monitor's alerts may state local time, and its clears, which Tocsin reads from Arize, UTC.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

from alerts import plausible_time
from alerts.times import LARGEST_OFFSET

CLOCK_TOLERANCE = timedelta(minutes=1)
"""How far a sender's clock may be ahead."""
MAX_CLOCK_ERROR = timedelta(hours=1)
MAX_AGE = timedelta(days=366)
MONITOR_TIMES = ("triggered_at", "cleared_at", "local_triggered_at", "local_cleared_at")
"""The fields of ``EventTimes``, and of an incident's result, that outlive the incident."""
CLOCK_CHANGE = timedelta(hours=1)
"""By how much local time is set back in autumn."""
_OWN_CLOCKS = frozenset({"api", "link"})
"""The sources whose times a gateway states. What is done at a vendor names the vendor's own page or ticket."""


def believable(at: datetime | None, now: datetime) -> datetime | None:
    """The time if it can order events, otherwise None."""
    ahead = LARGEST_OFFSET if _is_local(at) else CLOCK_TOLERANCE
    return at if plausible_time(at, now, max_age=MAX_AGE, max_ahead=ahead) else None


def _is_local(at: datetime | None) -> bool:
    return at is not None and at.tzinfo is None


def _is_none(value: object) -> bool:
    return value is None


class EventTimes(BaseModel):
    """When the newest known events of an incident happened, by their senders' clocks. Mutable, a part of its state."""

    triggered_at: datetime | None = None
    cleared_at: datetime | None = None
    local_triggered_at: datetime | None = Field(default=None, exclude_if=_is_none)
    local_cleared_at: datetime | None = Field(default=None, exclude_if=_is_none)
    """The same of times without a time zone."""
    alert_arrived_at: datetime | None = None
    """When a gateway received the newest triggered alert; if it does not say, when that was processed."""
    first_arrived_at: datetime | None = Field(default=None, exclude_if=_is_none)
    """When a gateway received the first triggered alert, if it says so: it may have been spooled before the opening."""
    acknowledged: dict[str, datetime] = Field(default_factory=dict[str, datetime])
    """By source: the newest action that makes the incident quieter, an acknowledgement, a silence, a resolution."""
    withdrawn: dict[str, datetime] = Field(default_factory=dict[str, datetime])
    """By source: the newest action that makes it louder again, a withdrawn acknowledgement, a reopening."""
    escalated_at: datetime | None = None
    """When a louder alert, or one that fires again, started the escalation, by Temporal's clock."""
    started_at: datetime | None = None
    """When Temporal accepted the incident. If no worker ran, that is long before the incident opened."""

    # ── Alerts ──────────────────────────────────────────────────────────────────────────────────────────

    def last_trigger(self, at: datetime | None) -> datetime | None:
        """The newest time of a triggered alert that compares with ``at``."""
        return self.local_triggered_at if _is_local(at) else self.triggered_at

    def last_clear(self, at: datetime | None) -> datetime | None:
        """The newest time of a clear that compares with ``at``."""
        return self.local_cleared_at if _is_local(at) else self.cleared_at

    def is_older_trigger(self, at: datetime | None, now: datetime) -> bool:
        """Whether the monitor cleared after this trigger. The known trigger's own time, again, is no older one.

        Local time comes twice when clocks are set back: what may be newer is.
        """
        at = believable(at, now)
        cleared = self.last_clear(at)
        if cleared is not None and _is_local(at):
            cleared -= CLOCK_CHANGE
        return at is not None and cleared is not None and at < cleared and at != self.last_trigger(at)

    def is_older_clear(self, at: datetime | None, now: datetime) -> bool:
        """Whether the monitor triggered after this clear. A clear may state the time of the trigger that it ends."""
        at = believable(at, now)
        triggered = self.last_trigger(at)
        return at is not None and triggered is not None and at < triggered

    def add_trigger(self, at: datetime | None, now: datetime, received_at: datetime | None = None) -> None:
        if _is_local(at):
            self.local_triggered_at = _newer(self.local_triggered_at, at, now)
        else:
            self.triggered_at = _newer(self.triggered_at, at, now)
        arrived = min(received_at or now, now)
        if received_at is not None:
            self.first_arrived_at = min(self.first_arrived_at or arrived, arrived)
        self.alert_arrived_at = max(self.alert_arrived_at or arrived, arrived)

    def add_clear(self, at: datetime | None, now: datetime) -> None:
        """By a clock that is ahead, a clear counts as of now: it must not make void what is still to come."""
        if _is_local(at):
            self.local_cleared_at = _newer(self.local_cleared_at, at, now)
        else:
            self.cleared_at = _newer(self.cleared_at, _not_ahead(at, now), now)

    def of_monitor(self) -> "EventTimes":
        """Only when the monitor triggered and cleared: what outlives the incident."""
        return EventTimes.model_validate(self.model_dump(include=set(MONITOR_TIMES)))

    @property
    def has_clear(self) -> bool:
        """Whether the monitor is known to have cleared at some time."""
        return self.cleared_at is not None or self.local_cleared_at is not None

    def gap(self, at: datetime | None, now: datetime, received_at: datetime | None = None) -> timedelta | None:
        """How long after the last triggered alert this one arrived, or happened, whichever is longer.

        Time that it spent in a spool, or while no worker ran, does not count.
        """
        gaps = [min(received_at or now, now) - self.alert_arrived_at] if self.alert_arrived_at else []
        happened = self.happened_after(at, now)
        return max([*gaps, *([] if happened is None else [happened])], default=None)

    def happened_after(self, at: datetime | None, now: datetime) -> timedelta | None:
        """How long after the last triggered alert this one happened; None if a time is unknown."""
        at = believable(at, now)
        triggered = self.last_trigger(at)
        return at - triggered if at and triggered else None

    # ── Responder actions ───────────────────────────────────────────────────────────────────────────────

    def is_older_acknowledgement(
        self, source: str, at: datetime | None, opened_at: datetime, now: datetime, *, names_run: bool = False
    ) -> bool:
        """Whether an acknowledgement, or a resolution, is of what was withdrawn, or fires again, since.

        Args:
            source: where it was done.
            at: when, by the clock of that source.
            opened_at: when the incident opened.
            now: the time.
            names_run: the action is about this opening of the incident, and about none before.
        """
        at = believable(at, now)
        if at is None:
            return False
        if _is_older(source, at, self.withdrawn, opened_at):
            return True
        is_own = source in _OWN_CLOCKS
        if not is_own and at < opened_at - MAX_CLOCK_ERROR:
            return False
        fired_again = self.escalated_at is not None and at < self.escalated_at
        return fired_again or (is_own and not names_run and self._is_before_opening(at, opened_at))

    def _is_before_opening(self, at: datetime, opened_at: datetime) -> bool:
        """Whether an action is of an earlier incident with the same id.

        An alert may wait for Temporal: then somebody may answer it before the incident opens. One from long before
        has probably a constant time.
        """
        opened_at = min(opened_at, self.started_at or opened_at, self.first_arrived_at or opened_at)
        triggered_at = self.triggered_at
        if triggered_at is None or triggered_at < opened_at - MAX_CLOCK_ERROR:
            return at < opened_at
        return at < min(opened_at, triggered_at)

    def is_older_withdrawal(self, source: str, at: datetime | None, opened_at: datetime, now: datetime) -> bool:
        """Whether somebody acknowledged after this withdrawal, or resolved after this reopening."""
        at = believable(at, now)
        return at is not None and _is_older(source, at, self.acknowledged, opened_at)

    def add_acknowledgement(self, source: str, at: datetime | None, now: datetime) -> None:
        """As of now, if the clock is ahead, like a clear."""
        _add(self.acknowledged, source, _not_ahead(at, now))

    def add_withdrawal(self, source: str, at: datetime | None, now: datetime) -> None:
        _add(self.withdrawn, source, believable(at, now))


def _is_older(source: str, at: datetime, known: Mapping[str, datetime], opened_at: datetime) -> bool:
    """Whether one source knows of something newer than ``at``.

    Times of one source compare in any case. Those of two compare only if neither clock can be seen to be wrong:
    nobody answers an incident an hour before it opens.
    """
    earliest = opened_at - MAX_CLOCK_ERROR
    return any(
        at < newest for name, newest in known.items() if name == source or (at >= earliest and newest >= earliest)
    )


def _add(known: dict[str, datetime], source: str, at: datetime | None) -> None:
    if at is not None:
        known[source] = max(known.get(source, at), at)


def _not_ahead(at: datetime | None, now: datetime) -> datetime | None:
    at = believable(at, now)
    return at and min(at, now)


def _newer(known: datetime | None, at: datetime | None, now: datetime) -> datetime | None:
    times = [one for one in (known, believable(at, now)) if one is not None]
    return max(times, default=None)
