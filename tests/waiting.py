"""Waiting for a condition that real processes fulfil at their own pace."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

SLOW_MACHINE = 60.0
"""Seconds. A ceiling for every wait, far above the time that a loaded machine takes: it ends a test that would never
pass, and measures nothing. A test that is about time compares durations with each other, or with the policy's."""


def wait_for(
    condition: Callable[[], T],
    seconds: float = SLOW_MACHINE,
    interval: float = 0.05,
    describe: Callable[[], str] = str,
) -> T:
    """Poll a condition, and return its value when it is true.

    Args:
        condition: Polled until its value is true.
        seconds: The ceiling.
        interval: Seconds between two polls.
        describe: Gives the situation, for the error message.

    Raises:
        AssertionError: The condition did not become true.
    """
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"the condition was not met within {seconds:g} s {describe()}")
        time.sleep(interval)


async def wait_until(condition: Callable[[], Awaitable[T]], interval: float = 0.05) -> T:
    """The same for an asynchronous condition."""
    async with asyncio.timeout(SLOW_MACHINE):
        while True:
            if value := await condition():
                return value
            await asyncio.sleep(interval)
