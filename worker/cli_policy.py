"""``tocsin policy check|test|explain|diff|show|schema|reference``."""

import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from worker.cli_database import database_needed
from worker.settings import near, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit import Kept
    from policy import Policy, Problem
    from policy.compare import Recorded
    from worker.review.history import History

# What each command needs is imported by it: `tocsin incidents ack` loads this module too.

policy = typer.Typer(help="Write, check, test and compare policies.", no_args_is_help=True)

FILE_HELP = "A file or folder; TOCSIN_POLICY or the shipped one where it is left out."
PolicyOption = Annotated[Path | None, typer.Option("--policy", help=FILE_HELP)]


class FailOn(StrEnum):
    """What a change of policy must not do."""

    LOST_PAGES = "lost-pages"
    LOST_REGULATION = "lost-regulation"
    ANY_CHANGE = "any-change"


def _path(given: Path | None) -> Path:
    return given or read_settings(os.environ).policy


def _load(path: Path) -> "Policy":
    from activities.destinations import destination_types
    from policy import PolicyError, load_policy

    try:
        return load_policy(path, destination_types())
    except PolicyError as error:
        _refuse(_placed(error.problems, path))


def _placed(problems: "Iterable[Problem]", path: Path) -> str:
    """The problems of a policy, a line each, with files named as they are found from here."""
    folder = path if path.is_dir() else path.parent
    return "\n".join(str(replace(one, file=near(folder / one.file))) for one in problems)


def _refuse(message: str, code: int = 1) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


@policy.command()
def check(
    file: Annotated[Path | None, typer.Argument(help=FILE_HELP)] = None,
    strict: Annotated[bool, typer.Option(help="Fail on warnings too.")] = False,
) -> None:
    """Every problem at once, with its file, line and column. Exit code 1 where there is an error."""
    from activities.destinations import destination_types
    from policy import PolicyError, load_policy

    path = _path(file)
    try:
        loaded = load_policy(path, destination_types(), os.environ)
    except PolicyError as error:
        _refuse(_placed(error.problems, path))
    if loaded.warnings:
        typer.echo(_placed(loaded.warnings, path), err=True)
    size = f"{len(loaded.rules)} rules, {len(loaded.destinations)} destinations"
    typer.echo(f"{near(path)}: good; {size}, {loaded.digest}")
    if strict and loaded.warnings:
        raise typer.Exit(1)


@policy.command("test")
def run_tests(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Test files, or folders of them; the folder tests beside the policy where left out."),
    ] = None,
    file: PolicyOption = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML there.")] = None,
    require_coverage: Annotated[bool, typer.Option(help="Fail where no test covers a rule.")] = False,
) -> None:
    """Run the policy's unit tests. Exit code 1 where one fails."""
    from policy import PolicyError
    from worker.review.cases import read_tests, test_files
    from worker.review.trial import print_trial, run, write_junit

    path = _path(file)
    loaded = _load(path)
    places = paths or [(path if path.is_dir() else path.parent) / "tests"]
    files = test_files(Path(near(place)) for place in places if paths or place.is_dir())
    if not files:
        _refuse(f"there are no tests: looked for *.yaml in {', '.join(map(str, places))}", 2)
    try:
        tests = read_tests(files, loaded)
    except PolicyError as error:
        _refuse(str(error))
    trial = run(tests, loaded)
    print_trial(Console(), trial)
    if junit:
        write_junit(trial, junit, loaded)
    if trial.failed or (require_coverage and trial.uncovered):
        raise typer.Exit(1)


@policy.command()
def explain(
    alert: Annotated[Path, typer.Argument(help="A JSON file with the alert as it is sent; - for standard input.")],
    file: PolicyOption = None,
    at: Annotated[datetime | None, typer.Option(help="Decide as if it were then, in UTC; now where left out.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The decision and the near misses, as JSON.")] = False,
) -> None:
    """What an alert would do, to whom, when, and why."""
    from alerts import AlertError, BodyError, is_change, normalise, read_body
    from policy.misses import near_misses
    from worker.review.explain import say

    path = _path(file)
    loaded = _load(path)
    try:
        body = read_body(sys.stdin.buffer.read() if str(alert) == "-" else alert.read_bytes())
        if is_change(str(body.get("event", ""))):
            _refuse(f"{alert}: {body['event']} tells of a change; it is recorded, and opens no incident")
        read = normalise(body)
    except OSError as error:
        _refuse(f"{alert} cannot be read: {error.strerror}", 2)
    except (AlertError, BodyError) as error:
        _refuse(f"{alert}: {error}")
    now = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    if as_json:
        misses = [f"{miss}" for miss in near_misses(loaded, read, now)]
        decision = loaded.decide(read, now).model_dump(mode="json")
        typer.echo(json.dumps({"decision": decision, "near_misses": misses}, indent=2))
        return
    say(Console(), loaded, read, now, near(path))


@policy.command()
@database_needed()
def diff(
    old: Annotated[str, typer.Argument(help="A file, a folder, or the digest of a policy that decided.")],
    new: Annotated[str, typer.Argument(help="The same.")],
    history: Annotated[
        Path | None,
        typer.Option(help="Alerts as they were sent, one a line, or an export of the audit log; else the log itself."),
    ] = None,
    form: Annotated[Literal["table", "markdown", "json"], typer.Option("--format")] = "table",
    output: Annotated[Path | None, typer.Option(help="Write there instead of to the terminal.")] = None,
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option(help="Exit with code 1 in that case; may be given more than once."),
    ] = None,
) -> None:
    """What a change of policy changes, on the alerts that were really sent."""
    from policy.compare import compare
    from worker.review.change import json_text, markdown, print_table, table_text
    from worker.review.history import History

    before, after = _named(old), _named(new)
    past = History()
    with _going_through(past, history) as recorded:
        found = compare(before, after, recorded, datetime.now(UTC))
    for refused in past.refused[:10]:
        typer.echo(f"left out: {refused}", err=True)
    if len(past.refused) > 10:
        typer.echo(f"left out: {len(past.refused) - 10:,} more", err=True)
    if not found.alerts:
        _refuse("the history holds no alert", 2)
    names = (f"{before.digest} ({old})", f"{after.digest} ({new})") if old != before.digest else (old, new)
    if form == "table" and output is None:
        print_table(Console(), found)
    else:
        text = {"table": table_text, "markdown": markdown, "json": json_text}[form](found, *names)
        if output:
            output.write_text(text, encoding="utf-8")
        else:
            typer.echo(text, nl=False)
    failed = {
        FailOn.LOST_PAGES: bool(found.lost),
        FailOn.LOST_REGULATION: found.deregulated > 0,
        FailOn.ANY_CHANGE: found.changed > 0,
    }
    if any(failed[name] for name in fail_on or ()):
        raise typer.Exit(1)


@contextmanager
def _going_through(past: "History", file: Path | None) -> Generator["Iterable[Recorded]"]:
    """The history, with a progress bar on standard error where that is a terminal."""
    from audit import AuditLog

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        if file is not None:
            if not file.is_file():
                _refuse(f"{file} is not there", 2)
            task = progress.add_task("Deciding, bytes", total=file.stat().st_size)
            yield past.of_file(file, lambda read: progress.advance(task, read))
            return
        log = AuditLog(read_settings(os.environ).database_url)
        task = progress.add_task("Deciding, alerts", total=log.count(kinds=("received", "joined")))
        yield past.of_log(log, lambda read: progress.advance(task, read))
        log.close()


def _named(name: str) -> "Policy":
    """The policy of a file or folder, or the one that decided under a digest."""
    from activities.destinations import destination_types
    from policy import PolicyError, parse_policy

    if Path(name).exists():
        return _load(Path(name))
    try:
        return parse_policy(_kept(name).source, destination_types())
    except PolicyError as error:
        _refuse(f"the policy {name} decided once, and does not load any more:\n{error}")


def _kept(digest: str) -> "Kept":
    from audit import KeptPolicies

    store = KeptPolicies(read_settings(os.environ).database_url)
    try:
        kept = store.find(digest)
    except LookupError as error:
        _refuse(str(error.args[0]))
    if kept is None:
        known = ", ".join(one.digest for one in store.all()) or "none yet"
        _refuse(f"{digest} is no file here, and no policy that decided; there are {known}")
    return kept


@policy.command()
@database_needed()
def show(
    digest: Annotated[str, typer.Argument(help="As a decision names it; the policy in use where it is left out.")] = "",
    file: PolicyOption = None,
    listed: Annotated[bool, typer.Option("--list", help="Every policy that decided, and since when.")] = False,
) -> None:
    """Print the policy that was in force for a recorded decision."""
    from audit import KeptPolicies
    from policy import PolicyError, read_source

    if listed:
        for kept in KeptPolicies(read_settings(os.environ).database_url).all():
            files = ", ".join(name for name, _ in kept.source.files)
            typer.echo(f"{kept.digest}  since {kept.since:%Y-%m-%d %H:%M:%S} UTC  {files}")
        return
    try:
        source = _kept(digest).source if digest else read_source(_path(file))
    except PolicyError as error:
        _refuse(str(error))
    for name, text in source.files:
        if len(source.files) > 1:
            typer.echo(f"# file: {name}")
        typer.echo(text.decode("utf-8", "replace"), nl=False)


@policy.command()
def schema() -> None:
    """The JSON Schema, for editors."""
    from activities.destinations import destination_types
    from policy.json_schema import policy_json_schema

    typer.echo(json.dumps(policy_json_schema(destination_types()), indent=2))


@policy.command()
def reference() -> None:
    """Every key of a policy, as Markdown."""
    from activities.destinations import destination_types
    from policy.reference import policy_reference

    typer.echo(policy_reference(destination_types()), nl=False)
