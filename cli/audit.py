"""``tocsin audit verify|show|export``."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.database import database_url, existing_database_url
from cli.errors import exit_with_error
from cli.groups import command_group
from cli.output import Format, FormatOption, echo_json, print_table

if TYPE_CHECKING:
    from audit import AuditLog, AuditRecord

audit = command_group("Verify, show and export the audit log.")


@audit.command()
def verify(
    export: Annotated[
        Path | None, typer.Argument(help="An export to verify, instead of the log itself.", show_default=False)
    ] = None,
    form: FormatOption = Format.text,
) -> None:
    """Verify that no record was edited, deleted or moved. Exit code 1 if one was."""
    from audit import ChainChecker
    from incident.text import counted

    checker = ChainChecker()
    faults = [
        fault for record in (_read(export) if export else _existing_log().read()) for fault in checker.add(record)
    ]
    incidents, last = checker.incidents, checker.last_hash if checker.records else ""
    if form is Format.json:
        found = [fault.model_dump(mode="json") for fault in faults]
        echo_json(
            {
                "intact": not faults,
                "records": checker.records,
                "incidents": incidents,
                "last_hash": last,
                "faults": found,
            }
        )
        raise typer.Exit(1 if faults else 0)
    for fault in faults:
        typer.echo(f"{fault.incident} record {fault.number}: {fault.fault}", err=True)
    checked = f"{counted(checker.records, 'record')} of {counted(incidents, 'incident')}"
    if faults:
        exit_with_error(f"{counted(len(faults), 'fault')} in {checked}")
    typer.echo(f"intact: {checked}, each chained to the one before it; last hash {last or 'none'}")


@audit.command()
def show(incident: Annotated[str, typer.Argument(help="The incident's id.")], form: FormatOption = Format.text) -> None:
    """Show every record of an incident, in order."""
    found = list(_log().read(incident))
    if not found:
        exit_with_error(f"the audit log has no record of {incident}; `tocsin incidents list` shows the ids")
    if form is Format.json:
        echo_json([record.model_dump(mode="json") for record in found])
        return
    print_table(
        ("#", "TIME (UTC)", "EVENT", "BY", "HASH", "TEXT"),
        [
            (
                str(record.number),
                f"{record.at:%Y-%m-%d %H:%M:%S.%f}"[:-3],
                record.event.replace("_", " "),
                record.by,
                record.hash[:12],
                record.text,
            )
            for record in found
        ],
    )


@audit.command()
def export(
    to: Annotated[Path, typer.Argument(help="The file to write: a JSON record a line.")],
    incident: Annotated[str, typer.Option(help="Only this incident's records.")] = "",
) -> None:
    """Write the log, or one incident's records, to a file that `verify` checks anywhere."""
    from incident.text import counted

    count, log = 0, _existing_log()
    with to.open("w", encoding="utf-8") as file:
        for record in log.read(incident):
            file.write(record.model_dump_json() + "\n")
            count += 1
    typer.echo(f"{counted(count, 'record')} in {to}")


def _log() -> "AuditLog":
    from audit import AuditLog

    return AuditLog(database_url())


def _existing_log() -> "AuditLog":
    from audit import AuditLog

    return AuditLog(existing_database_url())


def _read(path: Path) -> Iterator["AuditRecord"]:
    from pydantic import ValidationError

    from audit import AuditRecord

    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield AuditRecord.model_validate_json(line)
            except ValidationError:
                exit_with_error(f"{path}:{number}: not a record of the audit log", located=True)
