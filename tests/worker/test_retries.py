"""Retries without a limit."""

import asyncio

import pytest
from structlog.testing import capture_logs

from worker.retries import retry_forever
from worker.worker import run_supervised


async def test_attempts_continue_until_one_succeeds() -> None:
    failures = 0
    with capture_logs() as logs:
        async for attempt in retry_forever("save_failed", OSError, wait_initial=0.001, quiet_attempts=2, file="x"):
            with attempt:
                if failures < 5:
                    failures += 1
                    raise OSError("disk full")
    assert failures == 5
    assert [one["attempt"] for one in logs] == [3, 4, 5]
    assert {(one["event"], one["error"], one["file"]) for one in logs} == {("save_failed", "OSError: disk full", "x")}


async def test_other_errors_are_raised_at_once() -> None:
    attempts = 0

    async def retry() -> None:
        nonlocal attempts
        async for attempt in retry_forever("save_failed", OSError, wait_initial=0.001):
            with attempt:
                attempts += 1
                raise ValueError("no such policy")

    with pytest.raises(ValueError, match="no such policy"):
        await retry()
    assert attempts == 1


async def test_waiting_for_the_next_attempt_can_be_cancelled() -> None:
    failed = asyncio.Event()

    async def retry() -> None:
        async for attempt in retry_forever("save_failed", OSError, wait_initial=3600):
            with attempt:
                failed.set()
                raise OSError("disk full")

    task = asyncio.create_task(retry())
    await failed.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_supervised_task_that_succeeds_ends() -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1

    await run_supervised("work", work)
    assert runs == 1


async def test_supervised_task_survives_an_unexpected_error() -> None:
    failed = asyncio.Event()

    async def work() -> None:
        failed.set()
        raise ZeroDivisionError

    with capture_logs() as logs:
        task = run_supervised("work", work)
        await failed.wait()
        await asyncio.sleep(0)
    assert not task.done()
    assert (logs[0]["event"], logs[0]["task"]) == ("background_task_restarting", "work")
    task.cancel()
