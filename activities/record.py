"""The activity ``record``: appends to the audit log.

Recording is an activity of its own, or rides on a delivery: a local activity runs before Temporal has committed the
step that asked for it, so a worker that dies there would leave a record of what then happens differently. The one
exception is an answer that came by a signal. The signal is committed before anybody acts on it, and what comes after it
in the history cannot come before it: however often the step is done over, that is what happens, as the same entry.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import structlog
from temporalio import activity

from activities.contracts import Entries, Entry
from audit import AuditLog, NewRecord

BY_THE_WAY = 3.0  # seconds that a delivery waits for the log, after its message is out

_log = structlog.get_logger()


class Recorder:
    """Appends what many incidents have to say in one transaction: one flush to disk serves them all."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log
        self._waiting: list[tuple[list[NewRecord], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "audit")  # its own: vendors that hang must not keep it waiting

    @activity.defn(name="record")
    async def record(self, batch: Entries) -> None:
        """Idempotent: an entry that the log holds already is left alone; a different one in its place is an error."""
        records = [
            NewRecord(
                incident=batch.incident,
                opening=batch.opening,
                key=entry.key,
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

    async def by_the_way(self, batch: Entries, *more: Entry) -> bool:
        """Record along with a delivery. False where the log is away: then the incident has it recorded later."""
        whole = batch.model_copy(update={"entries": (*batch.entries, *more)})
        if not whole.entries:
            return True
        try:
            await asyncio.wait_for(self.record(whole), BY_THE_WAY)
        except Exception as error:  # noqa: BLE001  # a message that is out must not be sent again for the log's sake
            _log.warning("not recorded yet", incident=batch.incident, error=type(error).__name__)
            return False
        return True

    async def _write(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            batches = [records for records, _ in taken]
            try:
                faults = await asyncio.get_running_loop().run_in_executor(self._thread, self._log.append, batches)
            except Exception as error:  # noqa: BLE001  # whoever waits hears of it, and tries again
                faults = [error] * len(batches)
            for (_, done), fault in zip(taken, faults, strict=True):
                if done.done():
                    continue
                if fault is None:
                    done.set_result(None)
                else:
                    done.set_exception(fault)
