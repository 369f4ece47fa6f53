"""What every figure needs: ``tocsin up``, a stand-in pager, and clients of its server and of an untuned one."""

import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
from temporalio.client import Client

from benchmarks.figures import Figure
from benchmarks.load import Connection, request
from tests.processes import Tocsin
from tests.vendors import PagerDuty
from tests.vendors.server import Request
from tests.waiting import SLOW_MACHINE, wait_for

CONCURRENCY = 64


@dataclass
class Bench:
    tocsin: Tocsin
    pagerduty: PagerDuty
    client: Client
    untuned: Client
    scale: float
    figures: list[Figure] = field(default_factory=list)
    _paged: dict[str, "asyncio.Future[float]"] = field(default_factory=dict)
    _workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def listen(self) -> None:
        """Note pages as they arrive, in this event loop."""
        loop = asyncio.get_running_loop()

        def on_request(request: Request) -> None:
            if request.body["event_action"] == "trigger":
                incident = request.body["dedup_key"].split(".")[0]
                loop.call_soon_threadsafe(self._note, incident, request.at)

        self.pagerduty.on_request = on_request

    def _note(self, incident: str, at: float) -> None:
        page = self._page(incident)
        if not page.done():
            page.set_result(at)

    def _page(self, incident: str) -> "asyncio.Future[float]":
        return self._paged.setdefault(incident, asyncio.get_running_loop().create_future())

    async def paged(self, incident: str) -> float:
        """The time at which its first page reached the pager, in Unix seconds."""
        return await self._page(incident)

    def add(self, what: str, got: str, bound: str = "", holds: bool = True, goal: str = "") -> None:
        self.figures.append(Figure(what, got, bound, holds, goal))

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

    def request(self, alert: dict[str, Any] | None = None) -> bytes:
        return request(alert or self.alert(), f"evt-{uuid.uuid4().hex}", self.tocsin.port)

    async def one_page(self, connection: Connection) -> float:
        """Seconds from the first byte of a fresh alert's webhook to its page."""
        content = self.request()
        began = time.time()
        incident = (await connection.send(content))["incident"]
        return await self.paged(incident) - began

    async def open_incidents(self, where: str = "TocsinState = 'notified'") -> int:
        """How many incidents are open and match a query."""
        query = f"WorkflowType = 'Incident' AND ExecutionStatus = 'Running' AND {where}"
        return (await self.client.count_workflows(query)).count

    def start_worker(self) -> "subprocess.Popen[bytes]":
        """Another worker process, beside the one of ``tocsin up``."""
        environment = {**self.tocsin.environment, "TEMPORAL_ADDRESS": f"127.0.0.1:{server_port(self.tocsin)}"}
        command = [sys.executable, "-m", "cli.main", "worker"]
        with self.tocsin.log.open("ab") as output:
            worker = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        self._workers.append(worker)
        return worker

    def stop_workers(self) -> None:
        for worker in self._workers:
            worker.terminate()
            worker.wait(SLOW_MACHINE)
        self._workers.clear()

    def memory(self, role: str) -> float:
        """The resident memory of a role's process, in MiB."""
        return self.tocsin.child(role).memory_info().rss / 2**20


def server_port(tocsin: Tocsin) -> int:
    """The port in the command line of the embedded server."""
    command = wait_for(lambda: tocsin.child("server").cmdline())
    return int(command[command.index("--port") + 1])


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def milliseconds(values: Sequence[float]) -> str:
    return f"p50 {percentile(values, 0.5) * 1000:.1f} ms · p99 {percentile(values, 0.99) * 1000:.1f} ms"


def cores() -> int:
    return psutil.cpu_count() or 1
