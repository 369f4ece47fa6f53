"""The spool: what the gateway accepted while Temporal was unavailable, durable in a file until it is delivered.

Nothing is dropped to make room for newer items. A full spool accepts nothing, and the sender gets 503.
"""

import asyncio
import fcntl
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, ClassVar, Literal

from sqlalchemy import (
    URL,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Row,
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

from alerts import TocsinError
from audit.group_commit import GroupCommitter
from gateway.security.encryption import EncryptionError, Keyring

LIMIT_BYTES = 256 * 2**20
_ROW_BYTES = 250  # a row's size beside its content, indexes included

Kind = Literal["alert", "action", "change", "quarantine", "reported_change"]
_Row = dict[str, Any]

_metadata = MetaData()
_table = Table(
    "spool",
    _metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("queue", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("at", String(40), nullable=False),
    Column("key", String(8), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("spool_by_queue", "queue", "id"),
    sqlite_autoincrement=True,
)


class SpoolError(TocsinError):
    """The spool did not accept an item; nothing was promised. The text says why."""

    code: ClassVar[str] = "spool_unavailable"


@dataclass(frozen=True)
class Item:
    """An item to spool. ``queue`` is the workflow id: items of one queue keep their order. ``content`` is JSON."""

    queue: str
    kind: Kind
    content: bytes


@dataclass(frozen=True)
class Spooled:
    """A stored item. ``size`` is its share of the limit, in bytes. ``fault`` says why its content cannot be read."""

    id: int
    kind: Kind
    content: bytes
    size: int
    fault: str = ""


@dataclass(frozen=True)
class Depth:
    """How many items and bytes wait, of what limit, and since when the oldest waits."""

    items: int
    bytes: int
    limit: int
    oldest: datetime | None

    @property
    def age(self) -> float:
        """The oldest item's age in seconds."""
        return max((datetime.now(UTC) - self.oldest).total_seconds(), 0.0) if self.oldest else 0.0


class Spool:
    """A SQLite file. One thread does all the work; items that arrive during a commit share the next one."""

    def __init__(self, file: Path, keys: Keyring | None = None, limit: int = LIMIT_BYTES) -> None:
        """Open the spool, and lock it for this process.

        Args:
            file: its database; created if it does not exist.
            keys: encrypt the contents. Without a key they are stored as they are.
            limit: how many bytes it may hold.

        Raises:
            SpoolError: another process has locked it, or it cannot be opened.
        """
        self._keys, self._limit = keys or Keyring(()), limit
        self._file = file
        self._queues: Counter[str] = Counter()
        self._size = 0
        self._oldest: datetime | None = None
        self._committer: GroupCommitter[list[_Row]] = GroupCommitter(self._insert, name="spool")
        self._engine = create_engine(URL.create("sqlite", database=str(file)))
        event.listen(self._engine, "connect", _durable)
        self.fault = ""
        """Why the last write failed; empty if it did not."""
        self._lock = self._open()

    def holds(self, queue: str, other_than: int = 0) -> bool:
        """Whether more items than ``other_than`` of this queue are stored, or about to be."""
        return self._queues[queue] > other_than

    @property
    def depth(self) -> Depth:
        return Depth(self._queues.total(), self._size, self._limit, self._oldest if self._queues else None)

    async def put(self, items: Sequence[Item]) -> None:
        """Store items; durable on return. Raises SpoolError if the spool or the disk is full."""
        self._ensure_open()
        rows = [self._row(item) for item in items]
        if self._size + sum(map(_size, rows)) > self._limit:
            raise SpoolError(f"the spool is full: {self._size:,} of {self._limit:,} bytes wait for Temporal")
        self._add_to_depth(rows)
        done = self._committer.submit(rows)
        done.add_done_callback(lambda done: self._written(rows, done))
        try:
            await asyncio.shield(done)  # a cancelled caller's items are still written, and counted
        except SQLAlchemyError as error:
            raise SpoolError(f"the spool cannot be written: {getattr(error, 'orig', error)}") from None

    async def queues(self, limit: int) -> list[str]:
        """The queues that have items, the queue with the oldest item first."""
        self._ensure_open()

        def read() -> list[str]:
            query = select(_table.c.queue).group_by(_table.c.queue).order_by(func.min(_table.c.id)).limit(limit)
            with self._engine.connect() as connection:
                return list(connection.execute(query).scalars())

        return await self._committer.run(read)

    async def first(
        self,
        queue: str,
        limit: int,
        max_bytes: int = LIMIT_BYTES,
        *,
        skip: Collection[int] = (),
        kind: Kind | None = None,
    ) -> list[Spooled]:
        """The oldest items of a queue, all of one kind.

        Args:
            queue: the queue.
            limit: how many items.
            max_bytes: how many bytes they have together; the first comes in any case.
            skip: ids of items to leave out.
            kind: only items of this kind; by default the oldest item's.
        """

        def read() -> list[Spooled]:
            query = select(_table).where(_table.c.queue == queue)
            query = query.where(_table.c.kind == kind) if kind else query
            found: list[Spooled] = []
            size = 0
            with self._engine.connect() as connection:
                for row in connection.execute(query.order_by(_table.c.id)).yield_per(limit):
                    if row.id in skip:
                        continue
                    size += len(row.content)
                    if found and (row.kind != found[0].kind or size > max_bytes or len(found) == limit):
                        break
                    found.append(self._opened(row))
            return found

        return await self._committer.run(read)

    async def remove(self, queue: str, items: Sequence[Spooled]) -> None:
        """Remove items that were delivered."""

        def remove() -> None:
            with self._engine.begin() as connection:
                statement = delete(_table).where(_table.c.id == bindparam("delivered"))
                connection.execute(statement, [{"delivered": item.id} for item in items])
            self._oldest = self._read_oldest()

        await self._committer.run(remove)
        self._size -= sum(item.size for item in items)
        self._queues[queue] -= len(items)
        self._queues += Counter()  # removes the queues that are at zero

    async def ping(self) -> None:
        """Raises SpoolError if the spool could not accept an alert now."""
        if self._size >= self._limit:
            raise SpoolError(f"full: {self._size:,} of {self._limit:,} bytes")
        if self.fault:
            try:
                await self._committer.run(self._try_to_write)
            except SQLAlchemyError as error:
                raise SpoolError(f"cannot be written: {getattr(error, 'orig', error)}") from None
            self.fault = ""

    def close(self) -> None:
        """Wait for the running write, close the file and release its lock. A later use opens and locks it again."""
        self._committer.close()
        self._engine.dispose()
        self._lock.close()

    def _ensure_open(self) -> None:
        if self._lock.closed:
            self._lock = self._open()

    def _open(self) -> IO[str]:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            lock = _locked(self._file.with_suffix(".lock"))
            _metadata.create_all(self._engine)
            self._count()
        except (SQLAlchemyError, OSError) as error:
            raise SpoolError(f"the spool {self._file} cannot be opened: {error}; check TOCSIN_STATE_DIR") from None
        return lock

    def _opened(self, row: Row[Any]) -> Spooled:
        content, fault = b"", ""
        try:
            content = self._keys.open(row.content, row.key) if row.key else row.content
        except EncryptionError as error:  # it costs the other items of its queue nothing
            fault = str(error)
        return Spooled(row.id, row.kind, content, len(row.content) + _ROW_BYTES, fault)

    def _row(self, item: Item) -> _Row:
        key = self._keys.current
        return {
            "queue": item.queue,
            "kind": item.kind,
            "at": datetime.now(UTC).isoformat(),
            "key": key,
            "content": self._keys.seal(item.content) if key else item.content,
        }

    def _add_to_depth(self, rows: Sequence[_Row], sign: int = 1) -> None:
        self._size += sign * sum(map(_size, rows))
        for row in rows:
            self._queues[row["queue"]] += sign

    def _written(self, rows: Sequence[_Row], done: asyncio.Future[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if done.cancelled() or error is not None:
            self._add_to_depth(rows, -1)
        self.fault = str(error or "")

    def _insert(self, batch: list[list[_Row]]) -> list[None]:
        with self._engine.begin() as connection:
            connection.execute(_table.insert(), [row for rows in batch for row in rows])
        self._oldest = self._oldest or self._read_oldest()
        return [None] * len(batch)

    def _try_to_write(self) -> None:
        with self._engine.begin() as connection:
            connection.execute(delete(_table).where(_table.c.id < 0))
            connection.exec_driver_sql("PRAGMA user_version = 1")

    def _count(self) -> None:
        self._queues, self._size = Counter(), 0
        with self._engine.connect() as connection:
            for queue, items, size in connection.execute(
                select(_table.c.queue, func.count(), func.sum(func.length(_table.c.content))).group_by(_table.c.queue)
            ):
                self._queues[queue] = items
                self._size += size + items * _ROW_BYTES
        self._oldest = self._read_oldest()

    def _read_oldest(self) -> datetime | None:
        with self._engine.connect() as connection:
            at = connection.execute(select(_table.c.at).order_by(_table.c.id).limit(1)).scalar_one_or_none()
        return datetime.fromisoformat(at) if at else None


def _size(row: _Row) -> int:
    return len(row["content"]) + _ROW_BYTES


def _locked(file: Path) -> IO[str]:
    """A lock that ends with the process, even if the process is killed."""
    lock = file.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise SpoolError(
            f"another gateway has the spool in {file.parent}: give each gateway a TOCSIN_STATE_DIR of its own"
        ) from None
    return lock


def _durable(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    # A response of 202 rests on this file alone: each commit is on the disk before it returns.
    for pragma in ("auto_vacuum=FULL", "journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")
