"""The log itself: appending and reading, in SQLite or PostgreSQL."""

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from audit.chain import GENESIS, Record, record_hash
from audit.database import Database
from audit.schema import records


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
        """The log at an SQLAlchemy address such as ``sqlite:////var/lib/tocsin/audit.db``; its first use makes it."""
        self._database = Database(url)

    @property
    def database(self) -> Database:
        """For what is kept beside the log."""
        return self._database

    def append(self, batches: Sequence[Sequence[NewRecord]]) -> list[Exception | None]:
        """Append several incidents' records in one transaction; durable when this returns.

        The answer holds, for each batch, None or what is wrong with it. A record whose key the log holds already
        is left as it is: the first word stands. Raises SQLAlchemyError where the database fails: then nothing
        was written.
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
        opening: str = "",
        kinds: Collection[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Record]:
        """The records in the order they were written; of one incident or all, of some kinds or all, of a time or all.

        ``since`` is within, ``until`` is not.
        """
        query = select(records).order_by(records.c.id)
        if incident:
            query = query.where(records.c.incident == incident)
        if opening:
            query = query.where(records.c.opening == opening)
        if kinds:
            query = query.where(records.c.what.in_(kinds))
        if since is not None:
            query = query.where(records.c.at >= since)
        if until is not None:
            query = query.where(records.c.at < until)
        with self._database.reading() as connection:
            for row in connection.execute(query.execution_options(yield_per=1000)):
                yield _record(row)

    def count(self, kinds: Collection[str] = ()) -> int:
        """How many records there are; of all kinds, or of some."""
        query = select(func.count()).select_from(records)
        if kinds:
            query = query.where(records.c.what.in_(kinds))
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()

    def close(self) -> None:
        self._database.close()

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
