"""What was delivered already: so that a redelivery starts nothing twice, also after a restart."""

import asyncio
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Column, DateTime, MetaData, String, Table, create_engine, delete, event, or_, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry

KEPT = timedelta(days=7)

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


class Deliveries:
    """One thread does all the work, so that SQLite sees one writer and the event loop never waits for a disk."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.drivername in {"postgres", "postgresql"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        self._sqlite = parsed.get_backend_name() == "sqlite"
        if self._sqlite and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(parsed, pool_pre_ping=not self._sqlite)
        if self._sqlite:
            event.listen(self._engine, "connect", _fast_sqlite)
        _metadata.create_all(self._engine)
        self._thread: ThreadPoolExecutor | None = None
        self._written = 0

    async def recall(self, ids: Iterable[str], proofs: Iterable[str]) -> list[Delivered]:
        """Those that were taken before, by their ids or by their proofs."""
        return await self._run(self._recall, [i for i in ids if i], [proof for proof in proofs if proof])

    async def remember(self, delivered: Sequence[Delivered]) -> None:
        rows = [one for one in delivered if one.id]
        if rows:
            await self._run(self._remember, rows)

    async def call(self, vendor: str, vendor_id: str, key: str) -> None:
        """A vendor has a name of its own for what we know by this key."""
        await self._run(self._call, vendor, vendor_id, key)

    async def called(self, vendor: str, vendor_id: str) -> str:
        """Our key for what a vendor calls so, or nothing."""
        return await self._run(self._called, vendor, vendor_id) if vendor_id else ""

    async def ping(self) -> None:
        """Raises where the store cannot be read."""
        await self._run(self._recall, ["ping"], [])

    def close(self) -> None:
        """Let go of thread and connections; the next use takes new ones."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self._engine.dispose()

    async def _run(self, work: Any, *args: Any) -> Any:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "deliveries")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _recall(self, ids: list[str], proofs: list[str]) -> list[Delivered]:
        if not ids and not proofs:
            return []
        columns = (_table.c.id, _table.c.proof, _table.c.incident, _table.c.state)
        query = select(*columns).where(or_(_table.c.id.in_(ids), _table.c.proof.in_(proofs)))
        with self._engine.connect() as connection:
            return [Delivered(*row) for row in connection.execute(query)]

    def _remember(self, delivered: Sequence[Delivered]) -> None:
        now = datetime.now(UTC)
        rows = [{**vars(one), "at": now} for one in {one.id: one for one in delivered}.values()]
        insert = (sqlite_insert if self._sqlite else postgres_insert)(_table).on_conflict_do_nothing()
        with self._engine.begin() as connection:
            connection.execute(insert, rows)
            self._written += len(rows)
            if self._written > 10_000:
                self._written = 0
                connection.execute(delete(_table).where(_table.c.at < now - KEPT))

    def _call(self, vendor: str, vendor_id: str, key: str) -> None:
        now = datetime.now(UTC)
        insert = (sqlite_insert if self._sqlite else postgres_insert)(_names).on_conflict_do_nothing()
        with self._engine.begin() as connection:
            connection.execute(insert, {"vendor": vendor, "id": vendor_id, "key": key, "at": now})
            connection.execute(delete(_names).where(_names.c.at < now - _NAMES_KEPT))

    def _called(self, vendor: str, vendor_id: str) -> str:
        query = select(_names.c.key).where(_names.c.vendor == vendor, _names.c.id == vendor_id)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one_or_none() or ""


def _fast_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    # Not flushed at each commit: it survives a killed process, and what a power cut takes is only the
    # memory of the last seconds, whose redeliveries join their open incidents anyway.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")
