"""``make bench``: prints the figures with their bounds, and exits with 1 if a bound does not hold."""

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import audit, reference
from benchmarks import cli as command_line
from benchmarks import policy as policies
from benchmarks.arize import descriptions
from benchmarks.bare import connect
from benchmarks.bench import Bench, cores, server_port
from benchmarks.figures import Figure
from benchmarks.incidents import incident_cost, latency, many_open, second_worker, storm, throughput
from cli.process_end import end_process
from tests.ports import unused_port
from tests.processes import Tocsin
from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.vendors.arize import ArizeTenant
from tests.vendors.policy import SECRETS, write_policy
from tests.waiting import wait_for
from worker.embedded import server_command


@contextmanager
def untuned_server(folder: Path) -> Generator[str]:
    """An embedded server without the dynamic configuration that ``tocsin up`` sets; its address."""
    port = unused_port()
    with started(server_command(folder / "untuned.db", "default", port, 0, tuned=False)):
        wait_for(lambda: listens(port))
        yield f"127.0.0.1:{port}"


@contextmanager
def bare_worker(address: str) -> Generator[None]:
    with started([sys.executable, "-m", "benchmarks.bare", address]):
        yield


@contextmanager
def started(command: Sequence[str]) -> Generator[None]:
    """A process that is killed at the end."""
    process = subprocess.Popen(command, env=dict(os.environ))
    try:
        yield
    finally:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def running(scale: float, pager: Fault | None = None, **settings: str) -> AsyncGenerator[Bench]:
    """``tocsin up``, and bare workers on its server and on an untuned one. ``pager`` is the pager's fault."""
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder,
        PagerDuty() as pagerduty,
        Slack() as slack,
        Jira() as jira,
    ):
        pagerduty.always = pager
        policy = Path(folder) / "policy.yaml"
        write_policy(policy, pagerduty, slack, jira)
        tocsin = Tocsin(Path(folder), policy, 1.0, **SECRETS, **settings)
        await asyncio.to_thread(tocsin.start)
        try:
            address = f"127.0.0.1:{server_port(tocsin)}"
            with bare_worker(address), untuned_server(Path(folder)) as untuned, bare_worker(untuned):
                bench = Bench(tocsin, pagerduty, await connect(address), await connect(untuned), scale)
                bench.listen()
                yield bench
        finally:
            await asyncio.to_thread(tocsin.stop)


async def run(scale: float) -> list[Figure]:
    async with running(scale) as bench:
        idle = await latency(bench)
        await incident_cost(bench)
        await storm(bench, idle)
        await throughput(bench)
        await many_open(bench, idle)
    with ArizeTenant(checked=False) as tenant:
        settings = {**tenant.environment, "TOCSIN_RECONCILE_INTERVAL": "off"}
        async with running(scale, None, **settings) as described:
            await descriptions(described, tenant)
    async with running(scale, Fault(delay=0.25), TOCSIN_WORKER_SLOTS="4") as limited:
        await second_worker(limited)
    return sorted(bench.figures + described.figures + limited.figures, key=lambda figure: figure.what[:3])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="A part of the full numbers; 0.1 for a quick run.")
    parser.add_argument("--only", choices=["cli", "policy", "server"], help="Only these figures.")
    options = parser.parse_args()
    scale, only = options.scale, options.only
    figures: list[Figure] = []
    if only in {None, "cli"}:
        figures += command_line.figures(scale)  # first: it measures CPU time, and no server runs yet
    if only in {None, "server"}:
        figures += asyncio.run(run(scale))
        figures += asyncio.run(reference.figures(scale))
    if only in {None, "policy"}:
        figures += audit.figures(scale)
        figures += policies.figures(scale)
    table = Table(title=f"{cores()} cores, everything on one machine")
    for column in ("figure", "got", "bound or goal", ""):
        table.add_column(column)
    for one in figures:
        verdict = "" if not one.bound else "holds" if one.holds else "DOES NOT HOLD"
        table.add_row(one.what, one.got, one.bound or (one.goal and f"goal: {one.goal}"), verdict)
    Console(width=130).print(table)
    return 0 if all(one.holds for one in figures) else 1


if __name__ == "__main__":
    code = main()
    end_process(SystemExit(code))
    sys.exit(code)
