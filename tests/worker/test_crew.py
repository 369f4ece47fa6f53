"""The workers of a process, on a real server: what ends them is not the end of paging."""

import asyncio
import subprocess
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


async def test_a_crew_that_ends_by_itself_is_followed_by_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As where the namespace is not there yet: the SDK's worker gives up, and asks no more."""
    policy, log, stop = (
        load_policy(SHIPPED_POLICY, destination_types()),
        AuditLog(f"sqlite:///{tmp_path}/a.db"),
        asyncio.Event(),
    )
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=DEV_SERVER) as env:
        address = env.client.service_client.config.target_host
        made: list[Crew] = []

        def crew(client: Client) -> Crew:
            made.append(create_crew(client, "q", lambda: policy, {}, log))
            return made[-1]

        working = asyncio.create_task(work(lambda: connect(address, "later"), crew, stop))
        told = ""
        async with asyncio.timeout(30):
            while "the worker cannot go on; it is begun again" not in told:
                told += capsys.readouterr().out
                await asyncio.sleep(0.05)
        assert (len(made), working.done()) == (1, False)
        command = [DEV_SERVER, "operator", "namespace", "create", "-n", "later", "--address", address]
        await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
        client = await connect(address, "later")
        async with asyncio.timeout(30):
            while not await both_poll(client):
                await asyncio.sleep(0.1)
        assert not working.done()
        stop.set()
        await asyncio.wait_for(working, 20)
    log.close()


async def test_it_is_told_to_stop_while_nothing_can_be_begun(tmp_path: Path) -> None:
    policy, log, stop = (
        load_policy(SHIPPED_POLICY, destination_types()),
        AuditLog(f"sqlite:///{tmp_path}/a.db"),
        asyncio.Event(),
    )
    async with await WorkflowEnvironment.start_local(dev_server_existing_path=DEV_SERVER) as env:
        address = env.client.service_client.config.target_host
        working = asyncio.create_task(
            work(
                lambda: connect(address, "never"),
                lambda client: create_crew(client, "q", lambda: policy, {}, log),
                stop,
            )
        )
        await asyncio.sleep(1)
        stop.set()
        await asyncio.wait_for(working, 20)
    log.close()


async def connect(address: str, namespace: str) -> Client:
    return await Client.connect(address, namespace=namespace, data_converter=pydantic_data_converter)


async def both_poll(client: Client) -> bool:
    try:
        return bool(await pollers(client, "q") and await pollers(client, "q", aside=True))
    except RPCError:  # its other parts hear of a new namespace some seconds later
        return False
