"""``make chaos``: injects every fault in turn under a steady stream of alerts; exits with 1 on a violation."""

import argparse
import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from audit import AuditLog
from cli.process_end import end_process
from tests.chaos.faults import FAULTS, InjectedFault, clock_settings, inject
from tests.chaos.harness import ChaosHarness, chaos_harness
from tests.chaos.replay import replay_failures
from tests.chaos.stream import ScriptedIncident, Stream
from tests.chaos.varied_scripts import SCRIPTS
from tests.chaos.verdict import KINDS, Verdict, judge
from tests.processes import tocsin

DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- chaos -->", "<!-- /chaos -->"


@dataclass(frozen=True)
class ChaosRun:
    """The result of a run."""

    seed: int
    seconds: float
    incidents: Sequence[ScriptedIncident]
    injected: Sequence[InjectedFault]
    verdict: Verdict
    rejected: Sequence[str]


def run(
    folder: Path,
    seconds: float,
    rate: float,
    seed: int,
    only: Sequence[str] = (),
    log: Callable[[str], None] = lambda line: None,
) -> ChaosRun:
    """Inject each fault once, in random order, and then again until the time is over.

    Args:
        folder: For the files of all processes.
        seconds: The minimal duration, without the time that the last incidents take to close.
        rate: Incidents a second.
        seed: For the order and the durations of the faults.
        only: Names of faults; all if empty.
        log: Receives a line for each fault.
    """
    rng = random.Random(seed)
    injected: list[InjectedFault] = []
    with chaos_harness(folder, **clock_settings(folder)) as harness:
        stream = Stream(harness, rate, SCRIPTS)
        began = time.monotonic()
        stream.start()
        time.sleep(5)
        for name in _order(sorted(only or FAULTS), rng):
            if time.monotonic() - began > seconds and len(injected) >= len(only or FAULTS):
                break
            injected.append(inject(harness, name, rng))
            log(f"{datetime.now(UTC):%H:%M:%S} recovered: {name}")
            time.sleep(rng.uniform(0.5, 4))
        stream.stop()
        took = time.monotonic() - began
        audit_log = AuditLog(f"sqlite:///{harness.state}/audit.db")
        verdict = judge(harness, stream.incidents, injected, audit_log)
        audit_log.close()
        verdict.audit += _verify(harness)
        verdict.replay += asyncio.run(replay_failures(harness))
    return ChaosRun(seed, took, stream.incidents, injected, verdict, stream.rejected)


def _order(names: Sequence[str], rng: random.Random) -> Iterator[str]:
    """All of them in random order, again and again."""
    while True:
        yield from rng.sample(names, len(names))


def _verify(harness: ChaosHarness) -> list[str]:
    done = tocsin("audit", "verify", environment=harness.tocsin.environment)
    return [] if done.returncode == 0 else done.stderr.splitlines()[:20]


def report(chaos: ChaosRun) -> str:
    """Markdown: the run, its faults, and its violations."""
    verdict = chaos.verdict
    states = sum((one.states for one in chaos.incidents), Counter[str]())
    lateness = sorted(verdict.lateness) or [0.0]
    p99, worst = lateness[len(lateness) * 99 // 100], lateness[-1]
    rows = [
        ("duration", f"{chaos.seconds / 60:.0f} min"),
        ("faults injected", str(len(chaos.injected))),
        ("processes killed (SIGKILL)", str(sum(one.kills for one in chaos.injected))),
        ("alerts and clears answered 202", str(states.total())),
        ("of these spooled", str(states["spooled"])),
        ("incidents", str(len(chaos.incidents))),
        ("pages", str(verdict.pages)),
        ("**lost**", str(len(verdict.lost))),
        ("**swallowed**", str(len(verdict.swallowed))),
        ("**paged twice**", str(len(verdict.doubled))),
        ("**late**", str(len(verdict.late))),
        ("**early**", str(len(verdict.early))),
        ("**paged after an acknowledgement**", str(len(verdict.paged_after_ack))),
        ("audit records", str(verdict.records)),
        ("**errors or gaps in the audit log**", str(len(verdict.audit))),
        ("**histories that do not replay**", str(len(verdict.replay))),
        ("**other violations of a vendor's API**", str(len(verdict.other))),
        (
            "delay of a page after its due time, or after the recovery",
            f"{statistics.median(lateness):.1f} s median, {p99:.1f} s p99, {worst:.1f} s at most",
        ),
    ]
    times = Counter(one.name for one in chaos.injected)
    lines = ["| | |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows), ""]
    lines += ["| fault | times | recovered after, s (median) |", "| --- | --- | --- |"]
    for name, count in sorted(times.items()):
        took = statistics.median(one.ended - one.began for one in chaos.injected if one.name == name)
        lines.append(f"| {name} | {count} | {took:.0f} |")
    return "\n".join(lines)


def violations_in(chaos: ChaosRun) -> list[str]:
    """Every violation, in words."""
    return [f"{kind}: {one}" for kind in KINDS for one in getattr(chaos.verdict, kind)]


def write(chaos: ChaosRun) -> None:
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    heading = f"On {datetime.now(UTC):%Y-%m-%d}, commit {commit.stdout.strip()}, seed {chaos.seed}:"
    DOCS.write_text(f"{before}{BEGIN}\n\n{heading}\n\n{report(chaos)}\n\n{END}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=1.0, help="Incidents a second.")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--only", action="append", choices=sorted(FAULTS), help="Inject no other fault.")
    parser.add_argument("--write", action="store_true", help="Write the report into docs/reliability.md.")
    parser.add_argument("--keep", type=Path, help="A folder for the files of all processes.")
    options = parser.parse_args()
    console = Console(width=140, markup=False)
    console.print(f"seed {options.seed}")
    with (
        nullcontext(str(options.keep))
        if options.keep
        else tempfile.TemporaryDirectory(prefix="tocsin-chaos-") as folder
    ):
        chaos = run(Path(folder), options.minutes * 60, options.rate, options.seed, options.only or (), console.print)
    console.print(report(chaos))
    for line in violations_in(chaos):
        console.print(line)
    if chaos.rejected:
        console.print(f"rejected: {Counter(chaos.rejected).most_common(5)}")
    if options.write and chaos.verdict.holds:
        write(chaos)
    return 0 if chaos.verdict.holds else 1


if __name__ == "__main__":
    code = main()
    end_process(SystemExit(code))
    sys.exit(code)
