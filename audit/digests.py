"""What waits for a digest, and which issues were sent: the ledger by which none is lost and none is sent twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, update

from audit.database import Database
from audit.schema import digest_entries as entries
from audit.schema import digest_issues as issues

KEPT = timedelta(days=400)
"""For so long what was sent is kept: it is what the next issues are compared with."""


@dataclass(frozen=True)
class Entry:
    """One incident in a digest; ``brief`` is JSON of the sender's own. A fire drill is never counted."""

    key: str
    incident: str
    at: datetime
    brief: str
    drill: bool = False


@dataclass(frozen=True)
class Issue:
    """One issue. ``receipt`` is what was kept of sending it; empty where it was not sent yet."""

    entries: tuple[Entry, ...]
    receipt: str = ""


class DigestLedger:
    """Beside the audit log, in the same database. Safe for use from several threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, destination: str, entry: Entry) -> None:
        """Put it into the next issue; durable when this returns. One that is there already is left alone."""
        with self._database.writing() as connection:
            there = connection.execute(select(entries.c.key).where(entries.c.key == entry.key)).first()
            if there is None:
                connection.execute(entries.insert().values(destination=destination, issue=None, **vars(entry)))

    def claim(self, destination: str, issue: str, now: datetime) -> Issue:
        """All that waits, bound to this issue; the same again for an issue that has begun.

        What an earlier issue took and never sent, since somebody ended it, waits again.
        """
        with self._database.writing() as connection:
            begun = connection.execute(select(issues).where(issues.c.key == issue)).first()
            if begun is None:
                values = {"key": issue, "destination": destination, "begun_at": now, "sent_at": None, "receipt": ""}
                connection.execute(issues.insert().values(**values))
                unsent = select(issues.c.key).where(issues.c.destination == destination, issues.c.sent_at.is_(None))
                waiting = (entries.c.destination == destination) & (
                    entries.c.issue.is_(None) | entries.c.issue.in_(unsent)
                )
                connection.execute(update(entries).where(waiting).values(issue=issue))
                connection.execute(delete(entries).where(entries.c.at < now - KEPT, entries.c.issue.is_not(None)))
                connection.execute(delete(issues).where(issues.c.sent_at < now - KEPT))
            rows = connection.execute(
                select(entries).where(entries.c.issue == issue).order_by(entries.c.at, entries.c.key)
            ).all()
        found = tuple(Entry(row.key, row.incident, _utc(row.at), row.brief, row.drill) for row in rows)
        return Issue(found, begun.receipt if begun is not None and begun.sent_at is not None else "")

    def sent(self, issue: str, receipt: str, at: datetime) -> None:
        """It is out: from now on nothing sends it again."""
        with self._database.writing() as connection:
            connection.execute(update(issues).where(issues.c.key == issue).values(sent_at=at, receipt=receipt))

    def waiting(self) -> dict[str, int]:
        """How many wait, by destination."""
        unsent = select(issues.c.key).where(issues.c.sent_at.is_(None))
        query = (
            select(entries.c.destination, func.count())
            .where(entries.c.issue.is_(None) | entries.c.issue.in_(unsent))
            .group_by(entries.c.destination)
        )
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def counts(self, destination: str, edges: Sequence[datetime]) -> list[int]:
        """How many came in between each two neighbouring times, fire drills left out."""
        query = select(entries.c.at).where(
            entries.c.destination == destination,
            entries.c.at >= edges[0],
            entries.c.at < edges[-1],
            entries.c.drill.is_(False),
        )
        counts = [0] * (len(edges) - 1)
        with self._database.reading() as connection:
            for (at,) in connection.execute(query):
                position = sum(_utc(at) >= edge for edge in edges) - 1
                counts[position] += 1
        return counts


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
