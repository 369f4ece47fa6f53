"""When each problem's monitor was last triggered and cleared: a table of the dedup store, which outlives incidents.

An alert from before the last clear may arrive after the incident has closed. Nothing would ever clear the incident that
it opened.
"""

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, DateTime, MetaData, String, Table, delete, select

from incident.order import EventTimes

RETENTION = timedelta(days=7)
"""Senders give up a delivery sooner; after that an alert opens its incident, whatever it states."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = {
    "triggered": "triggered_at",
    "cleared": "cleared_at",
    "local triggered": "local_triggered_at",
    "local cleared": "local_cleared_at",
}
"""The column ``status``, and what holds the time in ``EventTimes``."""

metadata = MetaData()
_times = Table(
    "alert_times",
    metadata,
    Column("incident", String(200), primary_key=True),  # the problem, which is the id of an incident of its own
    Column("status", String(20), primary_key=True),
    Column("happened_us", BigInteger, nullable=False),  # microseconds since 1970: SQLite keeps no time zones
    Column("at", DateTime(timezone=True), index=True, nullable=False),
)


def insert(
    connection: Connection,
    insert_into: Callable[[Table], Any],
    problem: str,
    times: EventTimes,
) -> None:
    """Store the times, unless newer ones are known, and delete what is older than RETENTION.

    Args:
        connection: to the database.
        insert_into: the dialect's own INSERT, which knows ON CONFLICT.
        problem: whose monitor it is.
        times: by the sender's clock.
    """
    now = datetime.now(UTC)
    for status, field in _FIELDS.items():
        at: datetime | None = getattr(times, field)
        if at is None:
            continue
        row = insert_into(_times).values(incident=problem, status=status, happened_us=_microseconds(at), at=now)
        connection.execute(
            row.on_conflict_do_update(
                index_elements=[_times.c.incident, _times.c.status],
                set_={"happened_us": row.excluded.happened_us, "at": row.excluded.at},
                where=_times.c.happened_us < row.excluded.happened_us,
            )
        )
    connection.execute(delete(_times).where(_times.c.at < now - RETENTION))


def select_times(connection: Connection, problems: Collection[str]) -> dict[str, EventTimes]:
    """The times that are known, by problem."""
    rows = connection.execute(
        select(_times.c.incident, _times.c.status, _times.c.happened_us).where(
            _times.c.incident.in_(problems), _times.c.at >= datetime.now(UTC) - RETENTION
        )
    )
    found: dict[str, dict[str, datetime]] = {}
    for problem, status, happened in rows:
        name, at = _FIELDS[status], _EPOCH + timedelta(microseconds=happened)
        found.setdefault(problem, {})[name] = at.replace(tzinfo=None) if name.startswith("local") else at
    return {problem: EventTimes.model_validate(times) for problem, times in found.items()}


def _microseconds(at: datetime) -> int:
    return (at.replace(tzinfo=at.tzinfo or UTC) - _EPOCH) // timedelta(microseconds=1)
