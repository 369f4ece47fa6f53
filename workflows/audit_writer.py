"""Writes an incident's audit events to the audit log: along with its notifications, or in an activity of their own."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from temporalio import workflow

from alerts.bounded import json_size
from incident.audit_events import AuditEvent
from incident.limits import AUDIT_BATCH_BYTES
from incident.state import IncidentState
from workflows import activity_calls

BATCH_SIZE = 100
GATHER_REPEATS = timedelta(seconds=1)


class AuditWriter:
    """A part of the incident workflow. Only what Temporal has committed is ever written.

    ``spawn`` starts a task beside the main loop, ``wake`` runs the main loop again.
    """

    def __init__(
        self,
        state: IncidentState,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        wake: Callable[[], None],
    ) -> None:
        self._state, self._spawn, self._wake = state, spawn, wake
        self._task: asyncio.Task[None] | None = None
        self._leased: set[str] = set()
        self._durable: set[str] = set()
        """Keys of events that stand for a signal that Temporal has committed: a replay repeats them unchanged."""
        self._written_locally: set[str] = set()
        """Keys of events that a local activity wrote. They are sent with the next notification as well."""

    @property
    def flushing(self) -> bool:
        """Whether an activity is writing now."""
        return self._task is not None

    @contextmanager
    def durable(self) -> Generator[None]:
        """Events recorded inside stand for a committed signal."""
        before = self._state.event_number
        yield
        self._durable.update(str(number + 1) for number in range(before, self._state.event_number))

    def flush(self) -> None:
        """Start writing the events that no notification carries."""
        if self._task is None and self._unwritten():
            # The task starts after the notifications that were dispatched before it, which lease what they can carry.
            self._task = self._spawn(self._write())

    def lease(self) -> list[AuditEvent]:
        """Events for a notification, or an activity, to write. They belong to it until they are released."""
        events = _batch([one for one in self._state.unwritten_events if one.key not in self._leased][:BATCH_SIZE])
        self._leased.update(one.key for one in events)
        return events

    def release(self, events: list[AuditEvent], *, written: bool) -> None:
        """Leased events were written, or somebody else must write them."""
        keys = {one.key for one in events}
        self._leased -= keys
        if written:
            self._state.unwritten_events = [one for one in self._state.unwritten_events if one.key not in keys]

    async def _write(self) -> None:
        unwritten = self._unwritten()
        if unwritten and not self._state.is_over and all(one.key in self._durable for one in unwritten):
            self._task = None
            await self._write_locally(unwritten)
            return
        while self._unwritten():
            events = self.lease()
            await activity_calls.write_audit_events(self._state, events)
            self.release(events, written=True)
            left = self._unwritten()
            if left and all(one.event == "alert_added" for one in left):
                # A storm of repeats: they are written together, and cost few history events.
                await workflow.sleep(GATHER_REPEATS, summary="Gather repeats for the audit log")
        self._task = None
        self._wake()

    async def _write_locally(self, events: list[AuditEvent]) -> None:
        """Write within this workflow task, for one history event. Nothing may depend on its success: a local activity
        runs before Temporal commits the workflow task."""
        keys = {one.key for one in events}
        self._written_locally |= keys
        if not await activity_calls.write_audit_events_locally(self._state, events):
            self._written_locally -= keys
            self._durable -= keys  # an activity writes them
            self._wake()

    def _unwritten(self) -> list[AuditEvent]:
        """Events that nobody has written or is writing, as far as this run knows."""
        known = self._leased if self._state.is_over else self._leased | self._written_locally
        return [one for one in self._state.unwritten_events if one.key not in known]


def _batch(events: list[AuditEvent]) -> list[AuditEvent]:
    """The first events that fit into one activity, at least one."""
    size = 0
    for index, event in enumerate(events):
        size += json_size(event)
        if index and size > AUDIT_BATCH_BYTES and workflow.patched("bounded-audit-batch"):
            return events[:index]
    return events
