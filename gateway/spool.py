"""What was accepted while Temporal could not be reached: durable in a file of its own until it is delivered.

Nothing in it is ever dropped for something newer; when it is full it takes no more, and the sender hears 503.
"""

import asyncio
import fcntl
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

from sqlalchemy import (
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    select,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from gateway.encryption import Keyring

LIMIT_BYTES = 256 * 2**20
_ROW_BYTES = 250  # what a row costs beside its content, indexes included

Kind = Literal["alert", "answer", "change"]
_Row = dict[str, Any]
T = TypeVar("T")

_metadata = MetaData()
_table = Table(
    "spool",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("lane", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("at", String(40), nullable=False),
    Column("key", String(8), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("spool_by_lane", "lane", "id"),
    sqlite_autoincrement=True,
)


class SpoolError(Exception):
    """It could not be taken; nothing was promised. The text says why."""


@dataclass(frozen=True)
class Item:
    """``lane`` is whatever must keep its order, an incident's id; ``content`` is JSON."""

    lane: str
    kind: Kind
    content: bytes


@dataclass(frozen=True)
class Spooled:
    """An item as it lies there; ``size`` is what it takes of the limit, in bytes."""

    id: int
    kind: Kind
    content: bytes
    size: int


@dataclass(frozen=True)
class Depth:
    """How much waits, and since when."""

    items: int
    bytes: int
    limit: int
    oldest: datetime | None

    @property
    def age(self) -> float:
        """Of the oldest, in seconds."""
        return max((datetime.now(UTC) - self.oldest).total_seconds(), 0.0) if self.oldest else 0.0


class Spool:
    """One thread does all the work. What is put while a commit is under way goes into the next one, together."""

    def __init__(self, file: Path, keys: Keyring | None = None, limit: int = LIMIT_BYTES) -> None:
        """Raises SpoolError where another process has it, or it cannot be opened."""
        self._keys, self._limit = keys or Keyring(()), limit
        self._lanes: Counter[str] = Counter()
        self._size = 0
        self._oldest: datetime | None = None
        self._waiting: list[tuple[list[_Row], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None
        self.fault = ""
        """Why the last write failed; empty where it did not."""
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(file.with_suffix(".lock"))
            self._engine = create_engine(f"sqlite:///{file}")
            event.listen(self._engine, "connect", _durable)
            _metadata.create_all(self._engine)
            self._count()
        except (SQLAlchemyError, OSError) as error:
            raise SpoolError(f"the spool {file} cannot be opened: {error}") from None

    def holds(self, lane: str) -> bool:
        """Whether something of that lane waits, or is on its way in: what comes after it must wait behind it."""
        return self._lanes[lane] > 0

    @property
    def depth(self) -> Depth:
        return Depth(self._lanes.total(), self._size, self._limit, self._oldest if self._lanes else None)

    async def put(self, items: Sequence[Item]) -> None:
        """Durable when this returns. Raises SpoolError where it is full, or the disk is."""
        rows = [self._row(item) for item in items]
        if self._size + sum(map(_size, rows)) > self._limit:
            raise SpoolError(f"the spool is full: {self._size:,} of {self._limit:,} bytes wait for Temporal")
        self._count_in(rows)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((rows, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        try:
            await asyncio.shield(done)
        except SQLAlchemyError as error:
            raise SpoolError(f"the spool cannot be written: {getattr(error, 'orig', error)}") from None

    async def lanes(self, most: int) -> list[str]:
        """Those that wait, the one with the oldest item first."""

        def read() -> list[str]:
            query = select(_table.c.lane).group_by(_table.c.lane).order_by(func.min(_table.c.id)).limit(most)
            with self._engine.connect() as connection:
                return list(connection.execute(query).scalars())

        return await self._run(read)

    async def first(self, lane: str, most: int) -> list[Spooled]:
        """The oldest items of a lane, of one kind. Raises EncryptionError."""

        def read() -> list[Spooled]:
            query = select(_table).where(_table.c.lane == lane).order_by(_table.c.id).limit(most)
            with self._engine.connect() as connection:
                rows = connection.execute(query).all()
            return [
                Spooled(
                    row.id,
                    row.kind,
                    self._keys.open(row.content, row.key) if row.key else row.content,
                    len(row.content) + _ROW_BYTES,
                )
                for row in rows
                if row.kind == rows[0].kind
            ]

        return await self._run(read)

    async def drop(self, lane: str, items: Sequence[Spooled]) -> None:
        """They are where they belong."""

        def remove() -> None:
            with self._engine.begin() as connection:
                statement = delete(_table).where(_table.c.id == bindparam("gone"))
                connection.execute(statement, [{"gone": one.id} for one in items])
            self._oldest = self._read_oldest()

        await self._run(remove)
        self._size -= sum(one.size for one in items)
        self._lanes[lane] -= len(items)
        self._lanes += Counter()  # without what is at zero

    async def ping(self) -> None:
        """Raises SpoolError where an alert that comes now could not be taken."""
        if self._size >= self._limit:
            raise SpoolError(f"full: {self._size:,} of {self._limit:,} bytes")
        if self.fault:
            try:
                await self._run(self._try_to_write)
            except SQLAlchemyError as error:
                raise SpoolError(f"cannot be written: {getattr(error, 'orig', error)}") from None
            self.fault = ""

    def close(self) -> None:
        """Let go of thread and connections; the next use takes new ones. The file stays this object's own."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self._engine.dispose()

    async def _run(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "spool")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            rows = [row for part, _ in batch for row in part]
            try:
                await self._run(lambda rows=rows: self._insert(rows))
            except Exception as error:  # noqa: BLE001  # told to everybody who waits, whatever it was
                self._count_in(rows, -1)
                self.fault = str(error)
                for _, done in batch:
                    done.set_exception(error)
            else:
                self.fault = ""
                for _, done in batch:
                    done.set_result(None)
        self._writer = None

    def _row(self, item: Item) -> _Row:
        key = self._keys.current
        return {
            "lane": item.lane,
            "kind": item.kind,
            "at": datetime.now(UTC).isoformat(),
            "key": key,
            "content": self._keys.seal(item.content) if key else item.content,
        }

    def _count_in(self, rows: Sequence[_Row], sign: int = 1) -> None:
        self._size += sign * sum(map(_size, rows))
        for row in rows:
            self._lanes[row["lane"]] += sign

    def _insert(self, rows: list[_Row]) -> None:
        with self._engine.begin() as connection:
            connection.execute(_table.insert(), rows)
        self._oldest = self._oldest or self._read_oldest()

    def _try_to_write(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(_table).where(_table.c.id < 0))
            connection.exec_driver_sql("PRAGMA user_version = 1")

    def _count(self) -> None:
        with self._engine.connect() as connection:
            for lane, items, size in connection.execute(
                select(_table.c.lane, func.count(), func.sum(func.length(_table.c.content))).group_by(_table.c.lane)
            ):
                self._lanes[lane] = items
                self._size += size + items * _ROW_BYTES
        self._oldest = self._read_oldest()

    def _read_oldest(self) -> datetime | None:
        with self._engine.connect() as connection:
            at = connection.execute(select(_table.c.at).order_by(_table.c.id).limit(1)).scalar_one_or_none()
        return datetime.fromisoformat(at) if at else None


def _size(row: _Row) -> int:
    return len(row["content"]) + _ROW_BYTES


def _locked(file: Path) -> IO[str]:
    """A lock that ends with whoever holds it, however they end."""
    held = file.open("a")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise SpoolError(
            f"another gateway has the spool in {file.parent}: give each gateway a TOCSIN_STATE_DIR of its own"
        ) from None
    return held


def _durable(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    # An answer of 202 rests on this file alone: each commit is on the disk before it returns.
    for pragma in ("auto_vacuum=FULL", "journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")
