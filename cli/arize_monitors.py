"""``tocsin arize plan|apply|import|drift|schema``: Arize's monitors as code."""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.errors import exit_with_error
from cli.output import Format, FormatOption, echo_json, painted
from cli.policy import PolicyOption, load, policy_path
from worker.locations import display_path

if TYPE_CHECKING:
    from cli.arize_drift import Culprits
    from cli.monitor_apply import Outcome
    from integrations.arize.monitor_store import MonitorStore
    from monitors import Declarations, Desired, Plan, Tenant
    from monitors.drift import Drift
    from monitors.export import Export
    from monitors.report import Line
    from policy import Policy, Problem

# A command imports what it needs when it runs.

CHANGES = 2
"""The exit code of ``plan`` and ``drift`` if there are changes, as that of ``terraform plan -detailed-exitcode``."""
MonitorsArgument = Annotated[
    Path | None,
    typer.Argument(help="A file or folder; the folder monitors beside the policy by default.", show_default=False),
]
JsonFlag = Annotated[bool, typer.Option("--json", help="The same as --format json.")]


def plan(
    path: MonitorsArgument = None,
    file: PolicyOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Save the plan to this file, for tocsin arize apply.", show_default=False)
    ] = None,
    form: FormatOption = Format.text,
    as_json: JsonFlag = False,
) -> None:
    """Show what must change so that Arize has the declared monitors. Nothing is changed.

    Exit code 0: nothing; 2: changes; 1: an error, or a conflict that a person must resolve.
    """
    from monitors.report import plan_lines

    policy = load(policy_path(file))
    declarations, place = _load(path, policy, file)
    made = asyncio.run(_plan(declarations, place))
    if form is Format.json or as_json:
        echo_json(made.model_dump(mode="json", exclude={"checksum"}))
    else:
        _print(plan_lines(made))
    if made.conflicts:
        exit_with_error("the plan has conflicts, and is not saved" if out else "the plan has conflicts")
    if out:
        _write(out, made.saved())
    if made.changes:
        raise typer.Exit(CHANGES)


async def _plan(declarations: "Declarations", place: Path) -> "Plan":
    from cli.arize_tenant import connected
    from monitors import make_plan

    async with connected() as arize:
        tenant, desired = await _read(declarations, place, arize.store)
        return make_plan(declarations, desired, tenant, root=arize.name)


async def _read(
    declarations: "Declarations", place: Path, store: "MonitorStore"
) -> "tuple[Tenant, tuple[Desired, ...]]":
    """The tenant, and the states that are asked for in it. Ends the command with every name that it does not know."""
    from cli.arize_tenant import read_tenant
    from monitors import resolve

    named = {one.config.id for one in declarations.monitors if one.config.id}
    tenant = await read_tenant(store, namespace=declarations.namespace, tags_of=named, names_for=declarations)
    resolution = resolve(declarations, tenant)
    if resolution.problems:
        exit_with_error(_lines(resolution.problems, place), located=True)
    return tenant, resolution.desired


def apply(
    saved: Annotated[Path, typer.Argument(metavar="FILE", help="A plan that tocsin arize plan --out saved.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
) -> None:
    """Carry out exactly a saved plan. It stops at the first error, and may be repeated.

    A plan is refused if somebody has changed one of its monitors since.
    """
    from integrations.base.errors import IntegrationError
    from monitors import Plan, PlanError
    from monitors.report import plan_lines, step_lines

    try:
        read = Plan.read(saved.read_text(encoding="utf-8"))
    except PlanError as error:
        exit_with_error(f"{display_path(saved)}: {error}")
    if not read.changes:
        typer.echo("No changes.")
        return
    if not yes:
        _print(plan_lines(read))
        typer.confirm(f"Make these changes at {read.tenant}?", abort=True, err=True)
    from cli.monitor_apply import Outcome

    outcome = Outcome()
    try:
        asyncio.run(_apply(read, outcome))
    except (PlanError, IntegrationError) as error:
        progress = f"{outcome.done} of {len(read.changes)} changes are done"
        again = "" if isinstance(error, PlanError) else "; apply the same file again: what is done is not repeated"
        exit_with_error(f"{error}\n{progress}{again}")
    if outcome.manual:
        typer.echo("By hand, since Arize's API cannot do it:")
        _print(line for step in outcome.manual for line in step_lines(step))
    typer.echo(f"Applied: {outcome.done} of {len(read.changes)} changes.")


async def _apply(read: "Plan", outcome: "Outcome") -> None:
    from cli.arize_tenant import connected
    from cli.monitor_apply import apply_plan
    from monitors import PlanError

    async with connected() as arize:
        if arize.name != read.tenant:
            raise PlanError(f"the plan was made for {read.tenant}, and the settings name {arize.name}")
        await apply_plan(read, arize, typer.echo, outcome)


def import_monitors(
    out: Annotated[
        Path | None, typer.Option(help="Write to this file; to standard output by default.", show_default=False)
    ] = None,
    project: Annotated[
        list[str] | None,
        typer.Option(help="Only monitors of this project, by name or id; may be repeated.", show_default=False),
    ] = None,
    namespace: Annotated[str, typer.Option(help="The namespace of the file.")] = "",
    file: PolicyOption = None,
) -> None:
    """Write declarations of monitors that exist in Arize. Planned again, they change nothing.

    A monitor without Tocsin's mark is bound by its id; the first change writes the mark.
    """
    policy = load(policy_path(file))
    if out and out.exists():
        exit_with_error(f"{display_path(out)} exists, and is not overwritten")
    found = asyncio.run(_export(policy, namespace, project or []))
    for reason in found.left_out:
        typer.echo(f"left out: {reason}", err=True)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        _write(out, found.text)
        typer.echo(f"{found.size} monitors in {display_path(out)}", err=True)
    else:
        typer.echo(found.text, nl=False)


async def _export(policy: "Policy", namespace: str, projects: Iterable[str]) -> "Export":
    from cli.arize_tenant import connected, read_tenant
    from monitors.export import export

    async with connected() as arize:
        tenant = await read_tenant(arize.store, namespace=namespace, tags_of=None)
        return export(tenant, policy, namespace, frozenset(projects))


def drift(
    path: MonitorsArgument = None,
    file: PolicyOption = None,
    form: FormatOption = Format.text,
    as_json: JsonFlag = False,
) -> None:
    """Report what somebody changed by hand, with who and when from Arize's audit log.

    Exit code 0: nothing; 2: something; 1: an error.
    """
    from cli.arize_drift import drift_lines

    declarations, place = _load(path, load(policy_path(file)), file)
    drifts, culprits = asyncio.run(_drift(declarations, place))
    if form is Format.json or as_json:
        echo_json([
            {**asdict(one), "differences": [each._asdict() for each in one.differences]}
            | {"changes": [each._asdict() for each in culprits.changes.get(one.key, ())]}
            for one in drifts
        ])  # fmt: skip
        if culprits.unknown:
            typer.echo(culprits.unknown, err=True)
    else:
        _print(drift_lines(drifts, culprits))
    if drifts:
        raise typer.Exit(CHANGES)


async def _drift(declarations: "Declarations", place: Path) -> "tuple[list[Drift], Culprits]":
    from cli.arize_drift import find_changes
    from cli.arize_tenant import connected
    from monitors.drift import find_drift

    async with connected() as arize:
        tenant, desired = await _read(declarations, place, arize.store)
        drifts = find_drift(declarations, desired, tenant)
        return drifts, await find_changes(drifts, arize.store, declarations.namespace)


def schema() -> None:
    """Print the JSON Schema of monitors files, for editors."""
    from monitors.json_schema import monitors_json_schema

    echo_json(monitors_json_schema())


def _load(path: Path | None, policy: "Policy", file: Path | None) -> "tuple[Declarations, Path]":
    """The declarations and their place. Ends the command with every problem."""
    from monitors import MonitorsError, load_monitors

    policy_file = policy_path(file)
    place = (path or (policy_file if policy_file.is_dir() else policy_file.parent) / "monitors").absolute()
    if not place.exists():
        exit_with_error(f"there are no declarations of monitors: {display_path(place)} does not exist")
    try:
        return load_monitors(place, policy), place
    except MonitorsError as error:
        exit_with_error(_lines(error.problems, place), located=True)


def _lines(problems: "Iterable[Problem]", place: Path) -> str:
    """The problems, with files named relative to the working directory."""
    folder = place if place.is_dir() else place.parent
    placed = (replace(problem, file=display_path(folder / Path(problem.file).name)) for problem in problems)
    return "\n".join(map(str, placed))


def _print(lines: "Iterable[Line]") -> None:
    """Print lines as they are: an id or an address is never broken."""
    for line in lines:
        typer.echo(painted(line.text, line.colour))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        exit_with_error(f"{display_path(file)}: {error.strerror}")
