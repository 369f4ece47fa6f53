"""``tocsin silences add|list|preview|expire``."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.client import call
from cli.errors import UNUSABLE, exit_with_error
from cli.groups import command_group
from cli.output import Format, FormatOption, echo_json, print_fields, print_table

silences = command_group("Add, list, preview and expire silences.")

Matcher = Annotated[
    str,
    typer.Argument(
        help="A condition in CEL, as a rule of the policy has it: 'alert.model == \"support-chatbot\"'. An alert that "
        "lacks a field which it names is not silenced.",
        show_default=False,
    ),
]
Fields = Annotated[
    list[str] | None,
    typer.Option("--field", help="The value of a field, such as alert.model=support-chatbot; repeatable."),
]


@silences.command()
def add(
    matcher: Matcher = "",
    *,
    field: Fields = None,
    reason: Annotated[str, typer.Option(help="Why; everybody sees it.")],
    duration: Annotated[str, typer.Option("--for", help="How long, such as 2h.")],
    start: Annotated[str, typer.Option(help="When it begins, in ISO 8601 with a time zone; by default, now.")] = "",
    by: Annotated[str, typer.Option(help="A name to show beside the owner of your token, who acts.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the second yes.")] = False,
    form: FormatOption = Format.text,
) -> None:
    """Silence what a matcher matches, for a time. What matches much, or is critical, is asked for again."""
    wanted = _matcher(matcher, field)
    body = {**wanted, "reason": reason, "duration": duration, "by": by, "source": "cli"}
    if start:
        body["starts_at"] = start
    preview = call("POST", "/api/silences/preview", wanted)
    if preview["confirmations"]:
        if form is Format.text:
            _print_preview(preview)
        if not yes and not typer.confirm("Silence this?", err=True):
            exit_with_error("nothing is silenced")
        body["confirm"] = preview["open_incidents"] + preview["alerts"]
    created = call("POST", "/api/silences", body)
    if form is Format.json:
        echo_json(created)
        return
    silence = created["silence"]
    state = "in force" if created["in_force"] else "accepted; a worker will store it"
    typer.echo(f"{silence['id']}: {state}, until {_time(silence['ends_at'])} UTC")


@silences.command("list")
def list_silences(
    ended: Annotated[bool, typer.Option("--all", help="Also those that ended in the last 90 days.")] = False,
    form: FormatOption = Format.text,
) -> None:
    """List the silences that are active or begin later."""
    found = call("GET", "/api/silences", params={"ended": "true"} if ended else None)
    if form is Format.json:
        echo_json(found)
    elif not found["silences"]:
        typer.echo("No silences.")
    else:
        print_table(("SILENCE", "BEGINS (UTC)", "ENDS (UTC)", "BY", "MATCHER", "REASON"), map(_row, found["silences"]))


@silences.command()
def preview(matcher: Matcher = "", *, field: Fields = None, form: FormatOption = Format.text) -> None:
    """Count what a matcher matches: open incidents, and alerts of the last seven days."""
    found = call("POST", "/api/silences/preview", _matcher(matcher, field))
    if form is Format.json:
        echo_json(found)
    else:
        _print_preview(found)


@silences.command()
def expire(silence: Annotated[str, typer.Argument(help="The silence's id.")], form: FormatOption = Format.text) -> None:
    """End a silence now: what is still triggered is notified."""
    found = call("POST", f"/api/silences/{quote(silence, safe='')}/expire")
    if form is Format.json:
        echo_json(found)
    else:
        typer.echo(f"{found['id']}: expired by {found['ended_by']}")


def _matcher(matcher: str, fields: list[str] | None) -> dict[str, Any]:
    stated: dict[str, str] = {}
    for one in fields or []:
        name, sign, value = one.partition("=")
        if not sign or not name.strip():
            exit_with_error(f"--field {one}: a field and its value are needed, such as alert.model=chatbot", UNUSABLE)
        stated[name.strip()] = value
    if not matcher.strip() and not stated:
        exit_with_error("state a condition, or --field NAME=VALUE", UNUSABLE)
    return {"matcher": matcher, "fields": stated}


def _print_preview(found: dict[str, Any]) -> None:
    print_fields(
        [
            ("matcher", found["matcher"]),
            ("open incidents", str(found["open_incidents"])),
            ("alerts, 7 days", f"{found['alerts']}, of {found['monitors']} monitors"),
            ("critical rules", ", ".join(found["critical_rules"])),
            ("monitors", "; ".join(found["examples"])),
            ("not counted", found["uncounted"]),
            ("second yes", "; ".join(found["confirmations"])),
        ]
    )


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    end = one["ended_at"] or one["ends_at"]
    return (one["id"], _time(one["starts_at"]), _time(end), one["by"], one["matcher"], one["reason"])


def _time(stated: str) -> str:
    return stated[:19].replace("T", " ")
