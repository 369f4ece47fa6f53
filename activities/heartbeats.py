"""Heartbeats of activities that take longer than a moment."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio import activity

INTERVAL = 1.0  # seconds


@asynccontextmanager
async def heartbeats() -> AsyncGenerator[None]:
    """While it lasts, Temporal knows that this worker lives: another takes over soon from one that died."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(INTERVAL)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
