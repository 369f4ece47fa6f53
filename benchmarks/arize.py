"""The figures of descriptions: a page whose monitor only Arize can describe, from the cache and at first sight."""

import asyncio
import statistics
import time
import uuid
from collections.abc import Awaitable
from typing import Any

from temporalio.client import Client

from benchmarks.bare import QUEUE, Bare
from benchmarks.bench import Bench, milliseconds
from benchmarks.load import Connection
from integrations.arize.health import ArizeHealth
from tests.vendors.arize import ArizeTenant
from worker.arize import Arize, open_arize
from worker.settings import read_settings

ARIZE_SECONDS = 0.1
"""How long the stand-in takes for each request."""


def add_monitor(tenant: ArizeTenant) -> dict[str, Any]:
    """A triggered monitor of a custom metric: its body says neither what it measures nor of which model."""
    home = tenant.project("chatbot")
    metric = tenant.add_custom_metric("Error Rate", "SELECT 1 FROM model", project_id=home["id"])
    return tenant.add_monitor(
        project="chatbot",
        name="failures",
        type="CUSTOM_METRIC",
        custom_metric_id=metric["id"],
        status="TRIGGERED",
        latest_computed_value=0.31,
        threshold={"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 0.05},
    )


async def descriptions(bench: Bench, tenant: ArizeTenant) -> None:
    """(n) In turns: an alert that describes itself, one whose monitor is cached, and one at first sight."""
    connection = await Connection.open(bench.tocsin.port)
    turns = bench.count(60) + 10
    known = add_monitor(tenant)
    new = iter([add_monitor(tenant)["id"] for _ in range(2 * turns)])
    arize = open_arize(read_settings(tenant.environment), ArizeHealth())
    await arize.describer.warm()
    tenant.rest.slow(ARIZE_SECONDS)
    tenant.graphql.slow(ARIZE_SECONDS)
    await _page(bench, connection, {"monitor_id": known["id"]})
    await asyncio.sleep(10)  # the gateway reads new descriptions every 5 s
    measured: dict[str, list[float]] = {
        "plain": [],
        "cached": [],
        "first sight": [],
        "Arize": [],
        "one activity": [],
        "two activities": [],
    }
    for turn in range(turns):
        ways: dict[str, Awaitable[float]] = {
            "plain": bench.one_page(connection),
            # A stated segment makes an incident of its own of the same monitor.
            "cached": _page(bench, connection, {"monitor": dict(known), "segment": {"turn": str(turn)}}),
            "first sight": _page(bench, connection, {"monitor_id": next(new)}),
            "Arize": _description(arize, next(new)),
            "one activity": _bare(bench.client, 1),
            "two activities": _bare(bench.client, 2),
        }
        order = [*ways] if turn % 2 else [*reversed(ways)]  # each follows every other as often
        for way in order:
            took = await ways[way]
            await asyncio.sleep(0.05)
            if turn >= 10:  # everything is warm
                measured[way].append(took)
    connection.close()
    await arize.close()
    plain, cached, first_sight, answer, one, two = measured.values()
    ratio = statistics.median(cached) / statistics.median(plain)
    more = statistics.median(first_sight) - statistics.median(plain)
    limit = statistics.median(answer) + statistics.median(two) - statistics.median(one)
    bench.add("(n) webhook → page, the body says everything", milliseconds(plain))
    bench.add("(n) the same, the monitor's description is cached", milliseconds(cached))
    bench.add("(n) its p50, beside the first", f"{ratio:.2f}", "≤ 1.1", ratio <= 1.1)
    bench.add("(n) Arize, 100 ms a request: a whole description", milliseconds(answer))
    bench.add("(n) a monitor's id only, at first sight", milliseconds(first_sight))
    share = more / limit
    got = f"{more * 1000:.0f} ms more, {share:.2f} of it"
    bench.add("(n) its p50, beside Arize's and a bare activity", got, "≤ 1.2", share <= 1.2)


async def _description(arize: Arize, monitor_id: str) -> float:
    began = time.time()
    assert await arize.describer.describe(monitor_id)
    return time.time() - began


async def _bare(client: Client, activities: int) -> float:
    """Seconds of a bare workflow with so many activities."""
    began = time.time()
    await client.execute_workflow(Bare.run, activities, id=f"bare-{uuid.uuid4().hex}", task_queue=QUEUE)
    return time.time() - began


async def _page(bench: Bench, connection: Connection, body: dict[str, Any]) -> float:
    """Seconds from the first byte of an alert's webhook to its page."""
    content = bench.request(body)
    began = time.time()
    incident = (await connection.send(content))["incident"]
    return await bench.paged(incident) - began
