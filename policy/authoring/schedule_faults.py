"""What is wrong with a cron expression, an RRULE or a time zone, in words that name the remedy."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from dateutil.rrule import rrulestr

from policy.authoring.suggestions import closest

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def cron_faults(cron: str) -> Iterator[str]:
    """Why Temporal's schedules, and ``policy.digest_times``, do not read a cron expression."""
    try:
        CronSim(cron, _EPOCH)
    except CronSimError as error:
        words = f"{str(error)[:1].lower()}{str(error)[1:]}"
        yield (
            f"{cron!r} is not a cron expression: {words}; minute, hour, day of the month, month "
            'and day of the week are needed, as in "0 8 * * 1" for Mondays at 08:00'
        )
        return
    if unfit := re.search(r"[LW#]", re.sub(r"[A-Z]{3}", "", cron.upper())):
        yield f"{cron!r}: Temporal's schedules do not support {unfit[0]}"
    elif len(cron.split()) != 5:
        yield f"{cron!r} does not have five fields"


def rule_faults(rule: str) -> Iterator[str]:
    """Why a text is no RRULE of RFC 5545."""
    try:
        rrulestr(rule, dtstart=_EPOCH.replace(tzinfo=None), ignoretz=True)
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:  # what its parser raises
        example = '"FREQ=WEEKLY;BYDAY=SU;BYHOUR=2;BYMINUTE=0;BYSECOND=0"'
        yield f"{rule[:80]!r} is not an RRULE: {error}; write {example}, for example"


def timezone_faults(timezone: str) -> Iterator[str]:
    """Why a name is no time zone of this machine."""
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        near = closest(timezone.title(), available_timezones(), 0.7) or _city(timezone)
        meant = f": did you mean {near}?" if near else "; use Europe/Berlin or UTC, for example"
        yield f"{timezone!r} is not a time zone{meant}"


def _city(name: str) -> str:
    """The zone of a city that is written without its continent."""
    zones = sorted(available_timezones())
    return next((zone for zone in zones if zone.rpartition("/")[2].casefold() == name.casefold()), "")
