"""The reference: Debian's prometheus-alertmanager, with group_wait 0 and a webhook receiver, on the same machine.

It is measured if it is installed. It guarantees less: it keeps an alert that it answered 200 in memory only. So it is
also killed within its group wait, to count how many of fifty alerts are delivered.
"""

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from benchmarks.bench import CONCURRENCY, milliseconds
from benchmarks.figures import Figure
from tests.ports import unused_port

COMMAND = "prometheus-alertmanager"
CONFIG = """
route: {{receiver: hook, group_by: ['...'], group_wait: {wait}, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: hook
    webhook_configs: [{{url: "http://127.0.0.1:{port}/", send_resolved: false}}]
"""


class Receiver:
    """Notes when each alert was delivered."""

    def __init__(self) -> None:
        self.delivered: dict[str, asyncio.Future[float]] = {}
        self.port = unused_port()

    def of(self, name: str) -> "asyncio.Future[float]":
        return self.delivered.setdefault(name, asyncio.get_running_loop().create_future())

    async def _receive(self, request: web.Request) -> web.Response:
        at = time.time()
        for alert in (await request.json())["alerts"]:
            future = self.of(alert["labels"]["alertname"])
            if not future.done():
                future.set_result(at)
        return web.Response()

    @asynccontextmanager
    async def served(self) -> AsyncGenerator[None]:
        app = web.Application()
        app.router.add_post("/", self._receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        yield
        await runner.cleanup()


@asynccontextmanager
async def alertmanager(receiver: Receiver, wait: str) -> AsyncGenerator[tuple[str, "subprocess.Popen[bytes]"]]:
    port = unused_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "alertmanager.yml"
        config.write_text(CONFIG.format(port=receiver.port, wait=wait))
        command = [COMMAND, f"--config.file={config}", f"--storage.path={folder}/data"]
        command += [f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient() as http:
            for _ in range(200):
                try:
                    if (await http.get(f"{url}/-/ready")).is_success:
                        break
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
        yield f"{url}/api/v2/alerts", process
        process.kill()
        process.wait()


def an_alert(name: str) -> list[dict[str, Any]]:
    return [{"labels": {"alertname": name, "severity": "critical", "model": "chatbot"}}]


async def figures(scale: float) -> list[Figure]:
    if shutil.which(COMMAND) is None:
        return [Figure("(r) the reference, prometheus-alertmanager", "not installed here")]
    receiver = Receiver()
    async with receiver.served():
        return [*await _speed(receiver, scale), await _loss(receiver)]


async def _speed(receiver: Receiver, scale: float) -> list[Figure]:
    took: list[float] = []
    async with alertmanager(receiver, "0s") as (url, _), httpx.AsyncClient(timeout=30) as http:
        for turn in range(max(int(120 * scale), 10) + 20):
            name = uuid.uuid4().hex
            began = time.time()
            (await http.post(url, json=an_alert(name))).raise_for_status()
            if turn >= 20:
                took.append(await receiver.of(name) - began)
            await asyncio.sleep(0.05)
        names = [uuid.uuid4().hex for _ in range(max(int(1500 * scale), 50))]
        remaining = iter(names)

        async def sender() -> None:
            for name in remaining:
                (await http.post(url, json=an_alert(name))).raise_for_status()
                await receiver.of(name)

        began = time.monotonic()
        await asyncio.gather(*(sender() for _ in range(CONCURRENCY)))
        rate = len(names) / (time.monotonic() - began)
    return [
        Figure("(r) alertmanager: posted → delivered, one at a time", milliseconds(took)),
        Figure(f"(r) alertmanager: posted → delivered, {CONCURRENCY} at once", f"{rate:.0f}/s"),
    ]


async def _loss(receiver: Receiver) -> Figure:
    """It is killed right after its responses, within its group wait."""
    names = [uuid.uuid4().hex for _ in range(50)]
    async with alertmanager(receiver, "2s") as (url, process), httpx.AsyncClient(timeout=30) as http:
        for name in names:
            (await http.post(url, content=json.dumps(an_alert(name)), headers={"Content-Type": "application/json"}))
        process.kill()
        await asyncio.sleep(4)
    delivered = sum(receiver.of(name).done() for name in names)
    return Figure("(r) alertmanager: delivered of 50 answered 200, killed then", f"{delivered} of 50")
