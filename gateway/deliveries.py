"""What was delivered already: so that a redelivery starts nothing twice, also after a restart.

It is a memory, and no step on an alert's way: while its database is away alerts go on to Temporal without it, and what
was to be remembered waits here until the database is back.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Column, Connection, DateTime, MetaData, String, Table, create_engine, delete, event, or_, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DataError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

KEPT = timedelta(days=7)
WITHIN = 1.0  # seconds that an alert waits for this memory
ASKED_AGAIN_AFTER = 1.0  # seconds, while it is away
LATE = 20_000  # deliveries, and names, that are held here while it is away
AT_ONCE = 500
_LOCK = 0x70C51_DE11  # of PostgreSQL's advisory locks: one gateway at a time makes the tables

_log = structlog.get_logger()

_metadata = MetaData()
_table = Table(
    "gateway_deliveries",
    _metadata,
    Column("id", String(200), primary_key=True),
    Column("proof", String(64), index=True, nullable=False),
    Column("incident", String(200), nullable=False),
    Column("state", String(20), nullable=False),
    Column("at", DateTime(timezone=True), index=True, nullable=False),
)
_names = Table(
    "gateway_names",
    _metadata,
    Column("vendor", String(40), primary_key=True),
    Column("id", String(200), primary_key=True),
    Column("key", String(500), nullable=False),
    Column("at", DateTime(timezone=True), index=True, nullable=False),
)
_NAMES_KEPT = timedelta(days=400)  # an incident of a regulated model may be open for long


@dataclass(frozen=True)
class Delivered:
    """A delivery that was taken: its id, the proof it came with, and what it was answered."""

    id: str
    proof: str
    incident: str
    state: str


@dataclass(frozen=True)
class Recalled:
    """``whole`` is False where the database was away: there may be more."""

    found: Sequence[Delivered]
    whole: bool


class AwayError(Exception):
    """The database does not answer; the text says how."""


class Deliveries:
    """One thread does all the work, so that SQLite sees one writer and the event loop never waits for a disk."""

    def __init__(self, url: str) -> None:
        """For an SQLAlchemy address, of which nothing is asked before its first use."""
        self._url = make_url(url)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self._engine = create_engine(self._url, pool_pre_ping=not self._sqlite)
        if self._sqlite:
            event.listen(self._engine, "connect", _fast_sqlite)
        self._made = False
        self._thread: ThreadPoolExecutor | None = None
        self._written = 0
        self._late: OrderedDict[str, Delivered] = OrderedDict()
        self._late_names: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._catching_up: asyncio.Task[None] | None = None
        self._away, self._away_until = "", 0.0

    @property
    def away(self) -> bool:
        """Whether the database did not answer when it was asked last."""
        return bool(self._away)

    async def recall(self, ids: Iterable[str], proofs: Iterable[str]) -> Recalled:
        """Those that were taken before, by their ids or by their proofs."""
        wanted, proven = {one for one in ids if one}, {one for one in proofs if one}
        if not wanted and not proven:
            return Recalled((), whole=True)
        here = [one for one in self._late.values() if one.id in wanted or one.proof in proven]
        try:
            there = await self._run(self._recall, list(wanted), list(proven)) or ()
        except AwayError:
            return Recalled(here, whole=False)
        return Recalled(list({one.id: one for one in (*here, *there)}.values()), whole=True)

    async def remember(self, delivered: Sequence[Delivered]) -> None:
        """What the database does not take now, it is given later."""
        rows = [one for one in delivered if one.id]
        if not rows:
            return
        try:
            await self._run(self._remember, rows)
        except AwayError:
            self._late.update((one.id, one) for one in rows)
            while len(self._late) > LATE:
                self._late.popitem(last=False)

    async def call(self, vendor: str, vendor_id: str, key: str) -> None:
        """A vendor has a name of its own for what we know by this key."""
        await self._call_all({(vendor, vendor_id): key})

    async def called(self, vendor: str, vendor_id: str) -> str:
        """Our key for what a vendor calls so, or nothing. Raises AwayError."""
        if not vendor_id:
            return ""
        return self._late_names.get((vendor, vendor_id)) or await self._run(self._called, vendor, vendor_id) or ""

    async def _call_all(self, names: Mapping[tuple[str, str], str]) -> None:
        try:
            await self._run(self._call, names)
        except AwayError:
            self._late_names.update(names)
            while len(self._late_names) > LATE:
                self._late_names.popitem(last=False)

    async def ping(self) -> None:
        """Raises AwayError where the database cannot be read."""
        await self._run(self._recall, ["ping"], [])

    def close(self) -> None:
        """Let go of thread and connections; the next use takes new ones."""
        if self._catching_up is not None:
            self._catching_up.cancel()
            self._catching_up = None
        if self._thread is not None:
            self._thread.shutdown(wait=not self._away)
            self._thread = None
        self._engine.dispose()

    async def _run(self, work: Any, *args: Any) -> Any:
        """Raises AwayError, at once where that was so a moment ago."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._away_until:
            raise AwayError(self._away)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "deliveries")
        try:
            async with asyncio.timeout(WITHIN):
                done = await loop.run_in_executor(self._thread, self._work, work, *args)
        except (SQLAlchemyError, OSError) as error:  # TimeoutError is an OSError
            why = str(getattr(error, "orig", None) or error).strip().splitlines()
            before = self._away
            self._away = f"{type(error).__name__}: {why[0] if why else f'no answer within {WITHIN:g} s'}"[:200]
            if not before:
                _log.warning("the memory of deliveries is away; alerts go on without it", error=self._away)
            self._away_until = loop.time() + ASKED_AGAIN_AFTER
            raise AwayError(self._away) from None
        if self._away:
            self._away = ""
            _log.warning("the memory of deliveries is back", late=len(self._late) + len(self._late_names))
        if (self._late or self._late_names) and (self._catching_up is None or self._catching_up.done()):
            self._catching_up = asyncio.create_task(self._catch_up())
        return done

    async def _catch_up(self) -> None:
        """Give the database what it was not there for."""
        while (self._late or self._late_names) and not self._away:
            deliveries = [self._late.pop(name) for name in list(islice(self._late, AT_ONCE))]
            names = {name: self._late_names.pop(name) for name in list(islice(self._late_names, AT_ONCE))}
            await self.remember(deliveries)
            if names:
                await self._call_all(names)

    def _work(self, work: Any, *args: Any) -> Any:
        if not self._made:
            self._make_tables()
            self._made = True
        try:
            with self._engine.begin() as connection:
                return work(connection, *args)
        except DataError as error:
            # Such as a NUL in what a sender calls it: no database's being away, and nothing that could be known by it.
            _log.error("nothing is remembered by what the database cannot hold", error=str(error.orig))
            return None

    def _make_tables(self) -> None:
        if self._sqlite and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        with self._engine.begin() as connection:
            if not self._sqlite:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            _metadata.create_all(connection)

    def _recall(self, connection: Connection, ids: list[str], proofs: list[str]) -> list[Delivered]:
        columns = (_table.c.id, _table.c.proof, _table.c.incident, _table.c.state)
        query = select(*columns).where(or_(_table.c.id.in_(ids), _table.c.proof.in_(proofs)))
        return [Delivered(*row) for row in connection.execute(query)]

    def _remember(self, connection: Connection, delivered: Sequence[Delivered]) -> None:
        now = datetime.now(UTC)
        rows = [{**vars(one), "at": now} for one in {one.id: one for one in delivered}.values()]
        connection.execute(self._insert(_table), rows)
        self._written += len(rows)
        if self._written > 10_000:
            self._written = 0
            connection.execute(delete(_table).where(_table.c.at < now - KEPT))

    def _call(self, connection: Connection, names: Mapping[tuple[str, str], str]) -> None:
        now = datetime.now(UTC)
        rows = [{"vendor": vendor, "id": name, "key": key, "at": now} for (vendor, name), key in names.items()]
        connection.execute(self._insert(_names), rows)
        connection.execute(delete(_names).where(_names.c.at < now - _NAMES_KEPT))

    def _called(self, connection: Connection, vendor: str, vendor_id: str) -> str:
        query = select(_names.c.key).where(_names.c.vendor == vendor, _names.c.id == vendor_id)
        return connection.execute(query).scalar_one_or_none() or ""

    def _insert(self, table: Table) -> Any:
        return (sqlite_insert if self._sqlite else postgres_insert)(table).on_conflict_do_nothing()


def _fast_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    # Not flushed at each commit: it survives a killed process, and what a power cut takes is only the
    # memory of the last seconds, whose redeliveries join their open incidents anyway.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")
