"""``tocsin changes``: what was deployed, configured or switched lately."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from cli.client import call
from cli.errors import exit_with_error
from cli.output import Format, FormatOption, echo_json, print_table


def changes(
    model: Annotated[str, typer.Option(help="Changes that may concern this model.")] = "",
    environment: Annotated[str, typer.Option(help="Changes that may concern this environment.")] = "",
    since: Annotated[str, typer.Option(help="A time, or how long ago: 24h, 7d.")] = "24h",
    until: Annotated[str, typer.Option(help="The same.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many, up to 500.", min=1, max=500)] = 100,
    form: FormatOption = Format.text,
) -> None:
    """List the changes that were reported to /webhooks/changes, and those of Arize, newest first."""
    filters = {"model": model, "environment": environment, "since": _moment(since), "until": _moment(until)}
    wanted = {key: value for key, value in {**filters, "limit": str(limit)}.items() if value}
    found = call("GET", "/api/changes", params=wanted)
    if form is Format.json:
        echo_json(found)
    elif not found["changes"]:
        typer.echo("No changes.")
    else:
        print_table(("AT (UTC)", "KIND", "ENVIRONMENT", "MODELS", "BY", "CHANGE"), map(_row, found["changes"]))


def _row(change: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{datetime.fromisoformat(change['at']):%Y-%m-%d %H:%M:%S}",
        change["kind"],
        change["environment"] or "all",
        ", ".join(change["models"] or change["services"]) or "all",
        change["by"],
        "  ".join(part for part in (change["title"], change["link"]) if part),
    )


def _moment(text: str) -> str:
    """A time in ISO 8601, from one, or from how long ago it was. Ends the command if it is neither."""
    if not text:
        return ""
    from policy.durations import parse_duration

    try:
        return (datetime.now(UTC) - timedelta(seconds=parse_duration(text))).isoformat()
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        exit_with_error(f"{text!r} is neither a time such as 2026-01-31T12:00 nor a duration such as 24h")
