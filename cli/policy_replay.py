"""``tocsin policy replay``: what a policy would have sent about the alerts of a history."""

import multiprocessing
import os
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

import typer

from cli.errors import UNUSABLE, exit_with_error
from cli.output import print_rich
from cli.policy import HistoryOption, PolicyOption, load, policy_path

if TYPE_CHECKING:
    from policy import Policy
    from simulation.comparison import RecordedAlert
    from simulation.replay import TimedAlert

CHUNK_LINES = 500
"""Lines that a process reads at once."""
MAX_PROCESSES = 4
MANY_BYTES = 2 * 2**20
"""Of a shorter file, other processes cost more than they save."""
MAX_SKIPPED = 10


def replay(
    file: PolicyOption = None,
    history: HistoryOption = None,
    form: Annotated[
        Literal["table", "json", "markdown"], typer.Option("--format", help="json has every notification.")
    ] = "table",
    acknowledge_after: Annotated[
        str, typer.Option(help="How long after each page and post somebody acknowledges, such as 5m; or never.")
    ] = "5m",
    output: Annotated[Path | None, typer.Option(help="Write the report to this file.", show_default=False)] = None,
) -> None:
    """Play recorded alerts, with their times, and show every page, post and ticket that the policy would have sent."""
    from simulation.replay import replay as play
    from simulation.replay_report import json_text, markdown_text, replay_screen

    answered = _duration(acknowledge_after)
    loaded = load(policy_path(file))
    skipped: list[str] = []
    with _alerts(history, loaded, skipped) as alerts:
        found = play(loaded, alerts, answered)
    for reason in skipped[:MAX_SKIPPED]:
        typer.echo(f"left out: {reason}", err=True)
    if len(skipped) > MAX_SKIPPED:
        typer.echo(f"left out: {len(skipped) - MAX_SKIPPED:,} more", err=True)
    if not found.alerts:
        exit_with_error("the history has no alert with a time", UNUSABLE)
    if form == "table" and output is None:
        print_rich(replay_screen(found))
        return
    text = json_text(found) if form == "json" else markdown_text(found)
    if output:
        output.write_text(text, encoding="utf-8")
    else:
        typer.echo(text, nl=False)


def _duration(text: str) -> timedelta | None:
    from policy import parse_duration

    if text == "never":
        return None
    try:
        return timedelta(seconds=parse_duration(text))
    except ValueError as error:
        exit_with_error(f"--acknowledge-after: {error}; or never", UNUSABLE)


class _Part(NamedTuple):
    """Some lines of a file, and the number of the first."""

    name: str
    first: int
    lines: list[bytes]


@contextmanager
def _alerts(file: Path | None, loaded: "Policy", skipped: list[str]) -> Generator[Iterator["TimedAlert"]]:
    """The alerts of a history, in the policy's words. What is left out is added to ``skipped``, with the reason."""
    from cli.alert_history import AlertHistory, progress

    if file is not None and _is_long(file):
        with _read_in_processes(file, loaded, skipped) as alerts:
            yield alerts
        return
    past = AlertHistory(clears=True)
    with progress(past, file) as recorded:
        yield _timed(recorded, loaded, past.skipped)
    skipped += past.skipped


def _is_long(file: Path) -> bool:
    """Whether several processes are worth it. Records of the audit log depend on each other."""
    if (os.cpu_count() or 1) < 2 or "fork" not in multiprocessing.get_all_start_methods():
        return False
    try:
        with file.open("rb") as opened:
            return file.stat().st_size > MANY_BYTES and b'"anchor"' not in opened.readline(2**20)
    except OSError:
        return False  # the reader says why


@contextmanager
def _read_in_processes(file: Path, loaded: "Policy", skipped: list[str]) -> Generator[Iterator["TimedAlert"]]:
    global _policy  # the other processes inherit it: a compiled policy cannot be sent
    _policy = loaded
    processes = min(os.cpu_count() or 1, MAX_PROCESSES)

    def alerts(pool: ProcessPoolExecutor) -> Iterator["TimedAlert"]:
        for found, faults in pool.map(_read_part, _parts(file)):
            skipped.extend(faults)
            yield from found

    with ProcessPoolExecutor(processes, multiprocessing.get_context("fork")) as pool:
        yield alerts(pool)


def _parts(file: Path) -> Iterator[_Part]:
    with file.open("rb") as lines:
        first = 1
        while part := list(islice(lines, CHUNK_LINES)):
            yield _Part(file.name, first, part)
            first += len(part)


_policy: "Policy | None" = None


def _read_part(part: _Part) -> tuple[list["TimedAlert"], list[str]]:
    from cli.alert_history import AlertHistory

    assert _policy is not None
    past = AlertHistory(clears=True)
    alerts = list(_timed(past.of_lines(part.lines, part.name, part.first), _policy, past.skipped))
    return alerts, past.skipped


def _timed(recorded: Iterable["RecordedAlert"], loaded: "Policy", skipped: list[str]) -> Iterator["TimedAlert"]:
    """Those with a time. One without comes at that of the one before it."""
    from simulation.replay import prepare

    before: datetime | None = None
    for one in recorded:
        at = one.at or before
        if at is None:
            skipped.append(f"{one.place}: it has no time, and none before it")
            continue
        before = at
        yield prepare(loaded, one.alert, at)
