"""In which incident each problem was last: a table of the dedup store.

A clear may state less than the alert that opened the incident, so that nothing but this table leads it there.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Column, Connection, DateTime, MetaData, String, Table, delete, select

RETENTION = timedelta(days=400)
"""A regulated model's incident may stay open for long."""

metadata = MetaData()
_problems = Table(
    "problem_incidents",
    metadata,
    Column("problem", String(200), primary_key=True),
    Column("incident", String(200), nullable=False),
    Column("at", DateTime(timezone=True), index=True, nullable=False),
)


def insert(connection: Connection, insert_into: Callable[[Table], Any], incident_of: Mapping[str, str]) -> None:
    """Store the incidents of problems, and delete what is older than RETENTION.

    Args:
        connection: to the database.
        insert_into: the dialect's own INSERT, which knows ON CONFLICT.
        incident_of: the incident's id by problem.
    """
    now = datetime.now(UTC)
    rows = [{"problem": problem, "incident": incident, "at": now} for problem, incident in incident_of.items()]
    row = insert_into(_problems)
    changed = {"incident": row.excluded.incident, "at": row.excluded.at}
    connection.execute(row.on_conflict_do_update(index_elements=[_problems.c.problem], set_=changed), rows)
    connection.execute(delete(_problems).where(_problems.c.at < now - RETENTION))


def select_incidents(connection: Connection, problems: Collection[str]) -> dict[str, str]:
    """The incidents of those problems that are known."""
    query = select(_problems.c.problem, _problems.c.incident).where(_problems.c.problem.in_(problems))
    return {row.problem: row.incident for row in connection.execute(query)}
