"""``tocsin drill RULE``: a full fire drill through the real pipeline."""

import getpass
import time
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from worker.cli_client import call

_LOOK_EVERY = 0.5  # seconds


def drill(
    rule: Annotated[str, typer.Argument(help="A rule of the policy in force: what it would tell, is told.")],
    model: Annotated[str, typer.Option(help="A model of the catalogue: its team, runbook and owner.")] = "",
    environment: Annotated[str, typer.Option(help="Where it is said to burn.")] = "production",
    by: Annotated[str, typer.Option(help="Who drills; you, where it is left out.")] = "",
    wait: Annotated[float, typer.Option(help="Minutes to wait for an acknowledgement.")] = 60.0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before people are paged.")] = False,
) -> None:
    """Set off the rule as if its fire were real, marked as a drill everywhere, and counted nowhere.

    Shows what happens as it happens: who was told and when, until somebody acknowledges; then it is over. Ends with 1
    where nobody did in time, or somebody could not be told.
    """
    if not yes:
        typer.confirm(f"This does all that {rule} does: it may page people. Go on?", abort=True)
    who = by or getpass.getuser()
    begun = call("POST", "/api/drills", {"rule": rule, "model": model, "environment": environment, "by": who})
    incident = begun["incident"]
    console = Console()
    console.print(Text(f"Drill {incident}", style="bold"))
    one, missed = _watch(console, incident, time.monotonic() + wait * 60)
    acknowledged = bool(one["acknowledged_by"]) or one["state"] in {"resolved", "closed"}
    if one["state"] not in {"resolved", "closed"}:
        if not acknowledged:
            console.print(Text(f"Nobody acknowledged within {wait:g} min.", style="bold red"))
        if one["regulated"]:
            text = f"A model that is regulated: a person with the role {one['closed_by']} closes it."
            console.print(Text(text, style="yellow"))
        else:
            call("POST", f"/api/incidents/{incident}/resolve", {"by": who, "note": "the drill is over"})
            console.print(Text("The drill is over, and everybody was told so.", style="green"))
    if missed:
        console.print(Text("Not everybody could be told: see above.", style="bold red"))
    if missed or not acknowledged:
        raise typer.Exit(1)


def _watch(console: Console, incident: str, end: float) -> tuple[dict[str, Any], bool]:
    """Show the timeline as it grows, until there is an answer. Whether a message was not delivered, too."""
    shown, missed = 0, False
    one: dict[str, Any] = {}
    while True:
        one = call("GET", f"/api/incidents/{incident}")
        for entry in one["timeline"][shown:]:
            missed |= entry["what"] == "not_delivered"
            style = "red" if entry["what"] == "not_delivered" else "green" if entry["what"] == "acknowledged" else ""
            what = entry["what"].replace("_", " ")
            line = f"{datetime.fromisoformat(entry['at']):%H:%M:%S}  {what:<16}  {entry['text']}"
            console.print(Text(line, style=style), soft_wrap=True)
        shown = len(one["timeline"])
        if one["acknowledged_by"] or one["state"] in {"resolved", "closed"} or time.monotonic() > end:
            return one, missed
        if one["decision"] and not one["decision"]["steps"] and one["state"] == "notified":
            return {**one, "acknowledged_by": "nobody needs to"}, missed  # a digest or a ticket waits for no answer
        time.sleep(_LOOK_EVERY)
