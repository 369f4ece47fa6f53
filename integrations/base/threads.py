"""Threads for what blocks: a vendor's library, a database, a terminal.

asyncio's own executor is none of them: each look-up of a host's name waits for a thread there, and so would every page.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class OwnThreads:
    """A bounded number of threads that one owner uses: what hangs in them delays nobody else.

    They start when they are needed, and again after ``close``.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name, self._count = name, count
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of blocking work. A caller that is cancelled while its work waits for a thread cancels it."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._count, self._name)
        call = partial(contextvars.copy_context().run, work, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        """Let the threads end, and wait for none: one may hang."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
