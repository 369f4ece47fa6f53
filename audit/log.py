"""Appends to the audit log and reads it, in SQLite or PostgreSQL."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from audit.chain import GENESIS, AuditRecord, record_hash
from audit.database import Database
from audit.errors import ConflictError
from audit.schema import records


@dataclass(frozen=True)
class NewRecord:
    """A record before the log has numbered and chained it. ``key`` is its idempotency key within the incident."""

    incident: str
    first_run_id: str
    key: str
    at: datetime
    event: str
    by: str
    text: str
    data: dict[str, Any]


class AuditLog:
    """Safe for use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Open the log at an SQLAlchemy URL. Nothing is asked of the database before the first use."""
        self._database = Database(url)

    @property
    def database(self) -> Database:
        """The database, for the digest ledger."""
        return self._database

    def append(self, batches: Sequence[Sequence[NewRecord]]) -> list[Exception | None]:
        """Append the records of several incidents in one transaction; durable on return.

        A record whose key the log holds already is skipped: the first version stays.

        Returns:
            For each batch, None, or the ConflictError because of which none of its records was written.

        Raises:
            SQLAlchemyError, OSError: the database is unavailable; nothing was written.
            SchemaError: a newer version of Tocsin has migrated the database.
        """
        faults: list[Exception | None] = []
        with self._database.writing() as connection:
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

    def read(
        self,
        incident: str = "",
        first_run_id: str = "",
        events: Collection[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[AuditRecord]:
        """The records in the order in which they were written, as a stream. An empty argument does not filter.

        Args:
            incident: the workflow id.
            first_run_id: distinguishes the incidents of one workflow id.
            events: the events to include.
            since: the earliest time, included.
            until: the latest time, excluded.
        """
        query = select(records).order_by(records.c.id)
        if incident:
            query = query.where(records.c.incident == incident)
        if first_run_id:
            query = query.where(records.c.first_run_id == first_run_id)
        if events:
            query = query.where(records.c.event.in_(events))
        if since is not None:
            query = query.where(records.c.at >= since)
        if until is not None:
            query = query.where(records.c.at < until)
        with self._database.reading() as connection:
            for row in connection.execute(query.execution_options(yield_per=1000)):
                yield _record(row)

    def incidents(self, beginning: str) -> list[str]:
        """The incidents whose id begins like this, in the order of their ids."""
        query = select(records.c.incident).distinct().order_by(records.c.incident)
        query = query.where(records.c.incident.startswith(beginning, autoescape=True))
        with self._database.reading() as connection:
            # SQLite compares without case here.
            return [one for (one,) in connection.execute(query) if one.startswith(beginning)]

    def count(self, events: Collection[str] = ()) -> int:
        """The number of records; of every event, or of some."""
        query = select(func.count()).select_from(records)
        if events:
            query = query.where(records.c.event.in_(events))
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()

    def close(self) -> None:
        """Close the connections. A later use opens new ones."""
        self._database.close()

    @staticmethod
    def _newest(connection: Connection) -> str:
        newest = connection.execute(select(records.c.hash).order_by(records.c.id.desc()).limit(1)).scalar()
        return newest or GENESIS

    @staticmethod
    def _append_one(connection: Connection, new: NewRecord, anchor: str) -> str:
        chain = select(records).where(records.c.incident == new.incident, records.c.first_run_id == new.first_run_id)
        known = connection.execute(chain.where(records.c.key == new.key)).one_or_none()
        if known is not None:
            if known.event != new.event:
                raise ConflictError(f"{new.incident}: {new.key} is recorded as {known.event}, and now as {new.event}")
            return anchor
        last = connection.execute(chain.order_by(records.c.number.desc()).limit(1)).one_or_none()
        record = AuditRecord(
            incident=new.incident,
            first_run_id=new.first_run_id,
            number=last.number + 1 if last is not None else 1,
            key=new.key,
            at=new.at.astimezone(UTC),
            event=new.event,
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


def _record(row: Row[Any]) -> AuditRecord:
    values = dict(row._mapping)  # pyright: ignore[reportPrivateUsage]  # SQLAlchemy's public name for it
    values.pop("id")
    at: datetime = values.pop("at")
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return AuditRecord.model_validate({**values, "at": at, "data": json.loads(values["data"])})
