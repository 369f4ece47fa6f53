"""``tocsin audit verify|show|export``."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from audit import AuditLog, Record, check
from worker.cli_database import database_needed
from worker.settings import read_settings

audit = typer.Typer(help="Read the audit log, and check that it is whole.", no_args_is_help=True)


def _log() -> AuditLog:
    return AuditLog(read_settings(os.environ).database_url)


@audit.command()
@database_needed()
def verify(
    export: Annotated[
        Path | None, typer.Argument(help="An export to check; the log itself where it is left out.")
    ] = None,
) -> None:
    """Check every record against the one before it. Exit code 1 where something was edited, deleted or moved."""
    records = list(_read(export)) if export else list(_log().read())
    findings = check(records)
    for finding in findings:
        typer.echo(f"{finding.incident} record {finding.number}: {finding.fault}", err=True)
    incidents = len({(record.incident, record.opening) for record in records})
    if findings:
        typer.echo(f"{len(findings)} faults in {len(records)} records of {incidents} incidents", err=True)
        raise typer.Exit(1)
    last = records[-1].hash if records else "none"
    typer.echo(
        f"whole: {len(records)} records of {incidents} incidents, each bound to the one before it; last hash {last}"
    )


@audit.command()
@database_needed()
def show(incident: Annotated[str, typer.Argument(help="The incident's id.")]) -> None:
    """All that is recorded of an incident, in order."""
    table = Table(box=None, pad_edge=False)
    for column in ("", "when (UTC)", "what", "by", "", "hash"):
        table.add_column(column, overflow="fold")
    found = list(_log().read(incident))
    for record in found:
        table.add_row(
            str(record.number),
            f"{record.at:%Y-%m-%d %H:%M:%S.%f}"[:-3],
            record.what.replace("_", " "),
            Text(record.by),
            Text(record.text),
            Text(record.hash[:12], style="dim"),
        )
    if not found:
        typer.echo(f"nothing is recorded of {incident}", err=True)
        raise typer.Exit(1)
    Console().print(table)


@audit.command()
@database_needed()
def export(to: Annotated[Path, typer.Argument(help="A file, a JSON record a line.")], incident: str = "") -> None:
    """Write the log, or one incident of it, to a file that `verify` checks anywhere."""
    count = 0
    with to.open("w", encoding="utf-8") as file:
        for record in _log().read(incident):
            file.write(record.model_dump_json() + "\n")
            count += 1
    typer.echo(f"{count} records in {to}")


def _read(path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield Record.model_validate_json(line)
            except ValidationError:
                typer.echo(f"{path}:{number}: not a record", err=True)
                raise typer.Exit(1) from None
