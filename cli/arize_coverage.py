"""``tocsin arize coverage``: what the policy would decide about every monitor of the tenant."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arize_scope import OrganizationOption, ProjectOption, SpaceOption, plain
from cli.errors import FAILED, UNUSABLE, exit_with_error
from cli.output import Cell, Format, FormatOption, Styled, echo, echo_json, print_fields, print_table
from cli.policy import PolicyOption, load, policy_path
from worker.locations import display_path

if TYPE_CHECKING:
    from monitors.coverage import Coverage, Gap
    from policy import Policy

_COLOURS = {"critical": "red", "high": "yellow", "low": "blue"}
_FAIL_ON = (
    "Exit with 1 if a monitor has one of these gaps: unmapped, undescribed, unnotified, never-evaluated, disabled."
)


def coverage(
    organization: OrganizationOption = "",
    space: SpaceOption = None,
    project: ProjectOption = None,
    file: PolicyOption = None,
    fail_on: Annotated[
        list[str] | None, typer.Option(help=f"{_FAIL_ON} Separated by commas.", show_default=False)
    ] = None,
    form: FormatOption = Format.text,
) -> None:
    """Show what the policy decides about every monitor, as if it triggered now just beyond its threshold.

    A monitor with a range is tried on both sides, and shown with the louder decision.
    """
    failing = _gaps(fail_on or [])
    path = policy_path(file)
    policy = load(path)
    rows = asyncio.run(read_coverage(policy, organization, space or [], project or []))
    if form is Format.json:
        echo_json(_json(rows, policy, display_path(path)))
    else:
        _print(rows, policy, display_path(path))
    if any(gap in failing for row in rows for gap in row.gaps):
        raise typer.Exit(FAILED)


async def read_coverage(
    policy: "Policy", organization: str, spaces: Sequence[str], projects: Sequence[str]
) -> "list[Coverage]":
    """The coverage of each monitor of the scope, the loudest first."""
    from cli.arize_scope import arize_clients, describe_all, find_scope, read_monitors
    from integrations.arize.notifications import has_webhook_of_tocsin
    from monitors.coverage import cover
    from policy.decision import TIERS

    async with arize_clients() as clients:
        scope = await find_scope(clients, organization, spaces, projects)
        descriptions = await describe_all(clients, await read_monitors(clients, scope))
    now = datetime.now(UTC)
    rows = [cover(policy, one, now, attached=has_webhook_of_tocsin(one.monitor)) for one in descriptions]
    return sorted(rows, key=lambda row: (-TIERS.index(row.tier), row.alert.model.casefold(), row.name.casefold()))


def _gaps(stated: Sequence[str]) -> "frozenset[Gap]":
    from monitors.coverage import Gap

    names = [name.strip() for text in stated for name in text.split(",") if name.strip()]
    for name in names:
        if name not in {one.value for one in Gap}:
            known = ", ".join(one.value for one in Gap)
            exit_with_error(f"--fail-on: there is no gap {name!r}; the gaps are {known}", UNUSABLE)
    return frozenset(Gap(name) for name in names)


def _print(rows: "Sequence[Coverage]", policy: "Policy", place: str) -> None:
    from monitors.coverage import summarize

    if rows:
        print_table(("TIER", "RULE", "NOTIFIES", "GAPS", "MEASURES", "MODEL", "MONITOR"), _table(rows))
        typer.echo()
    grouped: dict[str, list[str]] = {}
    for row in rows:
        for text in (*row.hints, *_steps(row)):
            grouped.setdefault(plain(text), []).append(plain(f"{row.name} ({row.alert.model or 'no model'})"))
    for text, names in grouped.items():
        echo(f"{text[:1].upper()}{text[1:]}:", bold=True)
        print_fields([("  ", ", ".join(names))])
    if grouped:
        typer.echo()
    from policy import short_digest

    typer.echo(f"{summarize(rows)} ({place}, {short_digest(policy.digest)})")


def _steps(row: "Coverage") -> list[str]:
    """What a person can do about the gaps that the hints do not explain."""
    from monitors.coverage import Gap

    texts = {
        Gap.UNNOTIFIED: "notifies no webhook of Tocsin; `tocsin arize connect` shows the clicks that attach one",
        Gap.NEVER_EVALUATED: "Arize has never evaluated it; check its schedule, and that its project receives data",
        Gap.DISABLED: "its notifications are switched off in Arize",
    }
    return [text for gap, text in texts.items() if gap in row.gaps]


def _table(rows: "Sequence[Coverage]") -> list[tuple[Cell, ...]]:
    return [
        (
            Styled(row.tier, _COLOURS[row.tier]),
            row.decision.rule,
            _shortened(row.notified),
            Styled(", ".join(row.gaps) or "-", "red" if row.gaps else ""),
            plain(row.alert.metric or "unknown"),
            plain(_model(row)),
            plain(row.name),
        )
        for row in rows
    ]


def _shortened(names: Sequence[str]) -> str:
    """The first to be notified, and how many others there are; JSON has all."""
    return f"{names[0]} +{len(names) - 1}" if len(names) > 1 else names[0] if names else "nobody"


def _model(row: "Coverage") -> str:
    model = row.alert.model or row.alert.project_id or "unknown"
    return model if row.alert.environment == "production" else f"{model} ({row.alert.environment})"


def _json(rows: "Sequence[Coverage]", policy: "Policy", place: str) -> dict[str, Any]:
    from monitors.coverage import Gap, cadence

    return {
        "policy": place,
        "digest": policy.digest,
        "monitors": [
            {
                "id": row.description.monitor_id,
                "name": row.name,
                "url": row.url,
                "type": row.description.monitor.get("type"),
                "project": row.description.project,
                "model": row.alert.model,
                "environment": row.alert.environment,
                "metric": row.alert.metric,
                "kind": row.alert.kind,
                "unit": row.alert.unit,
                "threshold": row.alert.threshold,
                "value": row.alert.value,
                "side": row.side,
                "cadence_seconds": cadence(row.alert)[0],
                "rule": row.decision.rule,
                "tier": row.tier,
                "reason": row.decision.reason,
                "hold_seconds": row.decision.hold,
                "regulated": row.decision.regulated,
                "notified": list(row.notified),
                "gaps": [gap.value for gap in row.gaps],
                "hints": list(row.hints),
            }
            for row in rows
        ],
        "gaps": {gap.value: sum(gap in row.gaps for row in rows) for gap in Gap},
    }
