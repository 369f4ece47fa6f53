"""The group committer: order, grouping, errors, cancelled callers, and recovery after a failure."""

import asyncio
import itertools
import threading
from collections.abc import Sequence

import pytest

from audit import GroupCommitter


class Journal:
    """What a committer writes to. While it is held, the running commit does not return."""

    def __init__(self) -> None:
        self.transactions: list[list[str]] = []
        self.fault: Exception | None = None
        self.started = threading.Event()
        self._open = threading.Event()
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()

    def commit(self, items: list[str]) -> Sequence[Exception | None]:
        self.started.set()
        assert self._open.wait(60)
        if self.fault is not None:
            raise self.fault
        self.transactions.append(items)
        return [ValueError(item) if item.startswith("bad") else None for item in items]

    async def until_started(self) -> None:
        assert await asyncio.to_thread(self.started.wait, 60)


async def start_held(journal: Journal, committer: GroupCommitter[str]) -> asyncio.Task[None]:
    """A first commit that does not return until the journal is let go."""
    journal.hold()
    first = asyncio.create_task(committer.commit("first"))
    await journal.until_started()
    return first


async def test_items_that_gather_share_one_transaction() -> None:
    journal = Journal()
    committer = GroupCommitter(journal.commit, name="test")
    first = await start_held(journal, committer)
    later = [asyncio.create_task(committer.commit(str(number))) for number in range(5)]
    await asyncio.sleep(0)
    journal.let_go()
    await asyncio.gather(first, *later)
    assert journal.transactions == [["first"], ["0", "1", "2", "3", "4"]]
    committer.close()


async def test_commits_keep_the_order_of_submission() -> None:
    journal = Journal()
    committer = GroupCommitter(journal.commit, name="test")
    for number in range(50):
        committer.submit(str(number))
        if number % 7 == 0:
            await asyncio.sleep(0.001)
    await committer.commit("last")
    assert list(itertools.chain(*journal.transactions)) == [*map(str, range(50)), "last"]
    committer.close()


async def test_commit_returns_only_after_its_transaction() -> None:
    journal = Journal()
    committer = GroupCommitter(journal.commit, name="test")
    first = await start_held(journal, committer)
    second = asyncio.create_task(committer.commit("second"))
    done, waiting = await asyncio.wait([first, second], timeout=0.05)
    assert (done, waiting) == (set(), {first, second})
    journal.let_go()
    await asyncio.gather(first, second)
    committer.close()


async def test_item_error_reaches_only_its_caller() -> None:
    journal = Journal()
    committer = GroupCommitter(journal.commit, name="test")
    results = await asyncio.gather(
        *(committer.commit(item) for item in ("good", "bad-1", "fine", "bad-2")), return_exceptions=True
    )
    assert [str(result) if result else None for result in results] == [None, "bad-1", None, "bad-2"]
    committer.close()


async def test_failed_transaction_fails_every_caller() -> None:
    journal = Journal()
    committer = GroupCommitter(journal.commit, name="test")
    journal.fault = OSError("no space left")
    results = await asyncio.gather(*(committer.commit(str(number)) for number in range(3)), return_exceptions=True)
    assert results == [journal.fault] * 3
    assert journal.transactions == []
    committer.close()


async def test_commits_work_again_after_a_failure() -> None:
    journal = Journal()
    committer = GroupCommitter(journal.commit, name="test")
    journal.fault = OSError("no space left")
    first = await start_held(journal, committer)
    second = asyncio.create_task(committer.commit("second"))
    await asyncio.sleep(0)
    journal.let_go()
    for failed in (first, second):
        with pytest.raises(OSError, match="no space left"):
            await failed
    journal.fault = None
    await committer.commit("third")
    assert journal.transactions == [["third"]]
    committer.close()


async def test_wrong_number_of_errors_fails_every_caller() -> None:
    committer: GroupCommitter[str] = GroupCommitter(lambda items: [], name="test")
    with pytest.raises(ValueError, match="1 items and 0 results"):
        await asyncio.wait_for(committer.commit("item"), 60)
    committer.close()


async def test_cancelled_caller_loses_no_item() -> None:
    journal = Journal()
    committer = GroupCommitter(journal.commit, name="test")
    first = await start_held(journal, committer)
    second, third = (asyncio.create_task(committer.commit(item)) for item in ("second", "third"))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    journal.let_go()
    await third
    assert first.cancelled()
    assert second.cancelled()
    assert journal.transactions == [["first"], ["second", "third"]]
    committer.close()


async def test_cancelled_future_disturbs_no_other() -> None:
    journal = Journal()
    committer = GroupCommitter(journal.commit, name="test")
    first = await start_held(journal, committer)
    second, third = committer.submit("bad"), committer.submit("third")
    second.cancel()
    journal.let_go()
    await asyncio.gather(first, third)
    await committer.commit("fourth")
    assert journal.transactions == [["first"], ["bad", "third"], ["fourth"]]
    committer.close()


async def test_other_work_runs_between_transactions() -> None:
    journal = Journal()
    committer = GroupCommitter(journal.commit, name="test")
    first = await start_held(journal, committer)
    reading = asyncio.create_task(committer.run(lambda: list(journal.transactions)))
    await asyncio.sleep(0)
    journal.let_go()
    assert await reading == [["first"]], "it waits for the running transaction"
    await first
    committer.close()


async def test_committer_is_usable_after_close() -> None:
    journal = Journal()
    committer = GroupCommitter(journal.commit, name="test")
    await committer.commit("first")
    committer.close()
    await committer.commit("second")
    assert journal.transactions == [["first"], ["second"]]
    committer.close()


def test_ended_event_loop_cancels_waiting_callers() -> None:
    journal = Journal()
    futures: list[asyncio.Future[None]] = []

    async def main() -> None:
        committer = GroupCommitter(journal.commit, name="test")
        await start_held(journal, committer)
        futures.append(committer.submit("second"))
        asyncio.get_running_loop().call_later(0.05, journal.let_go)

    asyncio.run(main())
    assert futures[0].cancelled()
