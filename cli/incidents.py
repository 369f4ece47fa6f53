"""``tocsin incidents list|show|ack|resolve|annotate``."""

import getpass
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.client import call
from cli.errors import exit_with_error
from cli.groups import command_group
from cli.output import Format, FormatOption, Styled, echo, echo_json, print_fields, print_table

incidents = command_group("List, show, acknowledge, resolve and annotate incidents.")

_TIER_COLOURS = {"critical": "red", "high": "yellow", "low": "cyan"}
_STATE_COLOURS = {
    "notified": "red",
    "acknowledged": "yellow",
    "awaiting_human": "magenta",
    "closed": "bright_black",
    "resolved": "green",
}
_FINGERPRINT_CHARS = 12
Id = Annotated[str, typer.Argument(help="The incident's id, incident-<model>-<fingerprint>, or the start of it.")]
By = Annotated[str, typer.Option(help="Your name; the login name by default.", show_default=False)]
Note = Annotated[str, typer.Option(help="A note for the record.")]


@incidents.command("list")
def list_incidents(
    state: Annotated[
        str,
        typer.Option(help="received, holding, notified, acknowledged, awaiting_human, resolved or closed"),
    ] = "",
    tier: Annotated[str, typer.Option(help="critical, high or low")] = "",
    team: Annotated[str, typer.Option(help="Only this team's.")] = "",
    model: Annotated[str, typer.Option(help="Only this model's.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many, up to 200.", min=1, max=200)] = 50,
    form: FormatOption = Format.text,
) -> None:
    """List incidents, newest first."""
    filters = {"state": state, "tier": tier, "team": team, "model": model, "limit": str(limit)}
    found = call("GET", "/api/incidents", params={key: value for key, value in filters.items() if value})
    if form is Format.json:
        echo_json(found)
    elif not found["incidents"]:
        typer.echo("No incidents.")
    else:
        print_table(("INCIDENT", "TIER", "OPENED (UTC)", "STATE", "HEADLINE"), map(_row, found["incidents"]))


def _row(incident: dict[str, Any]) -> tuple[str | Styled, ...]:
    tier = incident["tier"] or "?"
    return (
        incident["id"],
        Styled(tier, _TIER_COLOURS.get(tier, "")),
        _time(incident["opened_at"]),
        Styled(_state(incident), _STATE_COLOURS.get(incident["state"], "")),
        incident["headline"] or incident["model"],
    )


def _state(incident: dict[str, Any]) -> str:
    """``acknowledged by bob``: the person who caused the present state, and no earlier one."""
    state = incident["state"]
    by = ""
    if state == "acknowledged":
        by = incident["acknowledged_by"]
    elif state in {"resolved", "closed"}:
        by = incident["resolved_by"]
    return state.replace("_", " ") + (f" by {by}" if by else "")


@incidents.command()
def show(incident: Id, form: FormatOption = Format.text) -> None:
    """Show an incident: its state, the reason for it, and its timeline."""
    found = call("GET", f"/api/incidents/{quote(_full_id(incident), safe='')}")
    _print(found, form)


@incidents.command()
def ack(incident: Id, by: By = "", note: Note = "", form: FormatOption = Format.text) -> None:
    """Acknowledge an incident: the escalation stops."""
    _act(incident, "acknowledge", by, note, form)


@incidents.command()
def resolve(incident: Id, by: By = "", note: Note = "", form: FormatOption = Format.text) -> None:
    """Resolve and close an incident. A regulated one needs a token with the required role."""
    _act(incident, "resolve", by, note, form)


@incidents.command()
def annotate(
    incident: Id,
    note: Annotated[str, typer.Argument(help="The note.")],
    by: By = "",
    form: FormatOption = Format.text,
) -> None:
    """Add a note to an incident, its threads and its tickets."""
    _act(incident, "annotate", by, note, form)


def _act(incident: str, action: str, by: str, note: str, form: Format) -> None:
    path = f"/api/incidents/{quote(_full_id(incident), safe='')}/{action}"
    found = call("POST", path, {"by": by or login_name(), "note": note})
    if "timeline" not in found and form is Format.text:  # accepted; the result is not known yet
        typer.echo(f"{found['incident']}: {found['state']}. {found['detail']}")
        return
    _print(found, form)


def login_name() -> str:
    """The name of the user of this machine; empty, which means the token's name, if there is none, as in containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _full_id(incident: str) -> str:
    """The id that starts with the given text. Ends the command if there is none, or more than one."""
    if len(incident.rpartition("-")[2]) == _FINGERPRINT_CHARS:
        return incident
    found = [one["id"] for one in call("GET", "/api/incidents", params={"limit": "200"})["incidents"]]
    matching = sorted({one for one in found if one.startswith((incident, f"incident-{incident}"))})
    if not matching:
        exit_with_error(f"no incident starts with {incident}; `tocsin incidents list` shows the ids")
    if len(matching) > 1:
        exit_with_error(f"{incident} fits {len(matching)} incidents: {', '.join(matching[:5])}; give more of the id")
    return matching[0]


def _print(incident: dict[str, Any], form: Format) -> None:
    if form is Format.json:
        echo_json(incident)
        return
    closed_by = incident["closed_by"]
    decision: dict[str, Any] = incident["decision"] or {}
    alert: dict[str, Any] = incident["alert"] or {}
    echo(incident["headline"] or incident["id"], _TIER_COLOURS.get(incident["tier"] or "", ""), bold=True)
    print_fields(
        [
            ("Incident", incident["id"]),
            ("State", incident["state"].replace("_", " ")),
            ("Next", incident["next_action"]),
            ("Acknowledged by", incident["acknowledged_by"]),
            ("Resolved by", incident["resolved_by"]),
            ("Alerts", str(incident["alert_count"])),
            ("Rule", incident["rule"]),
            ("Reason", str(decision.get("reason", ""))),
            ("Team", incident["team"]),
            ("Closed by", f"a person with the role {closed_by}" if closed_by else ""),
            ("Arize", str(alert.get("url", ""))),
            ("Temporal", incident["temporal_url"]),
        ]
    )
    if incident["timeline"]:
        typer.echo()
        print_table(
            ("TIME (UTC)", "EVENT", "BY", "TEXT"),
            [
                (_time(entry["at"]), entry["event"].replace("_", " "), entry["by"], entry["text"])
                for entry in incident["timeline"]
            ],
        )


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"
