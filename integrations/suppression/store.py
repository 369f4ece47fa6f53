"""Silences, open inhibitors and page budgets: in the gateway's database, which all workers and gateways share."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import structlog
from pydantic import ValidationError
from sqlalchemy import (
    Column,
    Connection,
    DateTime,
    Double,
    Index,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)

from incident.suppression import Inhibitor, Silence
from integrations.base.sql_store import SqlStore

RETENTION = timedelta(days=90)
"""How long a silence that is over is listed. The audit log keeps it."""
_LOCK = 0x70C51_5117

_log = structlog.get_logger()
_metadata = MetaData()
_silences = Table(
    "silences",
    _metadata,
    Column("id", String(60), primary_key=True),
    Column("until", DateTime(timezone=True), nullable=False),
    Column("content", Text, nullable=False),
    Index("silences_by_until", "until"),
)
_inhibitors = Table(
    "inhibitors",
    _metadata,
    Column("incident", String(200), primary_key=True),
    Column("problem", String(200), primary_key=True),
    Column("content", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)
_pages = Table(
    "budgeted_pages",
    _metadata,
    Column("key", String(400), primary_key=True),
    Column("scope", String(400), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Index("budgeted_pages_by_scope", "scope", "at"),
)
_carriers = Table(
    "budget_carriers",
    _metadata,
    Column("scope", String(400), primary_key=True),
    Column("incident", String(200), nullable=False),
    Column("key", String(400), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)


_values = Table(
    "metric_values",
    _metadata,
    Column("problem", String(200), primary_key=True),
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("value", Double, nullable=False),
)
VALUES_KEPT = timedelta(days=400)
"""How long the values of alerts are kept, which say what is usual."""


class SuppressionStore:
    """Safe for use from several threads and processes. Every method may wait for the database.

    All raise StoreUnavailableError if it is unavailable: then nothing is suppressed.
    """

    def __init__(self, url: str) -> None:
        """``url`` is an SQLAlchemy URL."""
        self._store = SqlStore(url, _metadata, lock=_LOCK)

    # ── Silences ────────────────────────────────────────────────────────────────────────────────────────

    def put(self, silence: Silence) -> None:
        """Store a silence, or its new state; durable on return."""
        row = {"id": silence.id, "until": silence.until, "content": silence.model_dump_json()}
        with self._store.transaction() as connection:
            if not connection.execute(update(_silences).where(_silences.c.id == silence.id).values(row)).rowcount:
                connection.execute(_silences.insert().values(row))
            connection.execute(delete(_silences).where(_silences.c.until < datetime.now(UTC) - RETENTION))

    def silence(self, identifier: str) -> Silence | None:
        """The silence of that id."""
        with self._store.reading() as connection:
            content = connection.execute(
                select(_silences.c.content).where(_silences.c.id == identifier)
            ).scalar_one_or_none()
        return Silence.model_validate_json(content) if content else None

    def silences(self, since: datetime) -> list[Silence]:
        """Those that are not over, or ended since; the one that ends first comes first."""
        with self._store.reading() as connection:
            return _read_silences(connection, since)

    # ── What suppresses now ─────────────────────────────────────────────────────────────────────────────

    def active(self, now: datetime) -> tuple[list[Silence], list[Inhibitor]]:
        """The silences that are not over, and the open problems that inhibit others."""
        with self._store.reading() as connection:
            rows = connection.execute(select(_inhibitors.c.content).order_by(_inhibitors.c.at)).scalars()
            return _read_silences(connection, now), [Inhibitor.model_validate_json(content) for content in rows]

    def set_inhibitors(self, incident: str, inhibitors: Iterable[Inhibitor]) -> None:
        """These problems of an incident are open and inhibit others, and no others of it; durable on return."""
        now = datetime.now(UTC)
        rows = [
            {"incident": incident, "problem": one.problem, "content": one.model_dump_json(), "at": now}
            for one in inhibitors
        ]
        with self._store.transaction() as connection:
            connection.execute(delete(_inhibitors).where(_inhibitors.c.incident == incident))
            if rows:
                connection.execute(_inhibitors.insert(), rows)

    # ── Values of metrics ───────────────────────────────────────────────────────────────────────────────

    def note_value(self, problem: str, at: datetime, value: float) -> list[tuple[datetime, float]]:
        """Keep the value of a monitor's alert, once for each time. Returns all that are kept of it."""
        with self._store.transaction() as connection:
            connection.execute(self._store.insert(_values).values(problem=problem, at=at, value=value))
            connection.execute(delete(_values).where(_values.c.problem == problem, _values.c.at < at - VALUES_KEPT))
            rows = connection.execute(select(_values.c.at, _values.c.value).where(_values.c.problem == problem))
            return [(_in_utc(when), float(known)) for when, known in rows]

    # ── Page budgets ────────────────────────────────────────────────────────────────────────────────────

    def claim(self, scope: str, key: str, incident: str, pages: int, within: timedelta, now: datetime) -> str:
        """Claim a page of a budget. The same key gets the same answer.

        Args:
            scope: whose budget.
            key: of the page.
            incident: which pages.
            pages: how many there are.
            within: in what time.
            now: the time.

        Returns:
            The incident that lists what goes beyond the budget: ``incident`` itself if it is the first to do so, and
            empty if there is room.
        """
        with self._store.transaction() as connection:
            connection.execute(delete(_pages).where(_pages.c.at <= now - max(within, timedelta(days=1))))
            if connection.execute(select(_pages.c.key).where(_pages.c.key == key)).first():
                return ""
            recent = (_pages.c.scope == scope) & (_pages.c.at > now - within)
            used = connection.execute(select(func.count()).select_from(_pages).where(recent)).scalar_one()
            carrier = connection.execute(select(_carriers).where(_carriers.c.scope == scope)).one_or_none()
            if carrier is not None and (carrier.key == key or used >= pages):
                return str(carrier.incident)
            if used < pages:
                connection.execute(_pages.insert().values(key=key, scope=scope, at=now))
                connection.execute(delete(_carriers).where(_carriers.c.scope == scope))
                return ""
            connection.execute(_carriers.insert().values(scope=scope, incident=incident, key=key, at=now))
            return incident

    def replace_carrier(self, scope: str, key: str, incident: str, closed: str) -> str:
        """The incident that listed what goes beyond a budget is closed: this one does by now, or another one.

        Returns:
            Which one does.
        """
        with self._store.transaction() as connection:
            row = {"incident": incident, "key": key, "at": datetime.now(UTC)}
            mine = (_carriers.c.scope == scope) & (_carriers.c.incident == closed)
            connection.execute(update(_carriers).where(mine).values(row))
            found = connection.execute(select(_carriers.c.incident).where(_carriers.c.scope == scope))
            return str(found.scalar_one_or_none() or incident)

    def close(self) -> None:
        """Close the connections. A later use opens new ones."""
        self._store.close()


def _read_silences(connection: Connection, since: datetime) -> list[Silence]:
    rows = connection.execute(
        select(_silences.c.id, _silences.c.content).where(_silences.c.until > since).order_by(_silences.c.until)
    )
    found: list[Silence] = []
    for identifier, content in rows:
        try:
            found.append(Silence.model_validate_json(content))
        except ValidationError:  # another version's: it silences nothing
            _log.warning("silence_unreadable", silence=identifier)
    return found


def _in_utc(at: datetime) -> datetime:
    """SQLite keeps no time zone."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)
