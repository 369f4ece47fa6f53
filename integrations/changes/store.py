"""The reported changes of the last 30 days, in the gateway's database."""

from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import (
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    and_,
    delete,
    func,
    literal,
    or_,
    select,
)

from alerts import TocsinError
from integrations.base.sql_store import Cipher, SqlStore
from integrations.changes.model import RETENTION, ReportedChange

MAX_CHANGES = 20_000
"""The oldest fall out beyond this number."""
_LOCK = 0x70C51_C4A6E
_SEPARATOR = "\n"

_log = structlog.get_logger()
_metadata = MetaData()
_changes = Table(
    "reported_changes",
    _metadata,
    Column("id", String(60), primary_key=True),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("models", Text, nullable=False),
    Column("environment", String(255), nullable=False),
    Column("key", String(8), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("reported_changes_by_at", "at"),
    Index("reported_changes_by_received_at", "received_at"),
)


class ChangeStore:
    """Safe for use from several threads and processes. Every method may wait for the database."""

    def __init__(self, url: str, keys: Cipher | None = None) -> None:
        """
        Args:
            url: of the gateway's database, for SQLAlchemy.
            keys: encrypt the contents. Without a key they are stored as they are.
        """
        self._store = SqlStore(url, _metadata, lock=_LOCK)
        self._keys = keys

    def add(self, change: ReportedChange) -> bool:
        """Store a change; durable on return.

        Returns:
            False if a change of this id was stored before.

        Raises:
            StoreUnavailableError: the database is unavailable.
        """
        key = self._keys.current if self._keys else ""
        content = change.model_dump_json().encode()
        now = datetime.now(UTC)
        row = {
            "id": change.id,
            "at": change.at,
            "received_at": now,
            "models": _joined(change.models),
            "environment": change.environment.casefold(),
            "key": key,
            "content": self._keys.seal(content) if self._keys and key else content,
        }
        with self._store.transaction() as connection:
            added = connection.execute(self._store.insert(_changes), [row]).rowcount > 0
            connection.execute(delete(_changes).where(_changes.c.received_at < now - RETENTION))
            excess = connection.execute(select(func.count()).select_from(_changes)).scalar_one() - MAX_CHANGES
            if excess > 0:
                oldest = select(_changes.c.id).order_by(_changes.c.received_at).limit(excess)
                connection.execute(delete(_changes).where(_changes.c.id.in_(oldest.scalar_subquery())))
                _log.warning("changes_dropped", changes=excess, limit=MAX_CHANGES)
        return added

    def recent(
        self,
        model: str = "",
        environment: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 100,
    ) -> list[ReportedChange]:
        """The changes that may concern a model and an environment, newest first.

        A change that names no model or no environment may concern all of them. Names are compared without case.

        Args:
            model: the model's name; empty does not filter.
            environment: the environment; empty does not filter.
            since: the earliest time, included; 30 days ago by default.
            until: the latest time, excluded.
            limit: at most so many.

        Raises:
            StoreUnavailableError: the database is unavailable.
        """
        chosen = [_changes.c.at >= (since or datetime.now(UTC) - RETENTION - timedelta(hours=1))]
        if until is not None:
            chosen.append(_changes.c.at < until)
        if model:
            name = f"{_SEPARATOR}{model.casefold()}{_SEPARATOR}"
            chosen.append(or_(_changes.c.models == literal(""), _changes.c.models.contains(name, autoescape=True)))
        if environment:
            chosen.append(_changes.c.environment.in_(["", environment.casefold()]))
        query = select(_changes.c.content, _changes.c.key).where(and_(*chosen))
        with self._store.transaction() as connection:
            rows = connection.execute(query.order_by(_changes.c.at.desc(), _changes.c.id).limit(limit)).all()
        found = [self._opened(row.content, row.key) for row in rows]
        return [change for change in found if change is not None]

    def close(self) -> None:
        """Close the connections. A later use opens new ones."""
        self._store.close()

    def _opened(self, content: bytes, key: str) -> ReportedChange | None:
        try:
            plain = self._keys.open(content, key) if self._keys and key else content
            return ReportedChange.model_validate_json(plain)
        except (TocsinError, ValueError) as error:  # a key that was removed, or another version's content
            _log.warning("change_unreadable", error=str(error)[:200])
            return None


def _joined(names: tuple[str, ...]) -> str:
    return f"{_SEPARATOR}{_SEPARATOR.join(name.casefold() for name in names)}{_SEPARATOR}" if names else ""
