"""``make bench``: prints the figures beside their bounds, and exits with 1 where one does not hold."""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import audit, reference
from benchmarks import policy as policies
from benchmarks.bare import connect
from benchmarks.bench import Bench, cores, server_port
from benchmarks.figures import Figure
from benchmarks.incidents import latency, life, many, second_worker, storm, throughput
from tests.processes import Tocsin
from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS, write_policy


@asynccontextmanager
async def running(scale: float, pager: Fault | None = None, **settings: str) -> AsyncGenerator[Bench]:
    """A Tocsin of its own, and a bare worker on its server; ``pager`` is what the pager always does."""
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
        address = f"127.0.0.1:{server_port(tocsin)}"
        bare = subprocess.Popen([sys.executable, "-m", "benchmarks.bare", address], env=dict(os.environ))
        try:
            bench = Bench(tocsin, pagerduty, await connect(address), scale)
            bench.listen()
            yield bench
        finally:
            bare.kill()
            bare.wait()
            await asyncio.to_thread(tocsin.stop)


async def run(scale: float) -> list[Figure]:
    async with running(scale) as bench:
        idle = await latency(bench)
        await life(bench)
        await storm(bench, idle)
        await throughput(bench)
        await many(bench, idle)
    async with running(scale, Fault(delay=0.25), TOCSIN_WORKER_SLOTS="4") as small:
        await second_worker(small)
    return sorted(bench.figures + small.figures, key=lambda figure: figure.what[:3])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="Of the full numbers; 0.1 for a quick look.")
    parser.add_argument("--only", choices=["policy", "server"], help="What needs no server, or what does.")
    asked = parser.parse_args()
    figures: list[Figure] = []
    if asked.only != "policy":
        figures += asyncio.run(run(asked.scale))
        figures += asyncio.run(reference.figures(asked.scale))
    if asked.only != "server":
        figures += audit.figures(asked.scale)
        figures += policies.figures(asked.scale)
    table = Table(title=f"{cores()} cores, everything on one machine")
    for column in ("figure", "got", "bound or goal", ""):
        table.add_column(column)
    for one in figures:
        verdict = "" if not one.bound else "holds" if one.holds else "DOES NOT HOLD"
        table.add_row(one.what, one.got, one.bound or (one.goal and f"goal: {one.goal}"), verdict)
    Console(width=130).print(table)
    return 0 if all(one.holds for one in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
