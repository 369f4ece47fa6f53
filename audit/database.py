"""The database of the audit log and of the policies: SQLite, durable, or PostgreSQL."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry

from audit.schema import metadata

_LOCK = 0x70C51_A0D17  # of PostgreSQL's advisory locks: one appender at a time
READING = "tocsin_reading"
"""An execution option: this connection only reads, and takes no lock."""


class Database:
    """Safe for use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Open at an SQLAlchemy address such as ``sqlite:////var/lib/tocsin/audit.db``; make the tables."""
        parsed = make_url(url)
        if parsed.drivername in {"postgres", "postgresql"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self.engine: Engine = create_engine(parsed, pool_pre_ping=True)
        self._postgres = parsed.get_backend_name() == "postgresql"
        if not self._postgres:
            event.listen(self.engine, "connect", _durable_sqlite)
            event.listen(self.engine, "begin", _begin_immediate)
        with self.engine.begin() as connection:
            self.lock(connection)
            metadata.create_all(connection)

    def lock(self, connection: Connection) -> None:
        """Let nobody else append before this transaction ends. SQLite's transactions do that by themselves."""
        if self._postgres:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")

    def close(self) -> None:
        self.engine.dispose()


def _durable_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    connection.isolation_level = None  # SQLAlchemy's begin event below opens the transaction
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    # A writer takes its lock at once: two that both read first and then write would deadlock.
    reading = connection.get_execution_options().get(READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
