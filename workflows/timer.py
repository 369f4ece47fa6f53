"""One durable timer for the next deadline, which saves history events."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow


class DeadlineTimer:
    """Calls ``on_fire`` at or before the deadline that was armed last.

    Cancelling a timer costs two events, so a running timer is only replaced by an earlier deadline. When the deadline
    moves later, or is dropped, the timer fires early and its owner arms it again.
    """

    def __init__(self, on_fire: Callable[[], None]) -> None:
        self._on_fire = on_fire
        self._task: asyncio.Task[None] | None = None
        self._armed_for: datetime | None = None

    def arm(self, deadline: datetime | None, summary: str = "") -> None:
        """Make it fire at the deadline at the latest. ``summary`` is shown in the Temporal UI."""
        if deadline is None or (self._armed_for is not None and self._armed_for <= deadline):
            return
        if self._task is not None:
            self._task.cancel()
        self._armed_for = deadline
        self._task = asyncio.create_task(self._wait(deadline, summary))

    async def _wait(self, deadline: datetime, summary: str) -> None:
        delay = deadline - workflow.now()
        if delay > timedelta(0):
            await workflow.sleep(delay, summary=summary)
        self._task = self._armed_for = None
        self._on_fire()
