"""The log itself: appending and reading, in SQLite or PostgreSQL."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Row, create_engine, event, select
from sqlalchemy.engine import make_url
from sqlalchemy.pool import ConnectionPoolEntry

from audit.chain import GENESIS, Record, record_hash
from audit.schema import metadata, records

_LOCK = 0x70C51_A0D17  # of PostgreSQL's advisory locks: one appender at a time

_READING = "tocsin_reading"


@dataclass(frozen=True)
class NewRecord:
    """A record before the log has numbered it and bound it into the chain; ``key`` is its idempotency key."""

    incident: str
    opening: str
    key: str
    at: datetime
    what: str
    by: str
    text: str
    data: dict[str, Any]


class ConflictError(Exception):
    """Another record has that key already."""


class AuditLog:
    """Safe for use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Open the log at an SQLAlchemy address such as ``sqlite:////var/lib/tocsin/audit.db``; make its table."""
        parsed = make_url(url)
        if parsed.drivername in {"postgres", "postgresql"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        self._engine: Engine = create_engine(parsed, pool_pre_ping=True)
        self._postgres = parsed.get_backend_name() == "postgresql"
        if not self._postgres:
            event.listen(self._engine, "connect", _durable_sqlite)
            event.listen(self._engine, "begin", _begin_immediate)
        with self._engine.begin() as connection:
            self._lock(connection)
            metadata.create_all(connection)

    def append(self, batches: Sequence[Sequence[NewRecord]]) -> list[Exception | None]:
        """Append several incidents' records in one transaction; durable when this returns.

        The answer holds, for each batch, None or what is wrong with it. A record whose key the log holds already
        is left as it is: the first word stands. Raises SQLAlchemyError where the database fails: then nothing
        was written.
        """
        faults: list[Exception | None] = []
        with self._engine.begin() as connection:
            self._lock(connection)
            anchor = self._newest(connection)
            for batch in batches:
                try:
                    with connection.begin_nested():
                        for new in batch:
                            anchor = self._append_one(connection, new, anchor)
                    faults.append(None)
                except ConflictError as error:
                    faults.append(error)
                    anchor = self._newest(connection)
        return faults

    def read(self, incident: str = "", opening: str = "") -> Iterator[Record]:
        """The records in the order they were written; of one incident, or of all."""
        query = select(records).order_by(records.c.id)
        if incident:
            query = query.where(records.c.incident == incident)
        if opening:
            query = query.where(records.c.opening == opening)
        with self._engine.connect() as connection:
            connection = connection.execution_options(yield_per=1000, **{_READING: True})
            for row in connection.execute(query):
                yield _record(row)

    def close(self) -> None:
        self._engine.dispose()

    def _lock(self, connection: Connection) -> None:
        if self._postgres:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")

    @staticmethod
    def _newest(connection: Connection) -> str:
        newest = connection.execute(select(records.c.hash).order_by(records.c.id.desc()).limit(1)).scalar()
        return newest or GENESIS

    @staticmethod
    def _append_one(connection: Connection, new: NewRecord, anchor: str) -> str:
        chain = select(records).where(records.c.incident == new.incident, records.c.opening == new.opening)
        there = connection.execute(chain.where(records.c.key == new.key)).one_or_none()
        if there is not None:
            if there.what != new.what:
                raise ConflictError(f"{new.incident}: {new.key} is recorded as {there.what}, and now as {new.what}")
            return anchor
        last = connection.execute(chain.order_by(records.c.number.desc()).limit(1)).one_or_none()
        record = Record(
            incident=new.incident,
            opening=new.opening,
            number=last.number + 1 if last is not None else 1,
            key=new.key,
            at=new.at.astimezone(UTC),
            what=new.what,
            by=new.by,
            text=new.text,
            data=new.data,
            previous=last.hash if last is not None else GENESIS,
            anchor=anchor,
            hash="",
        )
        hashed = record_hash(record)
        row = {**record.model_dump(), "data": json.dumps(record.data, sort_keys=True), "hash": hashed}
        connection.execute(records.insert().values(row))
        return hashed


def _record(row: Row[Any]) -> Record:
    values = dict(row._mapping)  # pyright: ignore[reportPrivateUsage]  # SQLAlchemy's public name for it
    values.pop("id")
    at: datetime = values.pop("at")
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return Record.model_validate({**values, "at": at, "data": json.loads(values["data"])})


def _durable_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    connection.isolation_level = None  # SQLAlchemy's begin event below opens the transaction
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    # A writer takes its lock at once: two that both read first and then write would deadlock.
    reading = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
