"""An event loop whose time jumps to the next thing that is due, and a wall clock that jumps with it.

An hour of an incident takes milliseconds, and the gateway, the workflow and Temporal read the same clock.
"""

import asyncio
import selectors
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import time_machine

START = datetime(2026, 11, 24, 3, 0, 5, tzinfo=UTC)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """``time()`` stands still while anything can run, and jumps when nothing can. Threads get the time they need."""

    def __init__(self, clock: time_machine.Traveller) -> None:
        self._now = 0.0
        self._in_threads = 0
        self._clock = clock
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        return self._now

    def restart_clock(self) -> None:
        """Set the wall clock back to its start, and leave what is scheduled as it is."""
        self._clock.move_to(START, tick=False)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        future = super().run_in_executor(executor, func, *args)
        self._in_threads += 1
        future.add_done_callback(self._thread_ended)
        return future

    def _thread_ended(self, future: Any) -> None:
        del future
        self._in_threads -= 1

    def _jump(self, seconds: float) -> bool:
        """Pass that much time, unless a thread is at work."""
        if self._in_threads:
            return False
        self._now += seconds
        self._clock.shift(seconds)
        return True


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, jump: Callable[[float], bool]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        if ready or self._jump(timeout):
            return ready
        return super().select(0.05)  # a thread is at work, and wakes the loop when it ends


@contextmanager
def virtual_time() -> Generator[VirtualTimeLoop]:
    """A loop whose time is also that of ``datetime.now`` and ``time.time``."""
    with time_machine.travel(START, tick=False) as clock:
        loop = VirtualTimeLoop(clock)
        asyncio.set_event_loop(loop)
        try:
            yield loop
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            asyncio.set_event_loop(None)
