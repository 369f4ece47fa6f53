"""``tocsin audit verify|show|export``."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TextIO

import typer

from cli.database import database_url, existing_database_url
from cli.errors import FAILED, UNUSABLE, exit_with_error
from cli.groups import command_group
from cli.output import Format, FormatOption, echo, echo_json, print_table

if TYPE_CHECKING:
    from audit import AuditLog, AuditRecord, Verification

audit = command_group("Verify, show and export the audit log.")


@audit.command()
def verify(
    export: Annotated[
        Path | None,
        typer.Argument(
            help="An export to verify, instead of the log itself; - for standard input.", show_default=False
        ),
    ] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            help="A hash that you kept: the last one of an earlier verification. May be repeated.", show_default=False
        ),
    ] = None,
    form: FormatOption = Format.text,
) -> None:
    """Verify that no record was edited, deleted or moved, and no archived policy edited. Exit code 1 if one was.

    The chain has no key. Keep the last hash where nobody who can write the log can change it, and give it as --expect:
    the records up to it are then proved.
    """
    from audit import verify as verify_records

    expected = [_hash(text) for text in expect or ()]
    found = verify_records(_read(export) if export else _existing_log().read(), export=bool(export), expected=expected)
    if export and not found.records:
        exit_with_error(f"{export} holds no record of the audit log: it is empty, or was cut off", FAILED)
    policies = None if export else _verified_policies()
    intact = found.intact and not (policies and policies.faults)
    if form is Format.json:
        echo_json(_json(found, policies, expected, intact=intact))
    else:
        _print_verification(found, policies, expected)
    raise typer.Exit(0 if intact else 1)


class _Policies(NamedTuple):
    """The archived policies: how many there are, and which were edited."""

    number: int
    faults: list[str]


def _verified_policies() -> _Policies:
    from audit import PolicyArchive

    archived = PolicyArchive(database_url()).all()
    return _Policies(len(archived), [one.fault for one in archived if one.fault])


def _hash(text: str) -> str:
    """A whole hash: the first digits of one could be found again by computing."""
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text.strip()):
        exit_with_error(f"--expect {text}: a hash has 64 hexadecimal digits; `tocsin audit verify` prints it", UNUSABLE)
    return text.strip().lower()


def _json(found: "Verification", policies: _Policies | None, expected: list[str], *, intact: bool) -> dict[str, Any]:
    from audit import NOT_SHOWN

    return {
        "intact": intact,
        "records": found.records,
        "incidents": found.incidents,
        "last_hash": found.last_hash,
        "faults": [fault.model_dump(mode="json") for fault in found.faults],
        "scope": found.scope,
        "expected": expected,
        "missing": list(found.missing),
        "policies": policies and {"number": policies.number, "faults": policies.faults},
        "not_shown": list(NOT_SHOWN),
    }


def _print_verification(found: "Verification", policies: _Policies | None, expected: list[str]) -> None:
    from audit import NOT_SHOWN
    from incident.text import counted

    for fault in found.faults:
        typer.echo(f"{fault.incident} record {fault.number}: {fault.fault}", err=True)
    for missing in found.missing:
        typer.echo(f"no record has the hash {missing}: records up to it were edited, or are cut off", err=True)
    for fault in policies.faults if policies else ():
        typer.echo(fault, err=True)
    checked = f"{counted(found.records, 'record')} of {counted(found.incidents, 'incident')}"
    faults = len(found.faults) + len(found.missing) + len(policies.faults if policies else ())
    if faults:
        exit_with_error(f"{counted(faults, 'fault')} in {checked}")
    within = "before it in its incident" if found.scope == "incident" else "before it"
    typer.echo(f"intact: {checked}, each chained to the one {within}; last hash {found.last_hash or 'none'}")
    if found.scope == "incident":
        echo("This is one incident's part of a log: it does not show whether the log has other records.")
    if policies and policies.number:
        number = counted(policies.number, "archived policy matches its digest", "archived policies match their digests")
        echo(f"{number}.")
    if expected:
        number = counted(len(expected), "expected hash is", "expected hashes are")
        echo(f"{number} in it: the records that it is chained to are the ones that were written.")
    if found.records and found.last_hash not in expected:
        since = "Of later records, a" if expected else "A"
        echo(f"{since} chain without a key cannot show {'; '.join(NOT_SHOWN[:-1])}; or {NOT_SHOWN[-1]}.")
        echo("Keep the last hash where nobody who can write the log can change it, and verify with --expect HASH.")


@audit.command()
def show(
    incident: Annotated[str, typer.Argument(help="The incident's id, or the beginning of it.")],
    form: FormatOption = Format.text,
) -> None:
    """Show every record of an incident, in order: a table for each time that it was opened."""
    log = _log()
    found = list(log.read(_full_id(log, incident)))
    if form is Format.json:
        echo_json([record.model_dump(mode="json") for record in found])
        return
    openings: dict[str, list[AuditRecord]] = {}
    for record in found:
        openings.setdefault(record.first_run_id, []).append(record)
    for number, (run, records) in enumerate(openings.items(), 1):
        if len(openings) > 1:
            typer.echo(f"{'' if number == 1 else chr(10)}Opening {number} of {len(openings)}, run {run}:")
        _print_records(records)


def _print_records(records: "list[AuditRecord]") -> None:
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
            for record in records
        ],
    )


@audit.command()
def export(
    to: Annotated[Path, typer.Argument(help="The file to write: a JSON record a line.")],
    incident: Annotated[
        str, typer.Option(help="Only this incident's records: its id, or the beginning of it.", show_default=False)
    ] = "",
) -> None:
    """Write the log, or one incident's records, to a file that `verify` checks anywhere."""
    from incident.text import counted

    count, log = 0, _existing_log()
    incident = _full_id(log, incident) if incident else ""
    with to.open("w", encoding="utf-8") as file:
        for record in log.read(incident):
            file.write(record.model_dump_json() + "\n")
            count += 1
    typer.echo(f"{counted(count, 'record')} in {to}")


def _full_id(log: "AuditLog", incident: str) -> str:
    """The only id that a text is, or begins. Ends the command if there is none, or more than one."""
    found = log.incidents(incident) or log.incidents(f"incident-{incident}")
    if not found:
        exit_with_error(f"the audit log has no record of {incident}; `tocsin incidents list` shows the ids")
    if incident in found:
        return incident
    if len(found) > 1:
        lines = [f"  {one}" for one in found[:10]]
        more = [f"  and {len(found) - 10} more"] if len(found) > 10 else []
        exit_with_error("\n".join([f"{incident} begins {len(found)} ids; give one of them:", *lines, *more]))
    return found[0]


def _log() -> "AuditLog":
    from audit import AuditLog

    return AuditLog(database_url())


def _existing_log() -> "AuditLog":
    from audit import AuditLog

    return AuditLog(existing_database_url())


def _read(path: Path) -> Iterator["AuditRecord"]:
    from pydantic import ValidationError

    from audit import AuditRecord

    source = sys.stdin if str(path) == "-" else path.open(encoding="utf-8-sig")
    with source as file:
        for number, line in enumerate(_lines(file, path), 1):
            try:
                yield AuditRecord.model_validate_json(line)
            except ValidationError:
                exit_with_error(f"{path}:{number}: not a record of the audit log", located=True)


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """The lines. Ends the command if the file is not text."""
    try:
        yield from file
    except UnicodeDecodeError as error:
        exit_with_error(
            f"{path} is not an export: it is not UTF-8 text ({error.reason} at byte {error.start})", UNUSABLE
        )
