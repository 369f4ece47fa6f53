"""The descriptions of monitors that workers have read, for all processes: durable, and whole in memory.

Gateways decide by it without a request and without a query. It is a cache in the dedup store's database: while that is
unavailable, the memory answers, and what was read meanwhile is written later. The tables are created on first use,
without migrations. If a column changes, the table gets a new name and starts empty; the old one may be dropped.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import structlog
from pydantic import ValidationError
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from alerts import Description

LOAD_INTERVAL = 5.0  # seconds between two looks for what other processes have written
TIMEOUT = 5.0  # seconds for the database
BATCH_SIZE = 500
POLICY = "policy"
"""Among the APIs of which workers report problems: the policy's conditions."""
REPORT_LIFETIME = timedelta(minutes=10)
"""A problem that a worker reported this long ago, and not since, is over: the worker asks Arize nothing any more."""
_LOCK = 0x70C51_DE5C  # PostgreSQL's advisory lock: one writer at a time, so that versions are seen in their order
_READ_ONLY = "tocsin_read_only"  # an execution option: the connection takes no lock

_log = structlog.get_logger()

_metadata = MetaData()
_descriptions = Table(
    "monitor_descriptions",
    _metadata,
    Column("monitor_id", String(300), primary_key=True),
    Column("version", BigInteger, index=True, nullable=False),
    Column("key_id", String(40), nullable=False),
    Column("content", LargeBinary, nullable=False),
)
_reports = Table(
    "arize_problems",
    _metadata,
    Column("process", String(200), primary_key=True),
    Column("api", String(40), primary_key=True),
    Column("text", String(1000), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
)


class Cipher(Protocol):
    """Encrypts what is stored; the gateway's ``Keyring`` is one."""

    current: str

    def __bool__(self) -> bool:
        """False without a key: then nothing is encrypted."""
        ...

    def seal(self, plain: bytes, /) -> bytes: ...
    def open(self, sealed: bytes, key: str, /) -> bytes: ...


class DescriptionCache:
    """One thread uses the database; everything else reads the memory."""

    def __init__(self, url: str, cipher: Cipher | None = None) -> None:
        """
        Args:
            url: an SQLAlchemy URL. Nothing is asked of the database before the first use.
            cipher: encrypts the descriptions.
        """
        self._url = make_url(url)
        self._cipher = cipher or None
        self._sqlite = self._url.get_backend_name() == "sqlite"
        self._engine = create_engine(self._url, pool_pre_ping=not self._sqlite)
        if self._sqlite:
            event.listen(self._engine, "connect", _fast_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._tables_exist = False
        self._thread: ThreadPoolExecutor | None = None
        self._memory: dict[str, bytes] = {}
        """JSON by the monitor's id: a tenth of the size of the objects, and parsed in microseconds."""
        self._version = 0
        self._unwritten: dict[str, bytes | None] = {}
        """None for a monitor that is gone."""
        self._process = f"{socket.gethostname()}-{os.getpid()}"
        self._reported: Mapping[str, str] = {}
        self._problems: dict[str, str] = {}
        self._fault = ""

    def __len__(self) -> int:
        return len(self._memory)

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the monitors that are described."""
        return frozenset(self._memory)

    @property
    def problems(self) -> dict[str, str]:
        """What workers reported of Arize's APIs, by the API; read with the descriptions."""
        return {api: text for api, text in self._problems.items() if api != POLICY}

    @property
    def policy_problem(self) -> str:
        """Which conditions of the policy workers could not evaluate lately; empty if there are none."""
        return self._problems.get(POLICY, "")

    def get(self, monitor_id: str) -> Description | None:
        """The description in memory. Asks nothing of the database."""
        content = self._memory.get(monitor_id)
        return None if content is None else _parsed(content)

    def add(self, descriptions: Iterable[Description]) -> None:
        """Keep descriptions in memory now; ``save`` or ``run`` writes them."""
        for one in descriptions:
            content = one.model_dump_json().encode()
            self._memory[one.monitor_id] = self._unwritten[one.monitor_id] = content

    def remove(self, monitor_ids: Iterable[str]) -> None:
        """Forget monitors that are gone; ``save`` or ``run`` deletes them."""
        for monitor_id in monitor_ids:
            self._memory.pop(monitor_id, None)
            self._unwritten[monitor_id] = None

    async def save(self) -> bool:
        """Write what was added and removed. False if the database is unavailable: it is written later."""
        while self._unwritten:
            batch = dict(list(self._unwritten.items())[:BATCH_SIZE])
            if await self._run(self._write, batch) is None:
                return False
            for monitor_id, content in batch.items():
                if self._unwritten.get(monitor_id, b"") is content:
                    del self._unwritten[monitor_id]
        return True

    async def load(self) -> bool:
        """Read what other processes wrote. False if the database is unavailable."""
        found = await self._run(self._read, self._version, len(self._memory))
        if found is None:
            return False
        version, changed, ids, problems = found
        for monitor_id, content in changed:
            if monitor_id not in self._unwritten:
                self._memory[monitor_id] = content
        if ids is not None:
            for monitor_id in self._memory.keys() - ids - self._unwritten.keys():
                del self._memory[monitor_id]
        self._version, self._problems = version, problems
        return True

    async def report(self, problems: Mapping[str, str]) -> None:
        """Store what is wrong with Arize's APIs, as this process sees it, for all others."""
        if (problems or self._reported) and await self._run(self._write_report, problems) is not None:
            self._reported = dict(problems)

    async def run(
        self, interval: float = LOAD_INTERVAL, problems: Callable[[], Mapping[str, str]] | None = None
    ) -> None:
        """Write and read until it is cancelled.

        Args:
            interval: seconds between two rounds.
            problems: of Arize's APIs, to report, by the API.
        """
        while True:
            await self.save()
            if problems is not None:
                await self.report(problems())
            await self.load()
            await asyncio.sleep(interval)

    def close(self) -> None:
        """End the thread and close the connections; a later use opens new ones."""
        if self._thread is not None:
            self._thread.shutdown(wait=not self._fault)
            self._thread = None
        self._engine.dispose()

    async def _run(self, work: Callable[..., Any], *args: Any) -> Any:
        """The result of ``work`` in the thread; None if the database is unavailable."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "descriptions")
        try:
            async with asyncio.timeout(TIMEOUT):
                result = await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work, *args)
        except (SQLAlchemyError, OSError) as error:  # TimeoutError is an OSError
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()
            recent = self._fault
            self._fault = f"{type(error).__name__}: {reason[0] if reason else f'no answer within {TIMEOUT:g} s'}"[:200]
            if not recent:
                _log.warning("description_cache_unavailable", error=self._fault)
            return None
        if self._fault:
            self._fault = ""
            _log.warning("description_cache_recovered", unwritten=len(self._unwritten))
        return result

    def _work(self, work: Callable[..., Any], *args: Any) -> Any:
        if not self._tables_exist:
            if self._sqlite and self._url.database:
                Path(self._url.database).parent.mkdir(parents=True, exist_ok=True)
            with self._engine.begin() as connection:
                self._lock(connection)
                _metadata.create_all(connection)
            self._tables_exist = True
        with self._engine.connect().execution_options(**{_READ_ONLY: work == self._read}) as connection:
            result = work(connection, *args)
            connection.commit()
            return result

    def _lock(self, connection: Connection) -> None:
        if not self._sqlite:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")

    def _write(self, connection: Connection, batch: Mapping[str, bytes | None]) -> bool:
        self._lock(connection)
        gone = [monitor_id for monitor_id, content in batch.items() if content is None]
        if gone:
            connection.execute(delete(_descriptions).where(_descriptions.c.monitor_id.in_(gone)))
        latest = connection.execute(select(func.coalesce(func.max(_descriptions.c.version), 0))).scalar_one()
        version = max(latest + 1, int(time.time() * 1000))  # never again that of a row that was deleted
        rows = [
            {"monitor_id": monitor_id, "version": version, **self._sealed(content)}
            for monitor_id, content in batch.items()
            if content is not None
        ]
        if rows:
            self._upsert(connection, _descriptions, rows)
        return True

    def _read(
        self, connection: Connection, version: int, count: int
    ) -> tuple[int, list[tuple[str, bytes]], set[str] | None, dict[str, str]]:
        table = _descriptions
        latest, total = connection.execute(select(func.coalesce(func.max(table.c.version), 0), func.count())).one()
        changed: list[tuple[str, bytes]] = []
        if latest != version:
            # If the newest rows were deleted, or the table is new, the versions begin again.
            since = version if latest > version else 0
            for row in connection.execute(select(table).where(table.c.version > since)):
                content = self._opened(row.content, row.key_id)
                if content is not None:
                    changed.append((row.monitor_id, content))
        ids = None
        if changed or total != count:
            ids = set(connection.execute(select(table.c.monitor_id)).scalars())
        fresh = select(_reports.c.api, _reports.c.text).where(_reports.c.at > datetime.now(UTC) - REPORT_LIFETIME)
        return latest, changed, ids, {row.api: row.text for row in connection.execute(fresh.order_by(_reports.c.at))}

    def _write_report(self, connection: Connection, problems: Mapping[str, str]) -> bool:
        now = datetime.now(UTC)
        ours = (_reports.c.process == self._process) | (_reports.c.at < now - REPORT_LIFETIME)
        connection.execute(delete(_reports).where(ours))
        rows = [
            {"process": self._process, "api": api, "text": text[:1000], "at": now} for api, text in problems.items()
        ]
        if rows:
            self._upsert(connection, _reports, rows)
        return True

    def _upsert(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        insert: Any = (sqlite_insert if self._sqlite else postgres_insert)(table)
        keys = [column.name for column in table.primary_key]
        values = {column.name: insert.excluded[column.name] for column in table.columns if column.name not in keys}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=values), list(rows))

    def _sealed(self, content: bytes) -> dict[str, Any]:
        if self._cipher is None:
            return {"key_id": "", "content": content}
        return {"key_id": self._cipher.current, "content": self._cipher.seal(content)}

    def _opened(self, content: bytes, key_id: str) -> bytes | None:
        """None if the key is not known any more: the description is read again."""
        if not key_id:
            return content
        try:
            return None if self._cipher is None else self._cipher.open(content, key_id)
        except Exception as error:  # noqa: BLE001  # whatever a cipher raises: a cache that is not readable is empty
            _log.warning("description_unreadable", error=str(error)[:200])
            return None


def _parsed(content: bytes) -> Description | None:
    try:
        return Description.model_validate_json(content)
    except ValidationError:
        return None  # of another version


def _fast_sqlite(connection: Any, entry: ConnectionPoolEntry) -> None:
    del entry
    connection.isolation_level = None  # _begin_sqlite opens the transactions
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "busy_timeout=4000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: its version must be later than those of all rows that are committed.
    read_only = connection.get_execution_options().get(_READ_ONLY)
    connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
