"""The workers of a process, on a real server: what ends them is not the end of paging."""

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

from activities.destinations import destination_types
from audit import AuditLog
from gateway.vitals import pollers
from policy import load_policy
from tests import DEV_SERVER
from worker.crew import Crew, create_crew, work
from worker.settings import SHIPPED_POLICY

NAMESPACE = "later"


@dataclass
class Yard:
    """A server, and crews for a namespace of it that nobody has made."""

    address: str
    log: AuditLog
    stop: asyncio.Event
    made: list[Crew]

    def crew(self, client: Client) -> Crew:
        policy = load_policy(SHIPPED_POLICY, destination_types())
        self.made.append(create_crew(client, "q", lambda: policy, {}, self.log))
        return self.made[-1]

    def work(self) -> asyncio.Task[None]:
        return asyncio.create_task(work(lambda: connect(self.address), self.crew, self.stop))


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncGenerator[Yard]:
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=DEV_SERVER) as env:
        yield Yard(env.client.service_client.config.target_host, log, asyncio.Event(), [])
    log.close()


async def test_a_crew_that_ends_by_itself_is_followed_by_another(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the namespace is not there yet: the SDK's worker gives up, and asks no more."""
    working, told = yard.work(), ""
    async with asyncio.timeout(30):
        while "the worker cannot go on; it is begun again" not in told:
            told += capsys.readouterr().out
            await asyncio.sleep(0.05)
    assert (len(yard.made), working.done()) == (1, False)
    command = [DEV_SERVER, "operator", "namespace", "create", "-n", NAMESPACE, "--address", yard.address]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    client = await connect(yard.address)
    async with asyncio.timeout(30):
        while not await both_poll(client):
            await asyncio.sleep(0.1)
    assert not working.done()
    yard.stop.set()
    await asyncio.wait_for(working, 20)


async def test_it_is_told_to_stop_while_nothing_can_be_begun(yard: Yard) -> None:
    working = yard.work()
    await asyncio.sleep(1)
    yard.stop.set()
    await asyncio.wait_for(working, 20)


async def connect(address: str) -> Client:
    return await Client.connect(address, namespace=NAMESPACE, data_converter=pydantic_data_converter)


async def both_poll(client: Client) -> bool:
    try:
        return bool(await pollers(client, "q") and await pollers(client, "q", aside=True))
    except RPCError:  # its other parts hear of a new namespace some seconds later
        return False
