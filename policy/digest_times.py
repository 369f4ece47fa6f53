"""When digests are sent: the one reading of their cron expressions, for Temporal's schedules and for counting periods.

Temporal evaluates a schedule's cron expressions in its time zone, and does two things where daylight saving begins and
ends (source: temporalio/temporal, ``service/worker/scheduler/calendar.go``, ``compiledCalendar.next``):

- A time in the hour that is skipped does not exist, and Temporal leaves it out: a weekly digest would come a week late.
  It is sent at the end of that hour instead, as Debian's cron does, by an entry of its own in the schedule. So is what
  Temporal leaves out of a day whose midnight is skipped.
- A time in the hour that is repeated is what Go's ``time.Date`` makes of it, and west of Greenwich it comes twice.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_LAST_YEAR = 2100  # Temporal's last


@dataclass(frozen=True)
class DigestTimes:
    """The times of a cron expression in a time zone."""

    cron: str
    timezone: str

    @property
    def expressions(self) -> tuple[str, ...]:
        """The expressions for Temporal.

        If one restricts both the day of the month and the day of the week, cron means either and Temporal means both,
        so it becomes two.
        """
        minute, hour, day, month, weekday = self.cron.split()
        if day.startswith("*") or weekday.startswith("*"):
            return (self.cron,)
        return (f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}")

    def after(self, start: datetime) -> Iterator[datetime]:
        """The times after ``start`` that Temporal starts a digest, in UTC, without end."""
        moved: list[datetime] = []
        searched = start
        for at in self._plain(start):
            while searched < at:
                until = searched + timedelta(days=366)
                moved += [one for one in self.in_skipped_hours(searched, until) if searched < one <= until]
                searched = until
            while moved and moved[0] < at:
                yield moved.pop(0).astimezone(UTC)
            yield at

    def before(self, end: datetime, count: int) -> list[datetime]:
        """The last times up to ``end``, in UTC, the latest last."""
        local = end.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None) + _DAY
        # Wall-clock times are counted back generously: some are not there, and some come twice.
        earlier = list(islice(CronSim(self.cron, local, reverse=True), count * 2 + 50))
        start = (earlier[-1] - _DAY).replace(tzinfo=ZoneInfo(self.timezone)).astimezone(UTC)
        found: list[datetime] = []
        for at in self.after(start):
            if at > end:
                break
            found.append(at)
        return found[-count:]

    def in_skipped_hours(self, start: datetime, end: datetime) -> list[datetime]:
        """The times between ``start`` and ``end``, local, that stand for times that daylight saving skips."""
        zone = ZoneInfo(self.timezone)
        found: list[datetime] = []
        for first, last in _gaps(zone, start, end):
            until = first + _DAY
            times = takewhile(lambda at, until=until: at < until, CronSim(self.cron, first - timedelta(seconds=1)))
            wanted = {max(at, last).replace(tzinfo=zone).astimezone(UTC) for at in times}
            begin, finish = (at.replace(tzinfo=zone).astimezone(UTC) for at in (last, until))
            plain = takewhile(lambda at, finish=finish: at < finish, self._plain(begin - timedelta(seconds=1)))
            found += sorted(at.astimezone(zone) for at in wanted.difference(plain))
        return found

    def _plain(self, start: datetime) -> Iterator[datetime]:
        """What Temporal makes of the expressions alone."""
        zone = ZoneInfo(self.timezone)
        calendars = [_Calendar(expression, zone) for expression in self.expressions]
        while True:
            found = [at for calendar in calendars if (at := calendar.next(start)) is not None]
            if not found:
                return
            start = min(found)
            yield start


def _gaps(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The wall-clock times that do not exist, as the first and the first that does again, without a time zone."""
    at = start.astimezone(UTC).replace(second=0, microsecond=0) - _DAY
    while at < end:
        following = at + _DAY
        before, after = (one.astimezone(zone).utcoffset() or timedelta(0) for one in (at, following))
        if after > before:
            low, high = at, following
            while high - low > timedelta(minutes=1):
                middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
                low, high = (low, middle) if middle.astimezone(zone).utcoffset() == after else (middle, high)
            first = (high + before).replace(tzinfo=None)
            yield first, first + (after - before)
        at = following


class _Calendar:
    """``compiledCalendar.next`` of Temporal, for one cron expression, whose seconds are 0."""

    def __init__(self, expression: str, zone: ZoneInfo) -> None:
        fields = CronSim(expression, datetime(2026, 1, 1))  # noqa: DTZ001  # it parses the fields; the time is not used
        self._zone = zone
        self._minutes, self._hours = fields.minutes, fields.hours
        self._days, self._months = fields.days, fields.months
        self._weekdays = {int(str(one)) % 7 for one in fields.weekdays}

    def next(self, after: datetime) -> datetime | None:
        """The first time after this one, in UTC."""
        local = after.astimezone(self._zone)
        repeated = _HOUR if (after - _HOUR).astimezone(self._zone).hour == local.hour else timedelta(0)
        # ``at`` is a wall-clock time, counted on minute by minute, hour by hour or day by day.
        at = local.replace(tzinfo=None, second=0, microsecond=0)
        at, repeated = self._next_minute(at, repeated)
        while at.year <= _LAST_YEAR:
            if at.month not in self._months:
                at, repeated = _midnight((at.replace(day=1) + timedelta(days=32)).replace(day=1)), timedelta(0)
            elif at.day not in self._days or self._weekday(at) not in self._weekdays:
                at, repeated = _midnight(at + _DAY), timedelta(0)
            elif at.hour not in self._hours:
                at, repeated = at.replace(minute=0) + _HOUR, timedelta(0)
            elif at.minute not in self._minutes:
                at, repeated = self._next_minute(at, repeated)
            else:
                found = _go_date(at, self._zone)
                if found.astimezone(self._zone).hour == at.hour:
                    return found + repeated
                at = at.replace(minute=0) + _HOUR  # the hour is skipped
        return None

    def _weekday(self, at: datetime) -> int:
        """Where midnight is skipped, Temporal takes it for the day before, and leaves out the whole day."""
        return _go_date(at, self._zone).astimezone(self._zone).isoweekday() % 7

    def _next_minute(self, at: datetime, repeated: timedelta) -> tuple[datetime, timedelta]:
        following = at + timedelta(minutes=1)
        if following.minute:
            return following, repeated
        began, begins = (_go_date(one, self._zone) for one in (at.replace(minute=0), following))
        if not repeated and begins - began > _HOUR:
            return at.replace(minute=0), _HOUR  # the hour is repeated: once more, an hour later
        return following, timedelta(0)


def _midnight(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0)


def _go_date(at: datetime, zone: ZoneInfo) -> datetime:
    """The time, in UTC, that Go's ``time.Date`` makes of a wall-clock time (source: the Go project, ``time/time.go``).

    It takes the offset that applies at the same figures in UTC, and if that offset does not apply at the result, the
    one that does.
    """
    figures = at.replace(tzinfo=UTC)
    offset = figures.astimezone(zone).utcoffset() or timedelta(0)
    found = figures - offset
    at_result = found.astimezone(zone).utcoffset() or timedelta(0)
    return found if at_result == offset else figures - at_result
