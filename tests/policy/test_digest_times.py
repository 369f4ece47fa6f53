"""The times of digests: what cron means in the hours that daylight saving skips and repeats."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from cronsim import CronSim

from policy.digest_times import DigestTimes

ZONES = sorted(
    zone for zone in available_timezones() if "/" in zone and not zone.startswith(("Etc/", "posix", "right"))
)
CRONS = ("30 2 * * 0", "30 1 * * *", "0 0 * * *", "30 0 * * 0", "15,45 2 * * *")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def between(times: DigestTimes, start: datetime, end: datetime) -> list[datetime]:
    return list(takewhile(lambda at: at < end, times.after(start)))


@pytest.mark.parametrize(
    ("zone", "cron", "day", "expected"),
    [
        ("Europe/Berlin", "30 2 * * 0", "2027-03-28", ["01:00"]),  # 02:00 to 03:00 is skipped: at 03:00
        ("Europe/Berlin", "15,45 2 * * *", "2027-03-28", ["01:00"]),  # once for both
        ("Europe/Berlin", "30 2,3 * * *", "2027-03-28", ["01:00", "01:30"]),
        ("Europe/Berlin", "0 2,3 * * *", "2027-03-28", ["01:00"]),  # 03:00 is due anyway
        ("Europe/Berlin", "30 2 * * *", "2027-10-31", ["01:30"]),  # the second 02:30
        ("America/New_York", "30 2 * * *", "2027-03-14", ["07:00"]),
        ("America/New_York", "30 1 * * *", "2027-11-07", ["05:30", "06:30"]),  # both
        ("Atlantic/Azores", "30 2 * * 0", "2027-03-28", ["02:30"]),  # midnight is skipped: Temporal leaves out the day
    ],
)
def test_time_where_daylight_saving_changes(zone: str, cron: str, day: str, expected: list[str]) -> None:
    start = utc(day)
    found = between(DigestTimes(cron, zone), start - timedelta(seconds=1), start + timedelta(hours=23))
    assert [f"{at:%H:%M}" for at in found] == expected


@pytest.mark.parametrize("cron", CRONS)
@pytest.mark.parametrize("zone", ZONES[::31])
def test_every_day_of_cron_has_its_digest(zone: str, cron: str) -> None:
    """No zone's daylight saving leaves out a day, and elsewhere the times are those of the cron library."""
    start, end = utc("2026-09-01"), utc("2027-11-30")
    found = between(DigestTimes(cron, zone), start, end)
    local = {at.astimezone(ZoneInfo(zone)).date() for at in found}
    library = takewhile(lambda at: at < end, CronSim(cron, start.astimezone(ZoneInfo(zone))))
    expected = [at.astimezone(UTC) for at in library]
    assert local == {at.astimezone(ZoneInfo(zone)).date() for at in expected}
    changes = {day.date() for day in _changes(ZoneInfo(zone), start, end)}
    ordinary = [at for at in expected if at.astimezone(ZoneInfo(zone)).date() not in changes]
    assert [at for at in found if at.astimezone(ZoneInfo(zone)).date() not in changes] == ordinary


def _changes(zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """The local days around each change of the offset."""
    found: list[datetime] = []
    at = start
    while at < end:
        if at.astimezone(zone).utcoffset() != (at + timedelta(days=1)).astimezone(zone).utcoffset():
            found += [(at + timedelta(days=days)).astimezone(zone) for days in (-1, 0, 1, 2)]
        at += timedelta(days=1)
    return found


@pytest.mark.parametrize("cron", [*CRONS, "0 8 1 * 1", "*/30 * * * *", "0 8 29 2 *"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
@pytest.mark.parametrize("end", ["2027-03-28T02:00", "2026-11-01T06:30"])
def test_times_before_are_those_after(zone: str, cron: str, end: str) -> None:
    times = DigestTimes(cron, zone)
    found = times.before(utc(end), 9)
    assert len(found) == 9
    assert found == between(times, found[0] - timedelta(seconds=1), utc(end) + timedelta(seconds=1))
