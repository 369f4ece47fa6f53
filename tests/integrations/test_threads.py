"""What hangs delays no page: each connection of the process looks up its host's name in asyncio's own executor."""

import asyncio
import io
import sqlite3
import sys
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from temporalio.testing import ActivityEnvironment

from activities.audit import AuditRecorder
from activities.contracts import DigestRequest
from activities.digest import DigestSender
from audit import AuditLog
from incident.audit_events import AuditBatch
from integrations.base.destination import Destination
from integrations.base.registry import destination_types
from integrations.base.threads import OwnThreads
from policy import Target, load_policy
from tests.integrations.notifications import TIERS, make_content, make_notification, open_policy_destinations
from tests.integrations.vendors_table import VENDOR_CASES
from tests.vendors import Fault, Opsgenie, Vendor
from tests.waiting import wait_until
from worker.worker import lookup_threads

HANGS = 4
"""Notifications that hang at once: in the executor of a test they would hold its one thread for longer than a page
waits for a connection."""


@pytest.fixture
async def pager(tmp_path: Path) -> AsyncGenerator[Destination]:
    """A pager behind a name, which is looked up for its first page, beside an executor of one thread."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1, "lookups"))
    (tmp_path / "pager").mkdir()
    with Opsgenie() as opsgenie:
        address = f"http://localhost:{opsgenie.port}"
        config = VENDOR_CASES["opsgenie"].config.format(address)
        destination = open_policy_destinations(tmp_path / "pager", config)["here"]
        yield destination
        assert len(opsgenie.notified) == 1
        await destination.close()


async def received(vendor: Vendor, count: int) -> bool:
    return len(vendor.requests) >= count


@pytest.mark.parametrize("name", sorted(VENDOR_CASES))
async def test_vendor_that_hangs_delays_no_page(tmp_path: Path, pager: Destination, name: str) -> None:
    case = VENDOR_CASES[name]
    with case.vendor() as vendor:
        vendor.always = Fault(status=503, delay=600)
        destination = open_policy_destinations(tmp_path, case.config.format(vendor.base_url))["here"]
        hanging = [
            asyncio.create_task(destination.deliver(make_notification(case.activity, name, key=f"k:{number}"), 1))
            for number in range(HANGS)
        ]
        await wait_until(lambda: received(vendor, HANGS))
        await pager.deliver(make_notification("page", "opsgenie", key="incident-x-0.01a20bc7:1"), 1)
    await asyncio.gather(*hanging, return_exceptions=True)  # the stand-in closed their connections
    await destination.close()


async def test_database_that_is_locked_delays_no_page(tmp_path: Path, pager: Destination) -> None:
    (tmp_path / "policy.yaml").write_text(TIERS)
    policy = load_policy(tmp_path / "policy.yaml", destination_types())
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    digests = DigestSender(lambda: policy, {}, log, AuditRecorder(log))
    blocker = sqlite3.connect(tmp_path / "audit.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    requests = [
        DigestRequest(
            key=f"incident-x-0.01a20bc7:digest-{number}",
            target=Target(name="console", type="console", kind="console"),
            content=make_content(),
            audit=AuditBatch(incident="incident-x-0", first_run_id="run"),
        )
        for number in range(HANGS)
    ]
    waiting = [asyncio.create_task(ActivityEnvironment().run(digests.add_to_digest, one)) for one in requests]
    await asyncio.sleep(0)
    await pager.deliver(make_notification("page", "opsgenie", key="incident-x-0.01a20bc7:1"), 1)
    blocker.execute("ROLLBACK")
    blocker.close()
    await asyncio.gather(*waiting, return_exceptions=True)
    log.close()


async def test_pipe_that_nobody_reads_delays_no_page(
    tmp_path: Path, pager: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(io.StringIO):
        is_read = threading.Event()

        def write(self, text: str, /) -> int:
            self.is_read.wait()
            return len(text)

    output = Full()
    monkeypatch.setattr(sys, "stdout", output)
    console = open_policy_destinations(tmp_path, "{type: console}")["here"]
    notifications = [make_notification("console", "console", key=f"k:{number}") for number in range(HANGS)]
    printing = [asyncio.create_task(console.deliver(one, 1)) for one in notifications]
    await asyncio.sleep(0)
    await pager.deliver(make_notification("page", "opsgenie", key="incident-x-0.01a20bc7:1"), 1)
    assert not any(one.done() for one in printing)
    output.is_read.set()
    await asyncio.gather(*printing)


async def test_names_that_nothing_answers_delay_no_other_name() -> None:
    """As many as activities of both workers can hold, and the look-ups of attempts that were given up."""
    slots, answered = 4, threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(lookup_threads(slots))
    hanging = [loop.run_in_executor(None, answered.wait) for _ in range(2 * 2 * slots)]
    assert await loop.getaddrinfo("localhost", 80)
    assert not any(one.done() for one in hanging)
    answered.set()
    await asyncio.gather(*hanging)


async def test_own_threads_start_again_after_close() -> None:
    threads = OwnThreads("own", 1)
    threads.close()
    for _ in range(2):
        assert await threads.run(lambda: threading.current_thread().name) == "own_0"
        threads.close()


async def test_work_that_waits_for_a_thread_can_be_cancelled() -> None:
    threads, ready, done = OwnThreads("own", 1), threading.Event(), list[int]()
    first = asyncio.create_task(threads.run(ready.wait))
    second = asyncio.create_task(threads.run(done.append, 2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])
    ready.set()
    assert await first
    assert await threads.run(done.copy) == []
    threads.close()
