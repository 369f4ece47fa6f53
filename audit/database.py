"""The database of the audit log, the policies and the digest ledger: SQLite, durable, or PostgreSQL."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry

from audit.errors import SchemaError
from audit.schema import REVISION, revision_of

_LOCK = 0x70C51_A0D17  # PostgreSQL's advisory lock: one writer at a time
_READ_ONLY = "tocsin_read_only"  # an execution option: the connection takes no lock

_log = structlog.get_logger()


class Database:
    """Safe for use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Prepare access to an SQLAlchemy URL such as ``sqlite:////var/lib/tocsin/audit.db``.

        The first use connects, and creates or migrates the schema. Until then nothing is asked of the database: the
        processes that page must start while it is unavailable.
        """
        self.url = make_url(url)
        self._engine = create_engine(self.url, pool_pre_ping=True)
        self._postgres = self.url.get_backend_name() == "postgresql"
        self._schema_is_current = False
        if not self._postgres:
            event.listen(self._engine, "connect", _durable_sqlite)
            event.listen(self._engine, "begin", _begin_immediate)

    @contextmanager
    def writing(self) -> Generator[Connection]:
        """Open a transaction that excludes other writers; it is durable once it ends.

        Raises:
            SQLAlchemyError, OSError: the database is unavailable.
            SchemaError: a newer version of Tocsin has migrated it.
        """
        self._ensure_schema()
        with self._engine.begin() as connection:
            self._lock(connection)
            yield connection

    @contextmanager
    def reading(self) -> Generator[Connection]:
        """Open a connection that waits for no writer. Raises the same errors as ``writing``."""
        self._ensure_schema()
        with self._connect_read_only() as connection:
            yield connection

    def close(self) -> None:
        """Close the connections. A later use opens new ones."""
        self._engine.dispose()

    @contextmanager
    def _connect_read_only(self) -> Generator[Connection]:
        with self._engine.connect() as connection:
            yield connection.execution_options(**{_READ_ONLY: True})

    def _ensure_schema(self) -> None:
        if self._schema_is_current:
            return
        if not self._postgres and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        with self._connect_read_only() as connection:
            found = revision_of(connection)
        if found != REVISION:
            self._migrate()
        self._schema_is_current = True

    def _migrate(self) -> None:
        from alembic.util import CommandError  # its import is slow, and a current database does not need it

        from audit.migrations import upgrade

        with self._engine.begin() as connection:
            self._lock(connection)
            found = revision_of(connection)  # another process may have migrated it meanwhile
            if found == REVISION:
                return
            try:
                upgrade(connection)
            except CommandError as error:
                raise SchemaError(
                    f"the audit database has schema {found}, which this version does not know ({error}); "
                    "run the version of Tocsin that migrated it, or a later one"
                ) from None
        if structlog.is_configured():  # a command of the CLI prints only its result
            _log.info("audit_schema_migrated", found=found or "none", revision=REVISION)

    def _lock(self, connection: Connection) -> None:
        if self._postgres:  # SQLite's transactions exclude other writers by themselves
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _durable_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    connection.isolation_level = None  # _begin_immediate opens the transactions
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    # A writer takes its lock at once: two writers that first read and then write would deadlock.
    read_only = connection.get_execution_options().get(_READ_ONLY)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
