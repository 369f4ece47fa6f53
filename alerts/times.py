"""When a time that a sender stated says when its alert happened.

Senders' templates state dates without a time of day, constants, the zero of some clock, and local time as UTC. Such a
time identifies no event and orders none: an alert that has one is taken as new, in the order in which it arrived. A
time without a time zone (``Alert.local_time``) is compared with its like only.
"""

from datetime import UTC, datetime, time, timedelta

MAX_AGE = timedelta(days=7)
"""Older than any redelivery: the dedup store forgets sooner or at the same time."""
MAX_AHEAD = timedelta(minutes=5)
"""How far a sender's clock may be ahead, as for the timestamps of signatures."""
LARGEST_OFFSET = timedelta(hours=14)
"""How far local time may be ahead of UTC."""
MAX_MIDNIGHT_AGE = timedelta(hours=1)
"""Exactly midnight, and received later than this, is a date: an evaluation is sent when it is made."""


def plausible_time(
    alert_time: datetime | None,
    received_at: datetime,
    *,
    max_age: timedelta = MAX_AGE,
    max_ahead: timedelta = MAX_AHEAD,
) -> bool:
    """Whether an alert's time may identify its event, and order it among others.

    Args:
        alert_time: what the sender stated; without a time zone it is UTC.
        received_at: when a gateway received it; without a time zone it is UTC.
        max_age: of a time that is believed.
        max_ahead: how far it may lie in the future.
    """
    if alert_time is None:
        return False
    stated, received = _utc(alert_time), _utc(received_at)
    age = received - stated
    if age > max_age or -age > max_ahead:
        return False
    return stated.time() != time() or age <= MAX_MIDNIGHT_AGE


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
