"""``tocsin drill RULE``: a fire drill through the real pipeline."""

import time
from datetime import datetime
from typing import Annotated, Any, NamedTuple

import typer

from cli.client import call
from cli.errors import exit_with_error
from cli.incidents import By
from cli.output import echo

_POLL_INTERVAL = 0.5  # seconds
_ENDED = frozenset({"resolved", "closed"})


class _Outcome(NamedTuple):
    incident: dict[str, Any]
    answered: bool
    """Acknowledged or ended, or nothing in it waits for an acknowledgement."""
    undelivered: bool
    """A notification failed."""


def drill(
    rule: Annotated[str, typer.Argument(help="A rule of the policy in force. It notifies what it names.")],
    model: Annotated[str, typer.Option(help="A model of the policy, with its team, runbook and owner.")] = "",
    environment: Annotated[str, typer.Option(help="The environment of the simulated alert.")] = "production",
    by: By = "",
    wait: Annotated[float, typer.Option(help="Minutes to wait for an acknowledgement.", min=0)] = 60.0,
    yes: Annotated[bool, typer.Option("--yes", help="Page people without asking first.")] = False,
) -> None:
    """Run a fire drill of a rule: everything happens as in an incident, marked as a drill, and is not counted.

    Shows the timeline until somebody acknowledges, and then resolves the drill. Exit code 1 if nobody acknowledges in
    time, or a notification fails.
    """
    if not yes:
        typer.confirm(f"This does everything that {rule} does: it may page people. Continue?", abort=True, err=True)
    body = {"rule": rule, "model": model, "environment": environment, "by": by}
    started = call("POST", "/api/drills", body)
    incident = started["incident"]
    if started["state"] == "spooled":
        exit_with_error(
            f"Temporal is unavailable: {incident} is spooled, and notifies people as soon as it is back. "
            f"End it then with `tocsin incidents resolve {incident}`"
        )
    echo(f"Drill {incident}", bold=True)
    outcome = _watch(incident, time.monotonic() + wait * 60)
    if outcome.incident["state"] not in _ENDED:
        if not outcome.answered:
            echo(f"Nobody acknowledged within {wait:g} min.", "red", bold=True)
        _end(outcome.incident, by)
    if outcome.undelivered:
        exit_with_error("a notification failed, see above")
    if not outcome.answered:
        raise typer.Exit(1)


def _end(incident: dict[str, Any], by: str) -> None:
    if incident["regulated"]:
        echo(f"The model is regulated: a person with the role {incident['closed_by']} closes the drill.", "yellow")
        return
    call("POST", f"/api/incidents/{incident['id']}/resolve", {"by": by, "note": "the drill is over"})
    echo("The drill is over; every destination that it notified is updated.", "green")


def _watch(incident: str, end: float) -> _Outcome:
    """Print the timeline as it grows, until somebody acknowledges or the time ends."""
    shown, undelivered = 0, False
    while True:
        found = call("GET", f"/api/incidents/{incident}")
        for entry in found["timeline"][shown:]:
            undelivered |= entry["event"] == "notification_failed"
            _print_entry(entry)
        shown = len(found["timeline"])
        answered = bool(found["acknowledged_by"]) or found["state"] in _ENDED or _waits_for_nobody(found)
        if answered or time.monotonic() > end:
            return _Outcome(found, answered, undelivered)
        time.sleep(_POLL_INTERVAL)


def _waits_for_nobody(incident: dict[str, Any]) -> bool:
    """Whether only digests and tickets were notified, which nobody acknowledges."""
    return bool(incident["decision"]) and not incident["decision"]["steps"] and incident["state"] == "notified"


def _print_entry(entry: dict[str, Any]) -> None:
    colour = {"notification_failed": "red", "acknowledged": "green"}.get(entry["event"], "")
    event = entry["event"].replace("_", " ")
    echo(f"{datetime.fromisoformat(entry['at']):%H:%M:%S}  {event:<16}  {entry['text']}", colour)
