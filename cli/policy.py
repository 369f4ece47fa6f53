"""``tocsin policy check|test|explain|diff|show|schema|reference``; ``cli.policies`` lists them."""

import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from datetime import MAXYEAR, UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from cli.database import database_url
from cli.errors import UNUSABLE, exit_with_error
from cli.output import Format, FormatOption, echo_json, print_rich
from worker.locations import SHIPPED_POLICY, display_path

if TYPE_CHECKING:
    from alerts import Alert
    from audit import ArchivedPolicy
    from policy import Policy, Problem
    from simulation.test_runner import TestRun

# A command imports what it needs when it runs: `tocsin policy check` must load neither a vendor's SDK nor the settings.

FILE_HELP = "A file or folder; TOCSIN_POLICY or the shipped policy by default."
PolicyOption = Annotated[Path | None, typer.Option("--policy", help=FILE_HELP, show_default=False)]
HistoryOption = Annotated[
    Path | None,
    typer.Option(
        help="A file of alerts as they were sent, one a line, or of an export of the audit log; "
        "the audit log itself by default.",
        show_default=False,
    ),
]


class FailOn(StrEnum):
    """What a change of the policy must not do."""

    LOST_PAGES = "lost-pages"
    LOST_REGULATION = "lost-regulation"
    MOVED_SECRETS = "moved-secrets"
    ANY_CHANGE = "any-change"


def policy_path(given: Path | None) -> Path:
    """The absolute path of the policy that is given, or that TOCSIN_POLICY names, or of the shipped one."""
    return (given or Path(os.environ.get("TOCSIN_POLICY") or SHIPPED_POLICY)).absolute()


def require_readable(path: Path) -> None:
    """End the command with exit code 2 if there is no policy at this path, or it cannot be read."""
    try:
        files = sorted([*path.glob("*.yaml"), *path.glob("*.yml")]) if path.is_dir() else [path]
        if not files:
            exit_with_error(f"{display_path(path)}: the folder contains no *.yaml file", UNUSABLE)
        for file in files:
            with file.open("rb") as opened:
                opened.read(1)
    except OSError as error:
        place = display_path(Path(error.filename or path))
        exit_with_error(f"{place}: the policy cannot be read: {error.strerror}", UNUSABLE)


def load(path: Path) -> "Policy":
    """Load the policy at an absolute path. Ends the command with every problem if it is not valid."""
    from integrations.base.registry import destination_types
    from policy import PolicyError, load_policy

    require_readable(path)
    try:
        return load_policy(path, destination_types())
    except PolicyError as error:
        exit_with_error(_lines(_placed(error.problems, path)), located=True)


def _placed(problems: "Iterable[Problem]", path: Path) -> "list[Problem]":
    """The problems, with files named relative to the working directory."""
    folder = path if path.is_dir() else path.parent
    return [replace(problem, file=display_path(folder / problem.file)) for problem in problems]


def _lines(problems: "Iterable[Problem]") -> str:
    return "\n".join(map(str, problems))


def check(
    file: Annotated[Path | None, typer.Argument(help=FILE_HELP, show_default=False)] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    form: FormatOption = Format.text,
) -> None:
    """Report every problem with its file, line and column. Exit code 1 if one is an error, 2 without a policy."""
    from incident.text import counted
    from integrations.base.registry import destination_types
    from policy import PolicyError, load_policy, short_digest

    path = policy_path(file)
    require_readable(path)
    loaded: Policy | None = None
    try:
        loaded = load_policy(path, destination_types(), os.environ)
        problems = _placed(loaded.warnings, path)
    except PolicyError as error:
        problems = _placed(error.problems, path)
    failed = loaded is None or (strict and bool(problems))
    if form is Format.json:
        size = {"rules": len(loaded.rules), "destinations": len(loaded.destinations)} if loaded else {}
        digest = loaded.digest if loaded else ""
        found = [asdict(problem) for problem in problems]
        echo_json(
            {"valid": loaded is not None, "policy": display_path(path), "digest": digest, **size} | {"problems": found}
        )
    else:
        if problems:
            typer.echo(_lines(problems), err=True)
        if loaded:
            size_text = f"{counted(len(loaded.rules), 'rule')}, {counted(len(loaded.destinations), 'destination')}"
            typer.echo(f"{display_path(path)}: good; {size_text}, {short_digest(loaded.digest)}")
    if failed:
        raise typer.Exit(1)


def run_tests(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Test files or folders; the folder tests beside the policy by default.", show_default=False
        ),
    ] = None,
    file: PolicyOption = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML to this file.", show_default=False)] = None,
    require_coverage: Annotated[bool, typer.Option("--require-coverage", help="Fail if a rule has no test.")] = False,
    form: FormatOption = Format.text,
) -> None:
    """Run the policy's unit tests. Exit code 1 if one fails."""
    from policy import PolicyError
    from simulation.test_cases import read_tests, test_files
    from simulation.test_runner import results_screen, run, write_junit

    path = policy_path(file)
    loaded = load(path)
    places = paths or [(path if path.is_dir() else path.parent) / "tests"]
    files = test_files(Path(display_path(place)) for place in places if paths or place.is_dir())
    if not files:
        exit_with_error(f"there are no tests: looked for *.yaml in {', '.join(map(display_path, places))}", UNUSABLE)
    try:
        tests = read_tests(files, loaded)
    except PolicyError as error:
        exit_with_error(str(error), located=True)
    test_run = run(tests, loaded)
    if form is Format.json:
        echo_json(_results_json(test_run))
    else:
        print_rich(results_screen(test_run))
    if junit:
        write_junit(test_run, junit, loaded)
    if test_run.failed or (require_coverage and test_run.uncovered):
        raise typer.Exit(1)


def _results_json(test_run: "TestRun") -> dict[str, Any]:
    tests = [
        {
            "name": result.test.case.name,
            "file": str(result.test.file),
            "line": result.test.line,
            "passed": result.passed,
            "differences": [asdict(difference) for difference in result.differences],
        }
        for result in test_run.results
    ]
    return {
        "passed": len(test_run.results) - len(test_run.failed),
        "failed": len(test_run.failed),
        "covered": test_run.covered,
        "uncovered": test_run.uncovered,
        "tests": tests,
    }


def explain(
    alert: Annotated[Path, typer.Argument(help="A JSON file with the alert as it is sent; - for standard input.")],
    file: PolicyOption = None,
    at: Annotated[
        datetime | None, typer.Option(help="Decide for this time, in UTC; for now by default.", show_default=False)
    ] = None,
    form: FormatOption = Format.text,
) -> None:
    """Show what an alert does: who is notified, when, and why."""
    path = policy_path(file)
    loaded = load(path)
    read = _read_alert(alert, loaded)
    if at and at.year >= MAXYEAR:
        exit_with_error("--at leaves no time for the escalation after it: name an earlier year", UNUSABLE)
    now = at.replace(tzinfo=UTC) if at else datetime.now(UTC)
    if form is Format.json:
        from policy.authoring.near_misses import near_misses

        misses = [str(miss) for miss in near_misses(loaded, read, now)]
        echo_json({"decision": loaded.decide(read, now).model_dump(mode="json"), "near_misses": misses})
        return
    from simulation.explain import explanation

    print_rich(explanation(loaded, read, now, display_path(path)))


def _read_alert(file: Path, loaded: "Policy") -> "Alert":
    from alerts import AlertError, BodyError, is_change, read_json
    from policy import read_payload

    try:
        body = read_json(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes())
        if isinstance(body, dict) and is_change(event := str(cast("dict[str, Any]", body).get("event", ""))):
            exit_with_error(f"{file}: {event} is a change event, not an alert; it opens no incident")
        return read_payload(loaded.mappings, body).alert
    except BodyError as error:
        exit_with_error(f"{file}: {error}", UNUSABLE)
    except AlertError as error:
        exit_with_error(f"{file}: {error}")


def diff(
    old: Annotated[str, typer.Argument(help="A file, a folder, or the digest of a policy that was in force.")],
    new: Annotated[str, typer.Argument(help="The same.")],
    history: HistoryOption = None,
    form: Annotated[Literal["table", "markdown", "json"], typer.Option("--format", help="json is for programs.")] = (
        "table"
    ),
    output: Annotated[Path | None, typer.Option(help="Write the report to this file.", show_default=False)] = None,
    fail_on: Annotated[
        list[FailOn] | None,
        typer.Option(help="Exit with code 1 in this case; may be repeated.", show_default=False),
    ] = None,
) -> None:
    """Compare two policies: every key, and the decisions about the alerts that were really received.

    A secret that goes to another host fails whatever `--fail-on` names.
    """
    from cli.alert_history import AlertHistory, progress
    from simulation.comparison import RecordedAlert, compare, kept_in
    from simulation.diff_report import comparison_screen, json_text, markdown, table_text
    from simulation.sent_difference import compare_sent

    before, after = _named(old), _named(new)
    past = AlertHistory(clears=True)
    with progress(past, history) as alerts:
        recorded: list[RecordedAlert] = []
        found = compare(before, after, kept_in(recorded, alerts), datetime.now(UTC))
    found.sent = compare_sent(before, after, recorded)
    for reason in past.skipped[:10]:
        typer.echo(f"left out: {reason}", err=True)
    if len(past.skipped) > 10:
        typer.echo(f"left out: {len(past.skipped) - 10:,} more", err=True)
    names = (_titled(old, before), _titled(new, after))
    if form == "table" and output is None:
        print_rich(comparison_screen(found))
    else:
        text = {"table": table_text, "markdown": markdown, "json": json_text}[form](found, *names)
        if output:
            output.write_text(text, encoding="utf-8")
        else:
            typer.echo(text, nl=False)
    moved = bool(found.loses("moved secret"))
    failed = {
        FailOn.LOST_PAGES: bool(found.lost_pages or found.loses("lost page")),
        FailOn.LOST_REGULATION: found.no_longer_regulated > 0 or bool(found.loses("lost regulation")),
        FailOn.MOVED_SECRETS: moved,
        FailOn.ANY_CHANGE: found.changed > 0 or bool(found.keys),
    }
    if any(failed[name] or moved for name in fail_on or ()):
        raise typer.Exit(1)
    if not found.alerts:
        exit_with_error("the history has no alert: only the policies' keys were compared", UNUSABLE)


def _titled(name: str, policy: "Policy") -> str:
    """The digest, and the file if the policy was named by one."""
    from policy import short_digest

    digest = short_digest(policy.digest)
    return digest if policy.digest.startswith(name.partition("/")[0]) else f"{digest} ({name})"


def _named(name: str) -> "Policy":
    """The policy in a file or folder, or the archived one with a digest."""
    from integrations.base.registry import destination_types
    from policy import PolicyError, parse_policy

    if Path(name).exists():
        return load(Path(name).absolute())
    try:
        return parse_policy(_archived(name).source, destination_types())
    except PolicyError as error:
        exit_with_error(f"the policy {name} was valid for an earlier version, and is not now:\n{error}")


def _archived(digest: str) -> "ArchivedPolicy":
    from audit import PolicyArchive
    from policy import short_digest

    archive = PolicyArchive(database_url())
    try:
        found = archive.find(digest)
        known = "" if found else ", ".join(one.digest for one in archive.all())
    except LookupError as error:
        exit_with_error(str(error.args[0]))
    if found is None:
        known = ", ".join(short_digest(one.digest) for one in archive.all())
        archived = f"archived: {known}" if known else "no policy is archived yet"
        exit_with_error(f"{digest} is neither a file nor the digest of a policy that was in force; {archived}")
    return found


def show(
    digest: Annotated[
        str, typer.Argument(help="As a decision names it; the current policy by default.", show_default=False)
    ] = "",
    file: PolicyOption = None,
    listed: Annotated[bool, typer.Option("--list", help="List every policy that decided, and since when.")] = False,
) -> None:
    """Print the policy that was in force for a recorded decision."""
    from policy import PolicyError, read_source

    if listed:
        from audit import PolicyArchive

        faults: list[str] = []
        for archived in PolicyArchive(database_url()).all():
            fault = archived.fault
            faults += [fault] if fault else []
            files = "EDITED" if fault else ", ".join(name for name, _ in archived.source.files)
            typer.echo(f"{archived.digest}  since {archived.since:%Y-%m-%d %H:%M:%S} UTC  {files}")
        if faults:
            exit_with_error("\n".join(faults))
        return
    if not digest:
        require_readable(policy_path(file))
    try:
        source = _archived(digest).source if digest else read_source(policy_path(file))
    except PolicyError as error:
        exit_with_error(str(error), located=True)
    for name, text in source.files:
        if len(source.files) > 1:
            typer.echo(f"# file: {name}")
        typer.echo(text.decode("utf-8", "replace"), nl=False)


def schema() -> None:
    """Print the JSON Schema of policies, for editors."""
    from integrations.base.registry import destination_types
    from policy.authoring.json_schema import policy_json_schema

    echo_json(policy_json_schema(destination_types()))


def reference() -> None:
    """Print the reference of every key of a policy, as Markdown."""
    from integrations.base.registry import destination_types
    from policy.authoring.reference import policy_reference

    typer.echo(policy_reference(destination_types()), nl=False)
