"""The digest ledger: the incidents that wait for a digest, and the digests that were sent.

It lets a digest be retried without losing an incident or sending one twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, select, update

from audit.database import Database
from audit.schema import digest_items as items
from audit.schema import digests

RETENTION = timedelta(days=400)
"""How long sent items are kept: later digests compare themselves with them."""


@dataclass(frozen=True)
class DigestItem:
    """One incident in a digest. ``content`` is JSON in the sender's own format. A drill is never counted."""

    key: str
    incident: str
    at: datetime
    content: str
    drill: bool = False


@dataclass(frozen=True)
class ClaimedDigest:
    """The items of one digest. ``receipt`` is JSON, its proof of delivery; empty until it is sent."""

    items: tuple[DigestItem, ...]
    receipt: str = ""


class DigestLedger:
    """Stored in the audit log's database. Safe for use from several threads and processes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, destination: str, item: DigestItem) -> None:
        """Put an item into the destination's next digest; durable on return. A known key changes nothing."""
        with self._database.writing() as connection:
            known = connection.execute(select(items.c.key).where(items.c.key == item.key)).first()
            if known is None:
                connection.execute(items.insert().values(destination=destination, digest=None, **vars(item)))

    def claim(self, destination: str, digest: str, now: datetime) -> ClaimedDigest:
        """Bind all waiting items to a digest. A digest that was claimed before gets the same items again.

        Items of an earlier digest that was never sent, because its workflow was terminated, are waiting too.

        Args:
            destination: its name in the policy.
            digest: the digest's idempotency key.
            now: the time from which the retention counts.
        """
        with self._database.writing() as connection:
            claimed = connection.execute(select(digests).where(digests.c.key == digest)).first()
            if claimed is None:
                values = {"key": digest, "destination": destination, "started_at": now, "sent_at": None, "receipt": ""}
                connection.execute(digests.insert().values(**values))
                unsent = select(digests.c.key).where(digests.c.destination == destination, digests.c.sent_at.is_(None))
                waiting = (items.c.destination == destination) & (items.c.digest.is_(None) | items.c.digest.in_(unsent))
                connection.execute(update(items).where(waiting).values(digest=digest))
                connection.execute(delete(items).where(items.c.at < now - RETENTION, items.c.digest.is_not(None)))
                connection.execute(delete(digests).where(digests.c.sent_at < now - RETENTION))
            rows = connection.execute(
                select(items).where(items.c.digest == digest).order_by(items.c.at, items.c.key)
            ).all()
        found = tuple(DigestItem(row.key, row.incident, _utc(row.at), row.content, row.drill) for row in rows)
        return ClaimedDigest(found, claimed.receipt if claimed is not None and claimed.sent_at is not None else "")

    def mark_sent(self, digest: str, receipt: str, at: datetime) -> None:
        """Record that a digest was sent. No later digest contains its items."""
        with self._database.writing() as connection:
            connection.execute(update(digests).where(digests.c.key == digest).values(sent_at=at, receipt=receipt))

    def waiting(self) -> dict[str, int]:
        """The number of items that wait, by destination. A destination without one is not in it."""
        unsent = select(digests.c.key).where(digests.c.sent_at.is_(None))
        query = (
            select(items.c.destination, func.count())
            .where(items.c.digest.is_(None) | items.c.digest.in_(unsent))
            .group_by(items.c.destination)
        )
        with self._database.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def counts(self, destination: str, edges: Sequence[datetime]) -> list[int]:
        """The number of items in each period between two neighbouring edges, drills left out."""
        query = select(items.c.at).where(
            items.c.destination == destination,
            items.c.at >= edges[0],
            items.c.at < edges[-1],
            items.c.drill.is_(False),
        )
        counts = [0] * (len(edges) - 1)
        with self._database.reading() as connection:
            for (at,) in connection.execute(query):
                position = sum(_utc(at) >= edge for edge in edges) - 1
                counts[position] += 1
        return counts


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
