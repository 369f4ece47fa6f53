"""Waiting for what other tasks do, with a limit that the slowest machine meets."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(found: Callable[[], T | None], seconds: float = 60) -> T:
    """The first result of ``found`` that is true."""
    async with asyncio.timeout(seconds):
        while not (result := found()):
            await asyncio.sleep(0.02)
        return result
