"""Maintenance windows: when notifications wait, by the policy's ``noise.maintenance``."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import takewhile
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rruleset, rrulestr

from policy.cel.conditions import Condition
from policy.decision import MaintenanceSpan
from policy.digest_times import DigestTimes
from policy.durations import Seconds

HORIZON = timedelta(days=7)
"""How far ahead a decision knows the windows. An incident that is open for longer escalates in later ones."""
MAX_SPANS = 32
"""Windows that a decision has at most: the next ones."""
_EPOCH = datetime(2024, 1, 1)  # noqa: DTZ001  # a Monday, in the window's own time zone; it anchors INTERVAL


@dataclass(frozen=True)
class MaintenanceWindow:
    """A recurring window. ``cron`` or ``rule`` (RFC 5545's RRULE) says when it begins, in its time zone."""

    condition: Condition | None = field(compare=False)
    """Which alerts it is for; None only if the policy is invalid."""
    name: str
    duration: Seconds
    timezone: str
    cron: str = ""
    rule: str = ""

    def spans(self, now: datetime) -> list[MaintenanceSpan]:
        """The windows that have not ended yet, the first first, up to ``HORIZON``."""
        hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return [one for one in _spans(self, hour) if one.until > now]

    def begins(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """When it begins, in UTC, in the order of time."""
        if self.cron:
            return takewhile(lambda at: at <= until, DigestTimes(self.cron, self.timezone).after(after))
        return iter(_begins_by_rule(self.rule, self.timezone, after, until))


@lru_cache(maxsize=512)
def _spans(window: MaintenanceWindow, hour: datetime) -> tuple[MaintenanceSpan, ...]:
    """Those that have not ended at that hour. Of windows that overlap, each begins in the one before: they are one."""
    length = timedelta(seconds=window.duration)
    found: list[MaintenanceSpan] = []
    for at in window.begins(hour - length, hour + HORIZON):
        if found and at <= found[-1].until:
            found[-1] = found[-1].model_copy(update={"until": at + length})
        elif len(found) < MAX_SPANS:
            found.append(MaintenanceSpan(since=at, until=at + length, reason=window.name))
        else:
            break
    return tuple(found)


def _begins_by_rule(rule: str, timezone: str, after: datetime, until: datetime) -> list[datetime]:
    """Wall-clock times become UTC by their zone. One that daylight saving skips is the first that exists after it."""
    zone = ZoneInfo(timezone)
    first, last = (at.astimezone(zone).replace(tzinfo=None) for at in (after, until))
    day = timedelta(days=1)  # the offsets of the ends may differ
    times = parse_rule(rule).between(first - day, last + day, inc=True)
    found = {at.replace(tzinfo=zone).astimezone(UTC) for at in times}
    return sorted(at for at in found if after < at <= until)


def parse_rule(rule: str) -> rrule | rruleset:
    """An RRULE, with or without its ``DTSTART`` line, in wall-clock time.

    Raises:
        ValueError: it is none.
    """
    return rrulestr(rule, dtstart=_EPOCH, ignoretz=True)
