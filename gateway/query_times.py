"""Times in query parameters."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator

_EARLIEST, _LATEST = datetime(1970, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001  # compared before the zone is


def _utc(at: datetime) -> datetime:
    """In UTC, which it is in if it names no zone. Stores, and Python, convert no times at the ends of the calendar."""
    if not _EARLIEST <= at.replace(tzinfo=None) <= _LATEST:
        raise ValueError("it must lie between 1970 and 2200")
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


UtcTime = Annotated[datetime, AfterValidator(_utc)]
"""ISO 8601, as ``2026-11-24T03:00:00Z``; UTC if it names no zone."""
