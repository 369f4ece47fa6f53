"""Tables in the gateway's database, in SQLite or PostgreSQL, that must survive a crash and a power cut.

The tables are created on first use, under a lock, without migrations: content that may change its form is stored as
JSON in one column. If a column changes, the table gets a new name.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol

from sqlalchemy import Connection, MetaData, Table, create_engine, event
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from alerts import TocsinError

_READ_ONLY = "tocsin_read_only"  # an execution option: the connection takes no lock
RETRY_INTERVAL = 1.0
"""Seconds after a failure in which nothing is asked of the database: others need not wait for it, too."""


class StoreUnavailableError(TocsinError):
    """The database does not answer, or refuses. The text says how."""

    code: ClassVar[str] = "store_unavailable"


class Cipher(Protocol):
    """Encrypts contents at rest. ``current`` is the id of the key for new ones; empty without encryption."""

    current: str

    def seal(self, plain: bytes) -> bytes: ...

    def open(self, sealed: bytes, key: str) -> bytes:
        """Raises TocsinError if the key is unknown, or the content was changed."""
        ...


class SqlStore:
    """Safe for use from several threads, and by several gateways on one PostgreSQL database."""

    def __init__(self, url: str, metadata: MetaData, *, lock: int) -> None:
        """Prepare access. Nothing is asked of the database before the first use.

        Args:
            url: an SQLAlchemy URL.
            metadata: the tables.
            lock: the number of PostgreSQL's advisory lock, under which the tables are created and written.
        """
        self._url = make_url(url)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self._engine = create_engine(self._url, pool_pre_ping=not self._sqlite)
        self._metadata, self._lock_number = metadata, lock
        self._tables_exist = False
        self._fault, self._retry_at = "", 0.0
        if self._sqlite:
            event.listen(self._engine, "connect", _durable_sqlite)
            event.listen(self._engine, "begin", _begin_immediate)

    @property
    def fault(self) -> str:
        """Why the database failed the last time it was used; empty if it did not."""
        return self._fault

    @contextmanager
    def transaction(self) -> Generator[Connection]:
        """Open a transaction that excludes other writers; it is durable once it ends.

        Raises:
            StoreUnavailableError: the database is unavailable, or was a moment ago; nothing was written.
        """
        if self._fault and time.monotonic() < self._retry_at:
            raise StoreUnavailableError(self._fault)
        try:
            self._ensure_tables()
            with self._engine.begin() as connection:
                self._exclude_writers(connection)
                yield connection
        except (SQLAlchemyError, OSError) as error:
            self._note_fault(error)
            raise StoreUnavailableError(self._fault) from None
        self._fault = ""

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """Open a connection that waits for no writer. Raises StoreUnavailableError."""
        if self._fault and time.monotonic() < self._retry_at:
            raise StoreUnavailableError(self._fault)
        try:
            self._ensure_tables()
            with self._engine.connect() as connection:
                yield connection.execution_options(**{_READ_ONLY: True})
        except (SQLAlchemyError, OSError) as error:
            self._note_fault(error)
            raise StoreUnavailableError(self._fault) from None
        self._fault = ""

    def _note_fault(self, error: Exception) -> None:
        self._retry_at = time.monotonic() + RETRY_INTERVAL
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        self._fault = f"{type(error).__name__}: {lines[0] if lines else 'no reason given'}"[:200]

    def insert(self, table: Table) -> Any:
        """An INSERT that skips rows which exist already."""
        return (sqlite_insert if self._sqlite else postgres_insert)(table).on_conflict_do_nothing()

    def close(self) -> None:
        """Close the connections. A later use opens new ones."""
        self._engine.dispose()

    def _ensure_tables(self) -> None:
        if self._tables_exist:
            return
        if self._sqlite and self._url.database:
            Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
        with self._engine.begin() as connection:
            self._exclude_writers(connection)
            self._metadata.create_all(connection)
        self._tables_exist = True

    def _exclude_writers(self, connection: Connection) -> None:
        if not self._sqlite:  # SQLite's transactions exclude other writers by themselves
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({self._lock_number})")


def _durable_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    connection.isolation_level = None  # _begin_immediate opens the transactions
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    # A writer takes its lock at once: two writers that first read and then write would deadlock.
    read_only = connection.get_execution_options().get(_READ_ONLY)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
