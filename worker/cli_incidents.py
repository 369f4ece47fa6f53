"""``tocsin incidents list|show|ack|resolve|annotate``."""

import getpass
import json
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from worker.cli_client import call

incidents = typer.Typer(help="Read incidents, and act on them.", no_args_is_help=True)

_TIER = {"critical": "bold red", "high": "yellow", "low": "cyan"}
_STATE = {
    "notified": "red",
    "acknowledged": "yellow",
    "awaiting_human": "magenta",
    "closed": "dim",
    "resolved": "green",
}
Id = Annotated[str, typer.Argument(help="incident-<model>-<fingerprint>, or its beginning.")]
By = Annotated[str, typer.Option(help="Who acts; you, where it is left out.")]
Note = Annotated[str, typer.Option(help="A line for the record.")]
Json = Annotated[bool, typer.Option("--json", help="As the API gives it.")]


@incidents.command("list")
def list_(
    state: Annotated[str, typer.Option(help="received, holding, notified, acknowledged, awaiting_human, closed")] = "",
    tier: Annotated[str, typer.Option(help="critical, high, low")] = "",
    team: str = "",
    model: str = "",
    limit: int = 50,
    as_json: Json = False,
) -> None:
    """The incidents, newest first."""
    asked = {"state": state, "tier": tier, "team": team, "model": model, "limit": str(limit)}
    found = call("GET", "/api/incidents", params={key: value for key, value in asked.items() if value})
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    table = Table(box=None, pad_edge=False)
    for column in ("opened (UTC)", "tier", "state"):
        table.add_column(column, no_wrap=True)
    longest = max((len(one["id"]) for one in found["incidents"]), default=0)
    table.add_column("incident", overflow="fold", min_width=longest)  # an id is to be copied whole
    for one in found["incidents"]:
        table.add_row(
            _time(one["opened_at"]),
            Text(one["tier"] or "?", style=_TIER.get(one["tier"] or "", "")),
            Text.assemble(
                (one["state"].replace("_", " "), _STATE.get(one["state"], "")),
                f"\nby {one['acknowledged_by']}" if one["acknowledged_by"] else "",
            ),
            Text.assemble(one["headline"] or one["model"], "\n", (one["id"], "dim")),
        )
    Console().print(table if found["incidents"] else "No incidents.")


@incidents.command()
def show(incident: Id, as_json: Json = False) -> None:
    """One incident: where it stands, why, and all that happened."""
    one = call("GET", f"/api/incidents/{_whole(incident)}")
    if as_json:
        typer.echo(json.dumps(one, indent=2))
        return
    _print(one)


@incidents.command()
def ack(incident: Id, by: By = "", note: Note = "") -> None:
    """Acknowledge: somebody is on it, the escalation stops."""
    _act(incident, "acknowledge", by, note)


@incidents.command()
def resolve(incident: Id, by: By = "", note: Note = "") -> None:
    """Resolve and close. A regulated one needs a token with its role."""
    _act(incident, "resolve", by, note)


@incidents.command()
def annotate(incident: Id, note: Annotated[str, typer.Argument(help="The note.")], by: By = "") -> None:
    """Add a note; it goes to the incident's threads and tickets."""
    _act(incident, "annotate", by, note)


def _act(incident: str, verb: str, by: str, note: str) -> None:
    body = {"by": by or getpass.getuser(), "note": note}
    one = call("POST", f"/api/incidents/{_whole(incident)}/{verb}", body)
    if "timeline" not in one:  # taken, and nobody can show yet what comes of it
        typer.echo(f"{one['incident']}: {one['state']}. {one['detail']}")
        return
    _print(one)


def _whole(incident: str) -> str:
    """A beginning as the one id that it is the beginning of."""
    if len(incident.rpartition("-")[2]) == 12:
        return incident
    found = [one["id"] for one in call("GET", "/api/incidents", params={"limit": "200"})["incidents"]]
    fitting = sorted(
        {one for one in found if one.startswith(incident) or one.removeprefix("incident-").startswith(incident)}
    )
    if len(fitting) != 1:
        typer.echo(
            f"{incident} fits {len(fitting)} incidents{': ' + ', '.join(fitting[:5]) if fitting else ''}",
            err=True,
        )
        raise typer.Exit(1)
    return fitting[0]


def _map(value: Any) -> dict[str, Any]:
    return value or {}


def _print(one: dict[str, Any]) -> None:
    console = Console()
    facts = Table.grid(padding=(0, 2))
    rows: dict[str, str] = {
        "State": one["state"].replace("_", " "),
        "Next": one["awaiting"],
        "Acknowledged by": one["acknowledged_by"],
        "Resolved by": one["resolved_by"],
        "Alerts": str(one["alerts"]),
        "Rule": one["rule"],
        "Why": str(_map(one["decision"]).get("why", "")),
        "Team": one["team"],
        "Closed by": f"a person with the role {one['closed_by']}" if one["closed_by"] else "",
        "Arize": str(_map(one["alert"]).get("url", "")),
        "Temporal": one["temporal_url"],
    }
    for label, value in rows.items():
        if value:
            facts.add_row(Text(label, style="dim"), Text(value))
    console.print(Panel(facts, title=Text(one["headline"] or one["id"]), border_style=_TIER.get(one["tier"] or "", "")))
    timeline = Table(box=None, pad_edge=False)
    for column in ("when (UTC)", "what", "by", ""):
        timeline.add_column(column, overflow="fold")
    for entry in one["timeline"]:
        timeline.add_row(_time(entry["at"]), entry["what"].replace("_", " "), Text(entry["by"]), Text(entry["text"]))
    console.print(timeline)


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%m-%d %H:%M:%S}"
