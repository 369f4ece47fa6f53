"""``tocsin arize draft``: a first policy, and its tests, from the tenant's monitors."""

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cli.arize_scope import OrganizationOption, ProjectOption, SpaceOption, plain
from cli.errors import FAILED, UNUSABLE, exit_with_error
from cli.output import echo
from worker.locations import display_path

if TYPE_CHECKING:
    from alerts import Description
    from policy import Policy

POLICY, TESTS = "tocsin.yaml", Path("tests", "arize.yaml")


class _Files(NamedTuple):
    policy: str
    tests: str


def draft(
    folder: Annotated[Path, typer.Argument(help="The folder to write to.")] = Path("policy-draft"),
    organization: OrganizationOption = "",
    space: SpaceOption = None,
    project: ProjectOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
) -> None:
    """Write a policy that covers every monitor of the tenant, and its tests. It is a proposal to edit."""
    places = [folder / POLICY, folder / TESTS]
    existing = [display_path(place.absolute()) for place in places if place.exists()]
    if existing and not force:
        exit_with_error(
            f"{' and '.join(existing)} exist{'s' if len(existing) == 1 else ''}: name another folder, or use --force",
            UNUSABLE,
        )
    descriptions, tenant = asyncio.run(_read(organization, space or [], project or []))
    if not descriptions:
        exit_with_error(f"{tenant} has no monitor that ARIZE_API_KEY may read: there is nothing to draft from")
    files = _drafted(descriptions, tenant, display_path(places[0].absolute()))
    policy = _checked(files)
    for place, text in zip(places, files, strict=True):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    _report(policy, descriptions, [display_path(place.absolute()) for place in places])


async def _read(organization: str, spaces: Sequence[str], projects: Sequence[str]) -> "tuple[list[Description], str]":
    from cli.arize_scope import arize_clients, describe_all, find_scope, read_monitors

    async with arize_clients() as clients:
        scope = await find_scope(clients, organization, spaces, projects)
        tenant = plain(", ".join(one.name for one in scope.organizations))
        return await describe_all(clients, await read_monitors(clients, scope)), tenant


def _drafted(descriptions: "Sequence[Description]", tenant: str, name: str) -> _Files:
    from integrations.base.registry import destination_types
    from monitors.draft import Draft, make_draft
    from monitors.draft_text import cases_text, policy_text
    from policy import PolicySource, parse_policy

    def text_of(found: Draft) -> str:
        return policy_text(found, tenant, len(descriptions), name)

    def parse(text: str) -> "Policy":
        return parse_policy(PolicySource(((POLICY, text.encode()),)), destination_types())

    text = text_of(make_draft(descriptions, text_of, parse))
    return _Files(text, cases_text(descriptions, parse(text), tenant, datetime.now(UTC)))


def _checked(files: _Files) -> "Policy":
    """The policy, after its tests passed in a folder of their own."""
    from integrations.base.registry import destination_types
    from policy import load_policy
    from simulation.test_cases import read_tests
    from simulation.test_runner import run

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, text in zip((POLICY, TESTS.name), files, strict=True):
            (folder / name).write_text(text, encoding="utf-8")
        policy = load_policy(folder / POLICY, destination_types())
        failed = run(read_tests([folder / TESTS.name], policy), policy).failed
    if failed:
        exit_with_error(
            f"the drafted policy fails {failed} of its own tests, which is a fault of Tocsin; nothing was written",
            FAILED,
        )
    return policy


def _report(policy: "Policy", descriptions: "Sequence[Description]", places: Sequence[str]) -> None:
    from integrations.arize.notifications import has_webhook_of_tocsin
    from monitors.coverage import cover, summarize

    now = datetime.now(UTC)
    rows = [cover(policy, one, now, attached=has_webhook_of_tocsin(one.monitor)) for one in descriptions]
    for place in places:
        echo(f"wrote {place}", "green")
    typer.echo(summarize(rows))
    incomplete = [row for row in rows if row.description.missing]
    for row in incomplete[:10]:
        echo(plain(f"  {row.name}: Arize did not answer {'; '.join(row.description.missing)}"), "yellow")
    if len(incomplete) > 10:
        typer.echo(f"  … and {len(incomplete) - 10} more")
    typer.echo(f"Read it, then: tocsin policy check {places[0]} && tocsin policy test --policy {places[0]}")
