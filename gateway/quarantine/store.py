"""Holds deliveries that nothing can read, in the gateway's database, within limits of count, bytes and age.

Beyond a limit, replayed deliveries fall out first, and then the oldest of the shape that takes the most room: a storm
of one shape does not push out the others.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, TypeVar

import structlog
from sqlalchemy import Connection, Row, and_, delete, func, select, update

from alerts import Alert, TocsinError
from alerts.unreadable import OTHER_SHAPES
from audit.group_commit import GroupCommitter
from gateway import metrics
from gateway.quarantine.delivery import Delivery, Plan, Quarantined
from gateway.quarantine.tables import metadata
from gateway.quarantine.tables import quarantine as table
from gateway.security.encryption import Keyring
from integrations.base.sql_store import RETRY_INTERVAL, SqlStore, StoreUnavailableError

TIMEOUT = 2.0  # seconds that a request waits for the database, before the spool takes the delivery
READ_TIMEOUT = 10.0  # seconds that a read of many bodies may take
MAX_SHAPES = 20  # shapes that have an incident of their own at a time
_LOCK = 0x70C51_0A12A
_ROW_BYTES = 400  # a row's size beside its content

_log = structlog.get_logger()
T = TypeVar("T")


class QuarantineUnavailableError(TocsinError):
    """The gateway's database does not answer; the text says how."""

    code: ClassVar[str] = "quarantine_unavailable"


@dataclass(frozen=True)
class Limits:
    """What the quarantine holds at most."""

    items: int = 10_000
    bytes: int = 256 * 2**20
    age: timedelta = timedelta(days=30)


@dataclass(frozen=True)
class Stored:
    """Where a delivery is: its row's shape, which may be that of many shapes, and its state."""

    shape: str
    state: str


@dataclass
class _Put:
    delivery: Delivery
    result: Stored | None = None


@dataclass(frozen=True)
class Held:
    """What the quarantine held when it was counted last: deliveries that wait for a replay, and their bytes."""

    items: int = 0
    bytes: int = 0


@dataclass
class QuarantineStore:
    """One thread does all the work; deliveries that arrive during a commit share the next one."""

    url: str
    keys: Keyring
    limits: Limits = field(default_factory=Limits)
    timeout: float = TIMEOUT
    held: Held = Held()

    def __post_init__(self) -> None:
        self._store = SqlStore(self.url, metadata, lock=_LOCK)
        self._committer: GroupCommitter[_Put] = GroupCommitter(self._insert, name="quarantine")
        self._slow, self._retry_at = False, 0.0

    @property
    def fault(self) -> str:
        """Why the database failed the last time it was used; empty if it did not."""
        return self._store.fault or ("no answer in time" if self._slow else "")

    # ── Deliveries ──────────────────────────────────────────────────────────────────────────────────────

    async def put(self, delivery: Delivery) -> Stored:
        """Store a delivery; durable on return. One of an id that is stored already changes nothing.

        Raises:
            QuarantineUnavailableError: the database did not take it in time. It may hold it all the same.
        """
        self._refuse_if_slow()
        item = _Put(delivery)
        await self._in_time(self._committer.submit(item), self.timeout)
        assert item.result is not None
        return item.result

    async def get(self, delivery_id: str) -> Quarantined | None:
        """Raises QuarantineUnavailableError."""
        found = await self._run(lambda connection: self._select(connection, table.c.id == delivery_id, 1))
        return found[0] if found else None

    async def page(self, *, state: str = "", shape: str = "", before: int = 0, limit: int = 100) -> list[Quarantined]:
        """The newest first. ``before`` is the ``number`` of the last one of the page before.

        Raises:
            QuarantineUnavailableError: the database is unavailable.
        """
        chosen = [column == value for column, value in ((table.c.state, state), (table.c.shape, shape)) if value]
        chosen += [table.c.number < before] if before else []
        return await self._run(lambda connection: self._select(connection, and_(True, *chosen), limit))

    async def waiting(self, shape: str = "", *, after: int = 0, limit: int = 100) -> list[tuple[int, str]]:
        """The numbers and ids of the deliveries that wait for a replay, the oldest first, after a number.

        Raises:
            QuarantineUnavailableError: the database is unavailable.
        """
        query = select(table.c.number, table.c.id).where(table.c.state != "replayed", table.c.number > after)
        query = query.where(table.c.shape == shape) if shape else query
        ordered = query.order_by(table.c.number).limit(limit)
        return await self._run(lambda connection: [(row.number, row.id) for row in connection.execute(ordered)])

    async def left(self, shape: str = "") -> int:
        """How many wait for a replay. Raises QuarantineUnavailableError."""
        query = select(func.count()).select_from(table).where(table.c.state != "replayed")
        query = query.where(table.c.shape == shape) if shape else query
        return await self._run(lambda connection: connection.execute(query).scalar_one())

    # ── What becomes of them ────────────────────────────────────────────────────────────────────────────

    async def mark_notified(self, delivery_id: str) -> None:
        """Its incident has it. Raises QuarantineUnavailableError."""
        await self._change({"pending": False}, table.c.id == delivery_id, table.c.state == "quarantined")

    async def plan(self, delivery_id: str, alert: Alert, by: str, role: str) -> Quarantined | None:
        """Begin a replay. The first plan stays: a later attempt gets it, and so makes nothing else of the delivery.

        Returns:
            The delivery with its plan; None if it fell out meanwhile.

        Raises:
            QuarantineUnavailableError: the database is unavailable.
        """
        key, content = self._sealed(Plan(alert=alert).model_dump_json().encode())
        values = {"state": "replaying", "plan_key": key, "plan": content, "pending": True}
        who = {"replayed_by": by[:200], "replayed_role": role}
        await self._change({**values, **who}, table.c.id == delivery_id, table.c.state == "quarantined")
        return await self.get(delivery_id)

    async def mark_replayed(self, delivery_id: str, incident: str, outcome: str) -> None:
        """An incident has its alert durably. Raises QuarantineUnavailableError."""
        values = {"state": "replayed", "incident": incident, "outcome": outcome, "pending": True}
        at = {"replayed_at": datetime.now(UTC)}
        await self._change({**values, **at}, table.c.id == delivery_id, table.c.state == "replaying")

    async def mark_settled(self, shape: str) -> None:
        """The shape's incident knows of all replays. Raises QuarantineUnavailableError."""
        await self._change({"pending": False}, table.c.shape == shape, table.c.state == "replayed")

    async def notify_again(self, shape: str) -> None:
        """The deliveries of a shape that wait must be reported again. Raises QuarantineUnavailableError."""
        await self._change({"pending": True}, table.c.shape == shape, table.c.state == "quarantined")

    async def pending(self, idle: timedelta, limit: int = 100) -> list[Quarantined]:
        """The deliveries with work left that nothing has touched for a while. Raises QuarantineUnavailableError."""
        since = datetime.now(UTC) - idle
        chosen = and_(table.c.pending, table.c.touched_at < since)
        return await self._run(lambda connection: self._select(connection, chosen, limit, oldest=True))

    async def expire(self) -> None:
        """Drop what is older than the limit, and count what is held. Raises QuarantineUnavailableError."""
        await self._run(self._expire)

    async def ping(self) -> None:
        """Raises QuarantineUnavailableError if the database cannot be used."""
        await self._run(self._count, self.timeout)

    def close(self) -> None:
        """Wait for the running transaction, end the thread, close the connections. A later use opens new ones."""
        self._committer.close()
        self._store.close()

    # ── In the thread ───────────────────────────────────────────────────────────────────────────────────

    def _insert(self, batch: Sequence[_Put]) -> list[Exception | None]:
        with self._store.transaction() as connection:
            results = [self._insert_one(connection, item.delivery) for item in batch]
            self._make_room(connection)
            self._count(connection)
        for item, result in zip(batch, results, strict=True):  # only once the transaction is durable
            item.result = result
        return [None] * len(batch)

    def _insert_one(self, connection: Connection, delivery: Delivery) -> Stored:
        known = connection.execute(select(table.c.shape, table.c.state).where(table.c.id == delivery.id)).one_or_none()
        if known is not None:
            return Stored(known.shape, known.state)
        shape = self._shape_for(connection, delivery.shape)
        key, content = self._sealed(delivery.model_dump_json().encode())
        row = {
            "id": delivery.id,
            "shape": shape,
            "received_at": delivery.received_at,
            "touched_at": datetime.now(UTC),
            "size": len(content) + _ROW_BYTES,
            "state": "quarantined",
            "pending": True,
            **dict.fromkeys(("replayed_by", "replayed_role", "incident", "outcome", "plan_key"), ""),
            "key": key,
            "content": content,
        }
        connection.execute(table.insert(), [row])
        return Stored(shape, "quarantined")

    @staticmethod
    def _shape_for(connection: Connection, shape: str) -> str:
        """The shape itself, unless so many others wait already that its incident would be one too many."""
        waiting = select(table.c.shape).where(table.c.state != "replayed").distinct().limit(MAX_SHAPES + 2)
        known = set(connection.execute(waiting).scalars()) - {OTHER_SHAPES.digest}
        return shape if shape in known or len(known) < MAX_SHAPES else OTHER_SHAPES.digest

    def _make_room(self, connection: Connection) -> None:
        totals = select(func.count(), func.coalesce(func.sum(table.c.size), 0)).select_from(table)
        items, size = connection.execute(totals).one()
        while items > self.limits.items or size > self.limits.bytes:
            oldest = select(table.c.number, table.c.id, table.c.size, table.c.shape, table.c.state)
            oldest = oldest.order_by(table.c.number).limit(1)
            row = connection.execute(oldest.where(table.c.state == "replayed")).one_or_none()
            if row is None:
                largest = select(table.c.shape).where(table.c.state == "quarantined").group_by(table.c.shape)
                largest = largest.order_by(func.sum(table.c.size).desc()).limit(1).scalar_subquery()
                row = connection.execute(
                    oldest.where(table.c.state == "quarantined", table.c.shape == largest)
                ).one_or_none()
            if row is None:
                return
            self._drop(connection, [row], "count" if items > self.limits.items else "bytes")
            items, size = items - 1, size - row.size

    def _expire(self, connection: Connection) -> None:
        old = datetime.now(UTC) - self.limits.age
        query = select(table.c.number, table.c.id, table.c.shape, table.c.state)
        chosen = query.where(table.c.received_at < old, table.c.state != "replaying").limit(1000)
        self._drop(connection, connection.execute(chosen).all(), "age")
        self._count(connection)

    @staticmethod
    def _drop(connection: Connection, rows: Sequence[Any], reason: str) -> None:
        if rows:
            connection.execute(delete(table).where(table.c.number.in_([row.number for row in rows])))
        for row in rows:
            if row.state == "quarantined":  # what was replayed is an incident by now
                metrics.QUARANTINE_DROPPED.labels(reason).inc()
                _log.error("quarantine_dropped", delivery=row.id, shape=row.shape, reason=reason)

    def _count(self, connection: Connection) -> None:
        totals = select(func.count(), func.coalesce(func.sum(table.c.size), 0)).where(table.c.state != "replayed")
        items, size = connection.execute(totals).one()
        self.held = Held(int(items), int(size))

    def _select(self, connection: Connection, chosen: Any, limit: int, *, oldest: bool = False) -> list[Quarantined]:
        order = table.c.number if oldest else table.c.number.desc()
        return [
            self._opened(row) for row in connection.execute(select(table).where(chosen).order_by(order).limit(limit))
        ]

    def _opened(self, row: Row[Any]) -> Quarantined:
        delivery, plan, fault = None, None, ""
        try:
            delivery = Delivery.model_validate_json(self._plain(row.content, row.key))
            plan = Plan.model_validate_json(self._plain(row.plan, row.plan_key)) if row.plan is not None else None
        except (TocsinError, ValueError) as error:
            fault = str(error)[:300]
        return Quarantined(
            id=row.id,
            number=row.number,
            shape=row.shape,
            received_at=_utc(row.received_at),
            size=len(delivery.raw) if delivery else row.size,
            state=row.state,
            replayed_at=_utc(row.replayed_at) if row.replayed_at else None,
            replayed_by=row.replayed_by,
            replayed_role=row.replayed_role,
            incident=row.incident,
            outcome=row.outcome,
            delivery=delivery,
            plan=plan,
            fault=fault,
        )

    def _sealed(self, content: bytes) -> tuple[str, bytes]:
        key = self.keys.current
        return key, self.keys.seal(content) if key else content

    def _plain(self, content: bytes, key: str) -> bytes:
        return self.keys.open(content, key) if key else content

    async def _change(self, values: dict[str, Any], *chosen: Any) -> None:
        statement = update(table).where(*chosen).values({**values, "touched_at": datetime.now(UTC)})

        def change(connection: Connection) -> None:
            connection.execute(statement)

        await self._run(change)

    async def _run(self, work: Callable[[Connection], T], within: float = READ_TIMEOUT) -> T:
        def in_transaction() -> T:
            with self._store.transaction() as connection:
                return work(connection)

        self._refuse_if_slow()
        return await self._in_time(asyncio.ensure_future(self._committer.run(in_transaction)), within)

    def _refuse_if_slow(self) -> None:
        """Raises QuarantineUnavailableError: others need not wait for a database that did not answer just now."""
        if self._slow and asyncio.get_running_loop().time() < self._retry_at:
            raise QuarantineUnavailableError(self.fault)

    async def _in_time(self, work: "asyncio.Future[T]", within: float) -> T:
        work.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to read it
        try:
            async with asyncio.timeout(within):
                result = await asyncio.shield(work)
        except StoreUnavailableError as error:
            raise QuarantineUnavailableError(str(error)) from None
        except TimeoutError:
            self._slow, self._retry_at = True, asyncio.get_running_loop().time() + RETRY_INTERVAL
            raise QuarantineUnavailableError(self.fault) from None
        self._slow = False
        return result


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
