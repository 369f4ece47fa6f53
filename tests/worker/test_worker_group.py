"""The workers of a process on a real server: an error that ends them does not end paging."""

import asyncio
import subprocess
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from audit import AuditLog
from gateway.health_monitor import pollers
from integrations.base.registry import destination_types
from policy import load_policy
from tests import DEV_SERVER
from worker.settings import SHIPPED_POLICY
from worker.worker_group import WorkerDependencies, WorkerGroup, create_worker_group, run_worker_groups

NAMESPACE = "later"


@dataclass
class WorkerHarness:
    """A server, and worker groups for a namespace that does not exist at first."""

    address: str
    log: AuditLog
    stop: asyncio.Event
    created: list[WorkerGroup]

    def create(self, client: Client) -> WorkerGroup:
        policy = load_policy(SHIPPED_POLICY, destination_types())
        self.created.append(create_worker_group(client, "q", WorkerDependencies(lambda: policy, {}, self.log)))
        return self.created[-1]

    def start(self) -> asyncio.Task[None]:
        return asyncio.create_task(run_worker_groups(lambda: connect(self.address), self.create, self.stop))


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncGenerator[WorkerHarness]:
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=DEV_SERVER) as env:
        yield WorkerHarness(env.client.service_client.config.target_host, log, asyncio.Event(), [])
    log.close()


async def test_worker_group_that_ends_is_replaced(harness: WorkerHarness, capsys: pytest.CaptureFixture[str]) -> None:
    """The SDK's worker ends, for example, if its namespace does not exist."""
    running, printed = harness.start(), ""
    async with asyncio.timeout(60):
        while "worker_restarting" not in printed:
            printed += capsys.readouterr().out
            await asyncio.sleep(0.05)
    assert (len(harness.created), running.done()) == (1, False)
    command = [DEV_SERVER, "operator", "namespace", "create", "-n", NAMESPACE, "--address", harness.address]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    client = await connect(harness.address)
    async with asyncio.timeout(60):
        while not await both_poll(client):
            await asyncio.sleep(0.1)
    assert not running.done()
    harness.stop.set()
    await asyncio.wait_for(running, 60)


async def test_stop_ends_the_wait_for_restart(harness: WorkerHarness) -> None:
    running = harness.start()
    async with asyncio.timeout(60):
        while not harness.created:
            await asyncio.sleep(0.05)
    harness.stop.set()
    await asyncio.wait_for(running, 60)


async def connect(address: str) -> Client:
    return await Client.connect(address, namespace=NAMESPACE, data_converter=pydantic_data_converter)


async def both_poll(client: Client) -> bool:
    try:
        return bool(await pollers(client, "q") and await pollers(client, "q", background=True))
    except RPCError:  # the server's services learn of a new namespace some seconds later
        return False
