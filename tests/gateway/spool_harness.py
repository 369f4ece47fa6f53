"""A gateway's ingester on the tests' Temporal server, over a proxy that can cut the connection."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from alerts import Alert, incident_id, normalise
from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.ingester import AlertIngester
from gateway.ingest.spool import LIMIT_BYTES, Item, Spool
from tests.gateway.conftest import QUEUE, GatewayHarness
from tests.tcp_proxy import TcpProxy
from worker.temporal import QUICK

_numbers = itertools.count(1)


class SpoolHarness:
    """An ingester with a spool and a dedup store of its own."""

    def __init__(self, gateway: GatewayHarness, proxy: TcpProxy, client: Client, spool: Spool, dedup_url: str) -> None:
        self.gateway, self.proxy, self.client, self.spool = gateway, proxy, client, spool
        self.dedup_store = DedupStore(dedup_url)
        self.ingester = AlertIngester(client, QUEUE, self.dedup_store, spool)
        self._draining = asyncio.create_task(self.ingester.drain())

    async def until_drained(self) -> None:
        async with asyncio.timeout(60):
            while self.spool.depth.items:
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        self._draining.cancel()
        await asyncio.wait([self._draining])
        self.spool.close()
        self.dedup_store.close()

    async def count_runs(self, alert: Alert) -> int:
        """How many times the incident was opened. Visibility is eventually consistent: waits for the first."""
        query = f"WorkflowId = '{incident_id(alert)}'"
        async with asyncio.timeout(60):
            while not (count := (await self.gateway.client.count_workflows(query)).count):
                await asyncio.sleep(0.1)
        return count


@asynccontextmanager
async def open_spool_harness(
    gateway: GatewayHarness, folder: Path, dedup_url: str = "", limit: int = LIMIT_BYTES
) -> AsyncGenerator[SpoolHarness]:
    """``dedup_url`` is the dedup store's database, by default a file in ``folder``; ``limit`` is the spool's."""
    async with TcpProxy(gateway.client.service_client.config.target_host) as proxy:
        client = await Client.connect(proxy.address, data_converter=pydantic_data_converter, retry_config=QUICK)
        spool = Spool(folder / "spool.db", limit=limit)
        harness = SpoolHarness(gateway, proxy, client, spool, dedup_url or f"sqlite:///{folder}/gateway.db")
        yield harness
        await harness.close()


def make_alert(gateway: GatewayHarness, **changes: object) -> Alert:
    """An alert of a new monitor."""
    return normalise(gateway.alert(monitor_name=f"spooled {next(_numbers)}", **changes))


def item(queue: str, content: object = 1) -> Item:
    return Item(queue, "alert", json.dumps(content).encode())
