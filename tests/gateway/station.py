"""A gateway's intake on the house's Temporal server, by a wire that can be cut."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from alerts import Alert, incident_id, normalise
from gateway.deliveries import Deliveries
from gateway.intake import Intake
from gateway.spool import Spool
from tests.gateway.conftest import QUEUE, House
from tests.wire import Wire
from worker.temporal import QUICK

_numbers = itertools.count(1)


class Station:
    """A gateway's intake on the house's Temporal server, by a wire that can be cut."""

    def __init__(self, house: House, folder: Path, wire: Wire, client: Client, memory: str) -> None:
        self.house, self.wire, self.client = house, wire, client
        self.deliveries = Deliveries(memory)
        self.spool = Spool(folder / "spool.db")
        self.intake = Intake(client, QUEUE, self.deliveries, self.spool)
        self._draining = asyncio.create_task(self.intake.drain())

    async def empty(self) -> None:
        async with asyncio.timeout(20):
            while self.spool.depth.items:
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        self._draining.cancel()
        await asyncio.wait([self._draining])
        self.spool.close()
        self.deliveries.close()

    async def runs(self, alert: Alert) -> int:
        """How many times the incident was opened."""
        for _ in range(50):
            query = f"WorkflowId = '{incident_id(alert)}'"
            count = (await self.house.client.count_workflows(query)).count
            if count:
                return count
            await asyncio.sleep(0.1)
        return 0


@asynccontextmanager
async def opened(house: House, folder: Path, memory: str = "") -> AsyncGenerator[Station]:
    """``memory`` is the address of the memory of deliveries, a file of its own where nothing is said."""
    async with Wire(house.client.service_client.config.target_host) as wire:
        client = await Client.connect(wire.address, data_converter=pydantic_data_converter, retry_config=QUICK)
        station = Station(house, folder, wire, client, memory or f"sqlite:///{folder}/gateway.db")
        yield station
        await station.close()


def an_alert(house: House, **changes: object) -> Alert:
    return normalise(house.alert(monitor_name=f"spooled {next(_numbers)}", **changes))
