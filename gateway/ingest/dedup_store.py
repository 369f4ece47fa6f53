"""The dedup store: which alerts were accepted already, so that a redelivery opens nothing twice, even after a restart.

It is a cache: while its database is unavailable, alerts go on to Temporal without it, and the entries wait in memory
until the database recovers. A lost entry costs no alert: the redelivery joins the open incident. The tables are
therefore created on first use, without migrations. If a column changes, the table gets a new name and starts empty;
the old one may be dropped.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import structlog
from sqlalchemy import Column, Connection, DateTime, MetaData, String, Table, create_engine, delete, event, or_, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from alerts import TocsinError
from gateway.ingest import alert_times, problem_incidents
from incident.order import EventTimes

RETENTION = timedelta(days=7)
"""An older entry is not found any more, and is deleted with the next addition."""
TIMEOUT = 1.0  # seconds that an alert waits for the database
RETRY_INTERVAL = 1.0  # seconds between two attempts while it is unavailable
MAX_PENDING = 20_000  # entries, and keys, that are held in memory while it is unavailable
BATCH_SIZE = 500
_KEY_RETENTION = timedelta(days=400)  # a regulated model's incident may stay open for long
_LOCK = 0x70C51_DE11  # PostgreSQL's advisory lock: one gateway at a time creates the tables

_log = structlog.get_logger()

_metadata = MetaData()
_entries = Table(
    "dedup_entries",
    _metadata,
    Column("id", String(200), primary_key=True),
    Column("signature_digest", String(64), index=True, nullable=False),
    Column("incident", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("at", DateTime(timezone=True), index=True, nullable=False),
)
_vendor_keys = Table(
    "vendor_keys",
    _metadata,
    Column("vendor", String(40), primary_key=True),
    Column("id", String(200), primary_key=True),
    Column("key", String(500), nullable=False),
    Column("at", DateTime(timezone=True), index=True, nullable=False),
)


@dataclass(frozen=True)
class DedupEntry:
    """An accepted alert: its id, the digest of its signed bytes, and the incident and state that were returned."""

    id: str
    signature_digest: str
    incident: str
    state: str
    at: datetime | None = field(default=None, compare=False)
    """When it was stored, in UTC; None before."""
    latest: bool = field(default=False, compare=False)
    """Of entries with this id the last one counts, and not the first."""


@dataclass(frozen=True)
class DedupResult:
    """``complete`` is False if the database was unavailable: it may hold more entries."""

    entries: Sequence[DedupEntry]
    complete: bool


class DedupUnavailableError(TocsinError):
    """The database does not respond; the text says how."""

    code: ClassVar[str] = "dedup_store_unavailable"


class DedupStore:
    """One thread does all the work: SQLite sees one writer, and the event loop never waits for a disk."""

    def __init__(self, url: str) -> None:
        """Prepare access to an SQLAlchemy URL. Nothing is asked of the database before the first use."""
        self._url = make_url(url)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self._engine = create_engine(self._url, pool_pre_ping=not self._sqlite)
        if self._sqlite:
            event.listen(self._engine, "connect", _fast_sqlite)
        self._tables_exist = False
        self._thread: ThreadPoolExecutor | None = None
        self._pending: OrderedDict[str, DedupEntry] = OrderedDict()
        self._pending_keys: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._writing_pending: asyncio.Task[None] | None = None
        self._fault, self._retry_at = "", 0.0

    @property
    def unavailable(self) -> bool:
        """Whether the database failed the last time it was used."""
        return bool(self._fault)

    async def find(self, ids: Iterable[str], signature_digests: Iterable[str]) -> DedupResult:
        """The entries that have one of these ids or digests. Empty strings match nothing."""
        wanted, digests = {each for each in ids if each}, {each for each in signature_digests if each}
        if not wanted and not digests:
            return DedupResult((), complete=True)
        pending = [entry for entry in self._pending.values() if entry.id in wanted or entry.signature_digest in digests]
        try:
            stored = await self._run(self._select, list(wanted), list(digests)) or ()
        except DedupUnavailableError:
            return DedupResult(pending, complete=False)
        return DedupResult(list({entry.id: entry for entry in (*pending, *stored)}.values()), complete=True)

    async def add(self, entries: Sequence[DedupEntry]) -> None:
        """Store entries. While the database is unavailable they wait in memory, at most MAX_PENDING of them."""
        now = datetime.now(UTC)
        rows = [entry if entry.at else replace(entry, at=now) for entry in entries if entry.id]
        if not rows:
            return
        try:
            await self._run(self._insert_entries, rows)
        except DedupUnavailableError:
            self._pending.update((entry.id, entry) for entry in rows)
            while len(self._pending) > MAX_PENDING:
                self._pending.popitem(last=False)

    async def add_times(self, problem: str, times: EventTimes) -> None:
        """Store when a problem's monitor was triggered and cleared, unless something newer is known.

        While the database is unavailable nothing is stored: an older alert then opens an incident, in doubt.
        """
        with suppress(DedupUnavailableError):
            await self._run(alert_times.insert, self._insert_into, problem, times)

    async def find_times(self, problems: Collection[str]) -> Mapping[str, EventTimes]:
        """When each problem's monitor was triggered and cleared; nothing if the database is unavailable."""
        with suppress(DedupUnavailableError):
            return await self._run(alert_times.select_times, problems) or {}
        return {}

    async def add_incidents(self, incident_of: Mapping[str, str]) -> None:
        """Store in which incident each problem is. While the database is unavailable, nothing is stored."""
        if incident_of:
            with suppress(DedupUnavailableError):
                await self._run(problem_incidents.insert, self._insert_into, incident_of)

    async def find_incidents(self, problems: Collection[str]) -> Mapping[str, str]:
        """In which incident each problem was last; none if the database is unavailable."""
        if problems:
            with suppress(DedupUnavailableError):
                return await self._run(problem_incidents.select_incidents, problems) or {}
        return {}

    async def map_key(self, vendor: str, vendor_id: str, key: str) -> None:
        """Store which key of ours a vendor's own id stands for."""
        await self._map_keys({(vendor, vendor_id): key})

    async def find_key(self, vendor: str, vendor_id: str) -> str:
        """Our key for a vendor's own id, or an empty string. Raises DedupUnavailableError."""
        if not vendor_id:
            return ""
        pending = self._pending_keys.get((vendor, vendor_id))
        return pending or await self._run(self._select_key, vendor, vendor_id) or ""

    async def ping(self) -> None:
        """Raises DedupUnavailableError if the database cannot be read."""
        await self._run(self._select, ["ping"], [])

    def close(self) -> None:
        """End the thread and close the connections; a later use opens new ones."""
        if self._writing_pending is not None:
            self._writing_pending.cancel()
            self._writing_pending = None
        if self._thread is not None:
            self._thread.shutdown(wait=not self._fault)
            self._thread = None
        self._engine.dispose()

    async def _map_keys(self, keys: Mapping[tuple[str, str], str]) -> None:
        try:
            await self._run(self._insert_keys, keys)
        except DedupUnavailableError:
            self._pending_keys.update(keys)
            while len(self._pending_keys) > MAX_PENDING:
                self._pending_keys.popitem(last=False)

    async def _run(self, work: Any, *args: Any) -> Any:
        """Run ``work`` in the thread. Raises DedupUnavailableError, at once if the last failure is recent."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._retry_at:
            raise DedupUnavailableError(self._fault)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "dedup-store")
        try:
            async with asyncio.timeout(TIMEOUT):
                result = await loop.run_in_executor(self._thread, self._work, work, *args)
        except (SQLAlchemyError, OSError) as error:  # TimeoutError is an OSError
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()
            recent = self._fault
            self._fault = f"{type(error).__name__}: {reason[0] if reason else f'no answer within {TIMEOUT:g} s'}"[:200]
            if not recent:
                _log.warning("dedup_store_unavailable", error=self._fault)
            self._retry_at = loop.time() + RETRY_INTERVAL
            raise DedupUnavailableError(self._fault) from None
        if self._fault:
            self._fault = ""
            _log.warning("dedup_store_recovered", pending=len(self._pending) + len(self._pending_keys))
        if (self._pending or self._pending_keys) and (self._writing_pending is None or self._writing_pending.done()):
            self._writing_pending = asyncio.create_task(self._write_pending())
        return result

    async def _write_pending(self) -> None:
        while (self._pending or self._pending_keys) and not self._fault:
            entries = [self._pending.pop(name) for name in list(islice(self._pending, BATCH_SIZE))]
            keys = {name: self._pending_keys.pop(name) for name in list(islice(self._pending_keys, BATCH_SIZE))}
            await self.add(entries)
            if keys:
                await self._map_keys(keys)

    def _work(self, work: Any, *args: Any) -> Any:
        if not self._tables_exist:
            self._create_tables()
            self._tables_exist = True
        try:
            with self._engine.begin() as connection:
                return work(connection, *args)
        except DataError as error:
            # Such as a NUL in the sender's id. The database is available, and cannot hold an entry under that id.
            _log.error("dedup_entry_invalid", error=str(error.orig))
            return None

    def _create_tables(self) -> None:
        if self._sqlite and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        with self._engine.begin() as connection:
            if not self._sqlite:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            _metadata.create_all(connection)
            alert_times.metadata.create_all(connection)
            problem_incidents.metadata.create_all(connection)

    def _select(self, connection: Connection, ids: list[str], digests: list[str]) -> list[DedupEntry]:
        columns = (
            _entries.c.id,
            _entries.c.signature_digest,
            _entries.c.incident,
            _entries.c.state,
            _entries.c.at,
        )
        query = select(*columns).where(or_(_entries.c.id.in_(ids), _entries.c.signature_digest.in_(digests)))
        query = query.where(_entries.c.at >= datetime.now(UTC) - RETENTION)
        # SQLite returns times without their time zone, which is UTC.
        return [
            DedupEntry(*row[:4], at=row.at.replace(tzinfo=row.at.tzinfo or UTC)) for row in connection.execute(query)
        ]

    def _insert_entries(self, connection: Connection, entries: Sequence[DedupEntry]) -> None:
        now = datetime.now(UTC)
        # Before the new rows: an id that comes again after the retention is a new one.
        connection.execute(delete(_entries).where(_entries.c.at < now - RETENTION))
        rows = [_row(entry, now) for entry in {entry.id: entry for entry in entries if not entry.latest}.values()]
        latest = [_row(entry, now) for entry in {entry.id: entry for entry in entries if entry.latest}.values()]
        if rows:
            connection.execute(self._insert(_entries).on_conflict_do_nothing(), rows)
        if latest:
            insert = self._insert(_entries)
            changed = {name: insert.excluded[name] for name in ("incident", "state", "at")}
            connection.execute(insert.on_conflict_do_update(index_elements=[_entries.c.id], set_=changed), latest)

    def _insert_keys(self, connection: Connection, keys: Mapping[tuple[str, str], str]) -> None:
        now = datetime.now(UTC)
        rows = [{"vendor": vendor, "id": name, "key": key, "at": now} for (vendor, name), key in keys.items()]
        connection.execute(self._insert(_vendor_keys).on_conflict_do_nothing(), rows)
        connection.execute(delete(_vendor_keys).where(_vendor_keys.c.at < now - _KEY_RETENTION))

    def _select_key(self, connection: Connection, vendor: str, vendor_id: str) -> str:
        query = select(_vendor_keys.c.key).where(_vendor_keys.c.vendor == vendor, _vendor_keys.c.id == vendor_id)
        return connection.execute(query).scalar_one_or_none() or ""

    def _insert(self, table: Table) -> Any:
        return self._insert_into(table)

    @property
    def _insert_into(self) -> Any:
        return sqlite_insert if self._sqlite else postgres_insert


def _row(entry: DedupEntry, now: datetime) -> dict[str, Any]:
    return {
        "id": entry.id,
        "signature_digest": entry.signature_digest,
        "incident": entry.incident,
        "state": entry.state,
        "at": entry.at or now,
    }


def _fast_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    # Commits are not flushed to the disk: entries survive a killed process. A power cut loses the last seconds'
    # entries, whose redeliveries join their open incidents.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")
