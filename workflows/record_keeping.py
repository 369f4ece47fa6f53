"""Brings what an incident notes into the audit log: along with its deliveries, or by itself."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from temporalio import workflow

from activities.contracts import Entry
from workflows import calls
from workflows.state import IncidentState

AT_ONCE = 100
GATHER_REPEATS = timedelta(seconds=1)


class RecordKeeping:
    """A part of the incident's workflow. Only what Temporal has committed is ever recorded.

    ``aside`` does something beside the main loop, ``wake`` has that go round once more.
    """

    def __init__(
        self,
        state: IncidentState,
        aside: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        wake: Callable[[], None],
    ) -> None:
        self._state, self._aside, self._wake = state, aside, wake
        self._recording: asyncio.Task[None] | None = None
        self._taken: set[str] = set()
        self._sure: set[str] = set()
        """Keys of entries that stand for an answer that Temporal has: whatever is done over, they happen."""
        self._at_once: set[str] = set()
        """Those that are recorded within a workflow task. They go along with the next delivery all the same."""

    @property
    def underway(self) -> bool:
        """Whether an activity is recording just now."""
        return self._recording is not None

    @contextmanager
    def sure(self) -> Generator[None]:
        """What is noted meanwhile happens however often it is done over."""
        before = self._state.numbered
        yield
        self._sure.update(str(number + 1) for number in range(before, self._state.numbered))

    def keep(self) -> None:
        """Have recorded what goes along with no delivery."""
        if self._recording is None and self._unkept():
            # Begins after the deliveries that were started just now, which have taken what they can carry.
            self._recording = self._aside(self._record())

    def take(self) -> list[Entry]:
        """Entries for the next delivery, or the next activity, to record: they are its own until it is settled."""
        entries = [one for one in self._state.unrecorded if one.key not in self._taken][:AT_ONCE]
        self._taken.update(one.key for one in entries)
        return entries

    def settle(self, entries: list[Entry], *, recorded: bool) -> None:
        """What was taken is recorded, or somebody else's to record."""
        keys = {one.key for one in entries}
        self._taken -= keys
        if recorded:
            self._state.unrecorded = [one for one in self._state.unrecorded if one.key not in keys]

    async def _record(self) -> None:
        unkept = self._unkept()
        if unkept and self._state.frugal and not self._state.over and all(one.key in self._sure for one in unkept):
            self._recording = None
            await self._record_at_once(unkept)
            return
        while self._unkept():
            entries = self.take()
            await calls.record(self._state, entries)
            self.settle(entries, recorded=True)
            left = self._unkept() if self._state.frugal else self._state.unrecorded
            if left and all(one.what == "joined" for one in left):
                # A storm of repeats: they go into the record together, and cost the history little.
                await workflow.sleep(GATHER_REPEATS, summary="Gather repeats for the record")
        self._recording = None
        self._wake()

    async def _record_at_once(self, entries: list[Entry]) -> None:
        """In this very workflow task, for one event. Nothing follows from its success: ``calls.classify`` says why."""
        keys = {one.key for one in entries}
        self._at_once |= keys
        if not await calls.record_at_once(self._state, entries):
            self._at_once -= keys
            self._sure -= keys  # by an activity, then
            self._wake()

    def _unkept(self) -> list[Entry]:
        """Entries that nobody has recorded or is recording, as far as anybody here knows."""
        kept = self._taken if self._state.over else self._taken | self._at_once
        return [one for one in self._state.unrecorded if one.key not in kept]
