"""The database of the audit log and of the policies: SQLite, durable, or PostgreSQL."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry

from audit.schema import metadata

_LOCK = 0x70C51_A0D17  # of PostgreSQL's advisory locks: one appender at a time
_READING = "tocsin_reading"  # an execution option: this connection only reads, and takes no lock


class Database:
    """Safe for use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """For an SQLAlchemy address such as ``sqlite:////var/lib/tocsin/audit.db``.

        Nothing is asked of it before its first use, which makes the tables: whoever pages must be able to start while
        the log is away.
        """
        self.url = make_url(url)
        self._engine = create_engine(self.url, pool_pre_ping=True)
        self._postgres = self.url.get_backend_name() == "postgresql"
        self._made = False
        if not self._postgres:
            event.listen(self._engine, "connect", _durable_sqlite)
            event.listen(self._engine, "begin", _begin_immediate)

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """A transaction during which nobody else writes; durable once it ends. Raises SQLAlchemyError or OSError."""
        self._make_tables()
        with self._engine.begin() as connection:
            self._lock(connection)
            yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """A connection that waits for no writer. Raises SQLAlchemyError or OSError."""
        self._make_tables()
        with self._engine.connect() as connection:
            yield connection.execution_options(**{_READING: True})

    def close(self) -> None:
        self._engine.dispose()

    def _make_tables(self) -> None:
        if self._made:
            return
        if not self._postgres and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        with self._engine.begin() as connection:
            self._lock(connection)
            metadata.create_all(connection)
        self._made = True

    def _lock(self, connection: Connection) -> None:
        if self._postgres:  # SQLite's transactions do that by themselves
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _durable_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    connection.isolation_level = None  # SQLAlchemy's begin event below opens the transaction
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    # A writer takes its lock at once: two that both read first and then write would deadlock.
    reading = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
