"""``make chaos``: breaks everything in turn under a steady stream of alerts; exits with 1 where a promise is broken."""

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
from tests.chaos.field import Field, field_of
from tests.chaos.replaying import broken
from tests.chaos.stream import Fire, Stream
from tests.chaos.verdict import KINDS, Verdict, judge
from tests.chaos.wrecks import BREAKS, Wreck, clock_settings, wreck
from tests.processes import tocsin

DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- chaos -->", "<!-- /chaos -->"


@dataclass(frozen=True)
class Chaos:
    """What a run gave."""

    seed: int
    seconds: float
    fires: Sequence[Fire]
    wrecks: Sequence[Wreck]
    verdict: Verdict
    refused: Sequence[str]


def run(
    folder: Path,
    seconds: float,
    rate: float,
    seed: int,
    only: Sequence[str] = (),
    tell: Callable[[str], None] = lambda line: None,
) -> Chaos:
    """Break each thing once, in an order by chance, and then whatever chance says, until the time is over.

    ``seconds`` does not count what the last fires take to come to their end.
    """
    dice = random.Random(seed)
    wrecks: list[Wreck] = []
    with field_of(folder, **clock_settings(folder)) as ground:
        stream = Stream(ground, rate)
        began = time.monotonic()
        stream.start()
        time.sleep(5)
        for what in _order(sorted(only or BREAKS), dice):
            if time.monotonic() - began > seconds and len(wrecks) >= len(only or BREAKS):
                break
            wrecks.append(wreck(ground, what, dice))
            tell(f"{datetime.now(UTC):%H:%M:%S} mended: {wrecks[-1].what}")
            time.sleep(dice.uniform(0.5, 4))
        stream.stop()
        took = time.monotonic() - began
        log = AuditLog(f"sqlite:///{ground.state}/audit.db")
        verdict = judge(ground, stream.fires, wrecks, log)
        log.close()
        verdict.audit += _verified(ground)
        verdict.broken += asyncio.run(broken(ground))
    return Chaos(seed, took, stream.fires, wrecks, verdict, stream.refused)


def _order(each: Sequence[str], dice: random.Random) -> Iterator[str]:
    """All of them in an order by chance, again and again."""
    while True:
        yield from dice.sample(each, len(each))


def _verified(ground: Field) -> list[str]:
    done = tocsin("audit", "verify", environment=ground.tocsin.environment)
    return [] if done.returncode == 0 else done.stderr.splitlines()[:20]


def report(chaos: Chaos) -> str:
    """Markdown: what was broken, what was taken, what became of it."""
    verdict = chaos.verdict
    states = sum((fire.states for fire in chaos.fires), Counter[str]())
    late = sorted(verdict.lateness) or [0.0]
    slow, slowest = late[len(late) * 99 // 100], late[-1]
    rows = [
        ("time", f"{chaos.seconds / 60:.0f} min"),
        ("things broken", str(len(chaos.wrecks))),
        ("processes killed (SIGKILL)", str(sum(one.kills for one in chaos.wrecks))),
        ("alerts and clears answered 202", str(states.total())),
        ("of them spooled", str(states["spooled"])),
        ("incidents", str(len(chaos.fires))),
        ("pages that rang", str(verdict.pages)),
        ("**lost**", str(len(verdict.lost))),
        ("**paged twice**", str(len(verdict.doubled))),
        ("**late**", str(len(verdict.late))),
        ("**early**", str(len(verdict.early))),
        ("**paged although answered**", str(len(verdict.disobeyed))),
        ("records in the audit log", str(verdict.records)),
        ("**faults in it, or gaps**", str(len(verdict.audit))),
        ("**histories that a worker could not do over**", str(len(verdict.broken))),
        ("**anything else that a vendor would mind**", str(len(verdict.other))),
        (
            "a page came so long after it was due, or after what kept it was mended",
            f"{statistics.median(late):.1f} s median, {slow:.1f} s p99, {slowest:.1f} s at most",
        ),
    ]
    broken = Counter(one.what for one in chaos.wrecks)
    lines = ["| | |", "| --- | --- |", *(f"| {what} | {got} |" for what, got in rows), ""]
    lines += ["| what was broken | times | mended after, s (median) |", "| --- | --- | --- |"]
    for what, times in sorted(broken.items()):
        took = statistics.median(one.ended - one.began for one in chaos.wrecks if one.what == what)
        lines.append(f"| {what} | {times} | {took:.0f} |")
    return "\n".join(lines)


def faults(chaos: Chaos) -> list[str]:
    """Every broken promise, in words."""
    verdict = chaos.verdict
    return [f"{kind}: {one}" for kind in KINDS for one in getattr(verdict, kind)]


def write(chaos: Chaos) -> None:
    text = DOCS.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    told = f"On {datetime.now(UTC):%Y-%m-%d}, commit {commit.stdout.strip()}, seed {chaos.seed}:"
    DOCS.write_text(f"{before}{BEGIN}\n\n{told}\n\n{report(chaos)}\n\n{END}{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=1.0, help="Fires a second.")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--only", action="append", choices=sorted(BREAKS), help="Break nothing else.")
    parser.add_argument("--write", action="store_true", help="Write the report into docs/reliability.md.")
    parser.add_argument("--keep", type=Path, help="A folder for everything that the processes wrote.")
    asked = parser.parse_args()
    console = Console(width=140, markup=False)
    console.print(f"seed {asked.seed}")
    with nullcontext(str(asked.keep)) if asked.keep else tempfile.TemporaryDirectory(prefix="tocsin-chaos-") as folder:
        chaos = run(Path(folder), asked.minutes * 60, asked.rate, asked.seed, asked.only or (), console.print)
    console.print(report(chaos))
    for line in faults(chaos):
        console.print(line)
    if chaos.refused:
        console.print(f"refused: {Counter(chaos.refused).most_common(5)}")
    if asked.write and chaos.verdict.holds:
        write(chaos)
    return 0 if chaos.verdict.holds else 1


if __name__ == "__main__":
    sys.exit(main())
