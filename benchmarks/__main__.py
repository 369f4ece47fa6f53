"""``make bench``: prints the figures beside their bounds, and exits with 1 where one does not hold."""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table
from temporalio.client import Client

from benchmarks import policy as policies
from benchmarks.bare import QUEUE, Bare, connect
from benchmarks.figures import Figure
from benchmarks.load import Connection, pour, request
from tests.processes import Tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS, write_policy
from tests.waiting import wait_for

CONCURRENCY = 64


@dataclass
class Bench:
    tocsin: Tocsin
    pagerduty: PagerDuty
    client: Client
    scale: float
    figures: list[Figure] = field(default_factory=list)

    def add(self, what: str, got: str, bound: str = "", holds: bool = True) -> None:
        self.figures.append(Figure(what, got, bound, holds))

    def count(self, full: int) -> int:
        return max(int(full * self.scale), 10)

    def alert(self, name: str = "", **changes: Any) -> dict[str, Any]:
        name = name or uuid.uuid4().hex[:10]
        body = {
            "monitor_name": f"bench {name}",
            "status": "TRIGGERED",
            "metric": "error_rate",
            "metric_value": 0.31,
            "threshold": 0.05,
            "model": "chatbot",
            "environment": "production",
            "segment": {"customer_tier": "premium"},
        }
        return {**body, **changes}

    def page_times(self) -> dict[str, float]:
        """By incident: when its first page reached PagerDuty, in Unix seconds."""
        times: dict[str, float] = {}
        for one in list(self.pagerduty.requests):
            if one.body["event_action"] == "trigger":
                times.setdefault(one.body["dedup_key"].split(".")[0], one.at)
        return times

    async def paged(self, incident: str) -> float:
        while incident not in (times := self.page_times()):
            await asyncio.sleep(0.002)
        return times[incident]


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


async def latency(bench: Bench) -> None:
    """(a) From a webhook's first byte to the page at PagerDuty, and from a bare start to its activity; in turns."""
    connection = await Connection.open(bench.tocsin.port)
    ours: list[float] = []
    bare: list[float] = []
    for turn in range(bench.count(120) + 20):
        content = request(bench.alert(), f"evt-{uuid.uuid4().hex}", bench.tocsin.port)
        bench.pagerduty.requests.clear()
        began = time.time()
        incident = (await connection.send(content))["incident"]
        took = await bench.paged(incident) - began
        await asyncio.sleep(0.05)
        began = time.time()
        (activity,) = await bench.client.execute_workflow(Bare.run, 1, id=f"bare-{uuid.uuid4().hex}", task_queue=QUEUE)
        if turn >= 20:  # both are warm by now
            ours.append(took)
            bare.append(activity - began)
        await asyncio.sleep(0.05)
    ratio = statistics.median(ours) / statistics.median(bare)
    for name, values in (("bare start → activity", bare), ("webhook sent → page", ours)):
        p50, p99 = statistics.median(values) * 1000, percentile(values, 0.99) * 1000
        bench.add(f"(a) {name}, one at a time", f"p50 {p50:.1f} ms · p99 {p99:.1f} ms")
    bench.add("(a) ratio of the p50", f"{ratio:.2f}", "≤ 1.5", ratio <= 1.5)


async def throughput(bench: Bench) -> None:
    """(b) Distinct incidents a second from webhook to page, and bare workflows of three activities."""
    total = bench.count(1500)

    async def rate(one: Callable[[int], Awaitable[object]]) -> float:
        remaining = iter(range(total))

        async def lane() -> None:
            for number in remaining:
                await one(number)

        began = time.monotonic()
        await asyncio.gather(*(lane() for _ in range(CONCURRENCY)))
        return total / (time.monotonic() - began)

    bench.pagerduty.requests.clear()
    arrivals: dict[str, asyncio.Event] = {}

    async def watch() -> None:
        seen = 0
        while True:
            new = bench.pagerduty.requests[seen:]
            seen += len(new)
            for each in new:
                arrivals.setdefault(each.body["dedup_key"].split(".")[0], asyncio.Event()).set()
            await asyncio.sleep(0.005)

    connections: deque[Connection] = deque()  # in turns: an idle one is cut off after 30 s
    ready: list[bytes] = []

    async def incident(number: int) -> None:
        connection = connections.popleft()
        answer = await connection.send(ready[number])
        connections.append(connection)
        await arrivals.setdefault(answer["incident"], asyncio.Event()).wait()

    async def workflow(number: int) -> None:
        del number
        await bench.client.execute_workflow(Bare.run, 3, id=f"bare-{uuid.uuid4().hex}", task_queue=QUEUE)

    bare = await rate(workflow)
    watching = asyncio.create_task(watch())
    connections += [await Connection.open(bench.tocsin.port) for _ in range(CONCURRENCY)]
    ready += [request(bench.alert(), f"evt-{uuid.uuid4().hex}", bench.tocsin.port) for _ in range(total)]
    ours = await rate(incident)
    watching.cancel()
    bench.add(f"(b) bare, three activities, {CONCURRENCY} at once", f"{bare:.0f}/s")
    bench.add(f"(b) webhook → page, {CONCURRENCY} at once", f"{ours:.0f}/s")
    bench.add("(b) ratio", f"{ours / bare:.2f}", "≥ 0.6", ours / bare >= 0.6)


async def repeats(bench: Bench) -> None:
    """(c) Repeats of one open incident, each answered 202 once Temporal has it."""
    alert = bench.alert()
    connection = await Connection.open(bench.tocsin.port)
    incident = (await connection.send(request(alert, "evt-first", bench.tocsin.port)))["incident"]
    await asyncio.to_thread(bench.tocsin.until, incident, lambda one: one["receipts"])
    before = len((await bench.client.get_workflow_handle(incident).fetch_history()).events)
    total = bench.count(10_000)
    ready = [request(alert, f"evt-{uuid.uuid4().hex}", bench.tocsin.port) for _ in range(total)]
    began = time.monotonic()
    await pour(ready, bench.tocsin.port, CONCURRENCY)
    rate = total / (time.monotonic() - began)
    one = await asyncio.to_thread(bench.tocsin.until, incident, lambda one: one["alerts"] == total + 1)
    events = (len((await bench.client.get_workflow_handle(incident).fetch_history()).events) - before) / total
    assert one["escalation"] == 1
    bench.add(f"(c) repeats absorbed, {CONCURRENCY} connections", f"{rate:.0f}/s", "≥ 1,000/s", rate >= 1000)
    bench.add("(c) history events each", f"{events:.3f}", "≤ 0.2", events <= 0.2)


async def history(bench: Bench) -> None:
    """(d) What an incident costs that is paged, acknowledged by a callback, and cleared."""
    alert = bench.alert()
    incident = await asyncio.to_thread(bench.tocsin.open, alert)
    await bench.paged(incident)
    one = await asyncio.to_thread(bench.tocsin.until, incident, lambda one: one["state"] == "notified")
    key = one["receipts"][0]["id"]
    await asyncio.to_thread(bench.tocsin.callback, "incident.acknowledged", key)
    await asyncio.to_thread(bench.tocsin.until, incident, lambda one: one["state"] == "acknowledged")
    await asyncio.sleep(1)
    await asyncio.to_thread(bench.tocsin.send, {**alert, "status": "CLEARED"})
    await asyncio.to_thread(bench.tocsin.until, incident, lambda one: one["state"] == "closed")
    handle = bench.client.get_workflow_handle(incident)
    await handle.result()
    events = (await handle.fetch_history()).events
    size = sum(event.ByteSize() for event in events) / 1024
    bench.add("(d) history of a whole life", f"{len(events)} events · {size:.1f} KiB", "≤ 40 events", len(events) <= 40)


async def memory(bench: Bench) -> None:
    """(e) Resident memory while 2,000 incidents wait for an acknowledgement."""
    wanted = bench.count(2000)
    there = (await bench.client.count_workflows("WorkflowType = 'Incident' AND ExecutionStatus = 'Running'")).count
    missing = max(wanted - there, 0)
    ready = [request(bench.alert(), f"evt-{uuid.uuid4().hex}", bench.tocsin.port) for _ in range(missing)]
    await pour(ready, bench.tocsin.port, CONCURRENCY)
    query = "WorkflowType = 'Incident' AND ExecutionStatus = 'Running' AND TocsinState = 'notified'"
    while (waiting := (await bench.client.count_workflows(query)).count) < wanted - 5:
        await asyncio.sleep(0.5)
    for role in ("gateway", "worker"):
        used = bench.tocsin.child(role).memory_info().rss / 2**20
        bench.add(f"(e) {role}, {waiting} incidents waiting", f"{used:.0f} MiB")


async def run(scale: float) -> list[Figure]:
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder,
        PagerDuty() as pagerduty,
        Slack() as slack,
        Jira() as jira,
    ):
        policy = Path(folder) / "policy.yaml"
        write_policy(policy, pagerduty, slack, jira)
        tocsin = Tocsin(Path(folder), policy, 1.0, **SECRETS)
        await asyncio.to_thread(tocsin.start)
        address = f"127.0.0.1:{_port(tocsin)}"
        bare = subprocess.Popen([sys.executable, "-m", "benchmarks.bare", address], env=dict(os.environ))
        try:
            bench = Bench(tocsin, pagerduty, await connect(address), scale)
            for measure in (latency, history, throughput, repeats, memory):
                await measure(bench)
        finally:
            bare.kill()
            bare.wait()
            await asyncio.to_thread(tocsin.stop)
        return sorted(bench.figures, key=lambda figure: figure.what[:3])


def _port(tocsin: Tocsin) -> int:
    """The embedded server's, as its command line says."""
    command = wait_for(lambda: tocsin.child("server").cmdline())
    return int(command[command.index("--port") + 1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="Of the full numbers; 0.1 for a quick look.")
    parser.add_argument("--only", choices=["policy", "server"], help="What needs no server, or what does.")
    asked = parser.parse_args()
    figures = asyncio.run(run(asked.scale)) if asked.only != "policy" else []
    figures += policies.figures(asked.scale) if asked.only != "server" else []
    table = Table(title=f"{psutil.cpu_count()} cores, everything on one machine")
    for column in ("figure", "got", "bound or goal", ""):
        table.add_column(column)
    for one in figures:
        verdict = "" if not one.bound else "holds" if one.holds else "DOES NOT HOLD"
        table.add_row(one.what, one.got, one.bound or (one.goal and f"goal: {one.goal}"), verdict)
    Console(width=120).print(table)
    return 0 if all(one.holds for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
