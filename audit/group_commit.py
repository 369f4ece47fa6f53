"""Group commit: one transaction, and so one flush to the disk, serves every caller that waits.

While a transaction runs in its thread, the next items gather; the next transaction takes all of them.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommitter(Generic[Item]):
    """Commits the items of many callers in one transaction. Belongs to one event loop.

    All work runs in one thread of its own, so a slow thread elsewhere in the process cannot block it.
    """

    def __init__(self, commit: Callable[[list[Item]], Sequence[Exception | None]], *, name: str) -> None:
        """Create a committer. Its thread starts with the first item.

        Args:
            commit: Writes the items, in their order, in one transaction. It runs in the thread. It returns None or an
                error for each item. If it raises, nothing was written, and every caller gets the error.
            name: The thread's name.
        """
        self._commit, self._name = commit, name
        self._pending: list[tuple[Item, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread: ThreadPoolExecutor | None = None

    def submit(self, item: Item) -> asyncio.Future[None]:
        """Queue an item. The future completes once the item is durable, or fails with its error.

        Await the future through ``asyncio.shield`` if you must know the outcome although the caller is cancelled.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((item, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return done

    async def commit(self, item: Item) -> None:
        """Return once the item is durable. A cancelled caller leaves its item in the queue: it is still written.

        Raises:
            Exception: the item's error, or the error that the transaction failed with.
        """
        await asyncio.shield(self.submit(item))

    async def run(self, work: Callable[[], Result]) -> Result:
        """Run other work in the same thread, between two transactions."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, self._name)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Wait for the running transaction, then end the thread. A later item starts a new thread."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    async def _write(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            items = [item for item, _ in batch]
            try:
                errors = await self.run(lambda items=items: self._commit(items))
                if len(errors) != len(items):
                    raise ValueError(f"a commit had {len(items)} items and {len(errors)} results")
            except asyncio.CancelledError:
                for _, done in (*batch, *self._pending):
                    done.cancel()
                self._pending = []
                raise
            except Exception as error:  # noqa: BLE001  # every caller gets the error, whatever it is
                errors = [error] * len(batch)
            for (_, done), error in zip(batch, errors, strict=True):
                if done.done():
                    continue  # its caller was cancelled
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)
