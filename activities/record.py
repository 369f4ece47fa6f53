"""The activity ``record``: appends to the audit log."""

import asyncio

from temporalio import activity

from activities.contracts import Entries
from audit import AuditLog, NewRecord


class Recorder:
    """Appends what many incidents have to say in one transaction: one flush to disk serves them all."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._waiting: list[tuple[list[NewRecord], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    @activity.defn(name="record")
    async def record(self, batch: Entries) -> None:
        """Idempotent: an entry that the log holds already is left alone; a different one in its place is an error."""
        records = [
            NewRecord(
                incident=batch.incident,
                opening=batch.opening,
                number=entry.number,
                at=entry.at,
                what=entry.what,
                by=entry.by,
                text=entry.text,
                data=entry.data,
            )
            for entry in batch.entries
        ]
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((records, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await done

    async def _write(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            faults = await asyncio.to_thread(self._log.append, [records for records, _ in taken])
            for (_, done), fault in zip(taken, faults, strict=True):
                if done.done():
                    continue
                if fault is None:
                    done.set_result(None)
                else:
                    done.set_exception(fault)
