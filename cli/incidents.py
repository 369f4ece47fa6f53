"""``tocsin incidents list|show|ack|resolve|annotate``."""

import re
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.client import call
from cli.errors import UNUSABLE, exit_with_error
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
_PAGE = 200  # incidents in one answer of the API
_MOST = 10_000
_WHOLE_ID = re.compile(r"incident-.+-[0-9a-f]{12,64}")
"""A whole id: no list is read for it, so it works also while Temporal is unavailable."""
Id = Annotated[str, typer.Argument(help="The incident's id, the start of it, or its model's name.")]
By = Annotated[
    str,
    typer.Option(help="A name to show beside the owner of your token, who acts.", show_default=False),
]
Note = Annotated[str, typer.Option(help="A note for the record.")]


@incidents.command("list")
def list_incidents(
    state: Annotated[
        str,
        typer.Option(
            help="open, received, holding, suppressed, notified, acknowledged, awaiting_human, resolved, closed"
        ),
    ] = "",
    tier: Annotated[str, typer.Option(help="critical, high or low")] = "",
    team: Annotated[str, typer.Option(help="Only this team's.")] = "",
    model: Annotated[str, typer.Option(help="Only this model's.")] = "",
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=_MOST)] = 50,
    form: FormatOption = Format.text,
) -> None:
    """List incidents, newest first."""
    filters = {"state": state, "tier": tier, "team": team, "model": model}
    found = _read_pages({key: value for key, value in filters.items() if value}, limit)
    if form is Format.json:
        echo_json(found)
    elif not found["incidents"]:
        typer.echo("No incidents.")
    else:
        print_table(("INCIDENT", "TIER", "OPENED (UTC)", "STATE", "HEADLINE"), map(_row, found["incidents"]))
        if found["next"]:
            text = (
                f"the newest {limit}; there may be more: raise --limit, or filter by --state, --tier, --team or --model"
            )
            typer.echo(text, err=True)


def _read_pages(filters: dict[str, str], limit: int, remedies: dict[int, str] | None = None) -> dict[str, Any]:
    """The API's answer, with as many incidents as were asked for, from as many pages as that takes."""
    found: list[Any] = []
    cursor = ""
    while len(found) < limit:
        page = {"limit": str(min(limit - len(found), _PAGE))} | ({"cursor": cursor} if cursor else {})
        answer = call("GET", "/api/incidents", params=filters | page, remedies=remedies)
        found += answer["incidents"]
        if not (cursor := answer["next"]):
            break
    # Temporal lists the open ones before the closed ones.
    return {"incidents": sorted(found, key=lambda one: str(one["opened_at"]), reverse=True), "next": cursor}


def _row(incident: dict[str, Any]) -> tuple[str | Styled, ...]:
    tier = incident["tier"] or "?"
    return (
        incident["id"],
        Styled(tier, _TIER_COLOURS.get(tier, "")),
        _time(incident["opened_at"]),
        Styled(_state(incident), _STATE_COLOURS.get(incident["state"], "")),
        _title(incident),
    )


def _title(incident: dict[str, Any]) -> str:
    """The headline, and the monitor if it is not in it: several monitors of a model may have one headline."""
    headline = incident["headline"] or incident["model"]
    alert: dict[str, Any] = incident["alert"] or {}
    monitor = str(alert.get("monitor", ""))
    return f"{headline} ({monitor})" if monitor and monitor not in headline else headline


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
def show(
    incident: Id,
    run: Annotated[
        str,
        typer.Option(help="An earlier opening of the same incident: its run, as `show` lists them."),
    ] = "",
    form: FormatOption = Format.text,
) -> None:
    """Show an incident: its state, the reason for it, its timeline, and its other openings."""
    full_id = _full_id(incident)
    found = call("GET", f"/api/incidents/{quote(full_id, safe='')}", params={"run": run} if run else None)
    _print(found, form)
    if form is Format.text:
        _print_other_openings(found, full_id)


def _print_other_openings(shown: dict[str, Any], incident: str) -> None:
    """A monitor opens an incident of the same id each time that it is triggered after a close."""
    found: list[dict[str, Any]] = call("GET", "/api/incidents", params={"id": incident, "limit": "20"})["incidents"]
    others = [one for one in found if one["id"] == incident and one["first_run_id"] != shown["first_run_id"]]
    if others:
        typer.echo("\nOther openings, shown by --run:")
        print_table(
            ("RUN", "OPENED (UTC)", "STATE", "HEADLINE"),
            [(one["first_run_id"], _time(one["opened_at"]), _state(one), one["headline"]) for one in others],
        )


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
    full_id, run = _named(incident)
    path = f"/api/incidents/{quote(full_id, safe='')}/{action}"
    found = call("POST", path, {"by": by, "note": note}, params={"run": run} if run else None)
    if "timeline" not in found and form is Format.text:  # accepted; the result is not known yet
        typer.echo(f"{found['incident']}: {found['state']}. {found['detail']}")
        return
    _print(found, form)


def _full_id(incident: str) -> str:
    return _named(incident)[0]


def _named(incident: str) -> tuple[str, str]:
    """The id that a text stands for: the beginning of an id, or a model's name. Of several, the only open one.

    The second is the first run of its opening, if it had to be read. Ends the command if the text stands for none, or
    for more than one.
    """
    if _WHOLE_ID.fullmatch(incident):
        return incident, ""
    if not incident.strip():
        exit_with_error("the incident's id is empty", UNUSABLE)
    remedies = {503: f"{incident} cannot be looked up now: give the whole id, which every message shows"}
    found: list[dict[str, Any]] = []
    for state in ("open", ""):  # an open one may be older than the newest hundreds
        found += _read_pages({"state": state} if state else {}, _PAGE, remedies)["incidents"]
    by_id = [one for one in found if str(one["id"]).startswith((incident, f"incident-{incident}"))]
    # All of an id but its fingerprint: monitor-61 is not the beginning of monitor-610 then.
    named = [one for one in by_id if str(one["id"]).rpartition("-")[0] in {incident, f"incident-{incident}"}]
    by_id = named or by_id
    matching = by_id or [one for one in found if str(one["model"]).casefold() == incident.casefold()]
    latest = list({one["id"]: one for one in reversed(matching)}.values())  # an id may have had earlier incidents
    open_ones = [one for one in latest if one["state"] not in {"resolved", "closed"}]
    candidates = open_ones or latest
    if not candidates:
        exit_with_error(f"no incident is called {incident}; `tocsin incidents list` shows the ids and models")
    if len(candidates) > 1:
        lines = [f"  {one['id']}  {one['state']}  {_title(one)}" for one in candidates[:10]]
        lines += [f"  and {len(candidates) - 10} more"] if len(candidates) > 10 else []
        number = f"{len(candidates)} {'open ' if open_ones else ''}incidents"
        exit_with_error("\n".join([f"{incident} fits {number}; give the id of one, or its beginning:", *lines]))
    found_one = candidates[0]
    is_whole = not found_one.get("partial") and "first_run_id" in found_one
    return found_one["id"], found_one["first_run_id"] if is_whole else ""


def _print(incident: dict[str, Any], form: Format) -> None:
    if form is Format.json:
        echo_json(incident)
        return
    closed_by = incident["closed_by"]
    decision: dict[str, Any] = incident["decision"] or {}
    alert: dict[str, Any] = incident["alert"] or {}
    links: dict[str, Any] = decision.get("links") or {}
    waits_for_person = incident["cleared"] and incident["state"] not in {"resolved", "closed"}
    echo(incident["headline"] or incident["id"], _TIER_COLOURS.get(incident["tier"] or "", ""), bold=True)
    print_fields(
        [
            ("Incident", incident["id"]),
            ("State", incident["state"].replace("_", " ")),
            ("Next", incident["next_action"]),
            ("Acknowledged by", incident["acknowledged_by"]),
            ("Resolved by", incident["resolved_by"]),
            ("Alerts", str(incident["alert_count"])),
            ("Fired again", _times(incident.get("refire_count", 0))),
            ("Rule", incident["rule"]),
            ("Reason", str(decision.get("reason", ""))),
            ("Monitor", "cleared; a person must close the incident" if waits_for_person else ""),
            ("Team", incident["team"]),
            ("Owner", str(decision.get("owner", ""))),
            ("Runbook", str(decision.get("runbook", ""))),
            *((title.capitalize(), str(url)) for title, url in links.items()),
            ("Must be closed by", f"a person with the role {closed_by}" if closed_by else ""),
            ("Arize", str(alert.get("url", ""))),
            ("Temporal", incident["temporal_url"]),
        ]
    )
    if incident["partial"]:
        typer.echo("Its details are unavailable: no worker answers. `tocsin health worker` says why.", err=True)
    if incident["timeline"]:
        typer.echo()
        print_table(
            ("TIME (UTC)", "EVENT", "BY", "TEXT"),
            [
                (_time(entry["at"]), entry["event"].replace("_", " "), entry["by"], entry["text"])
                for entry in incident["timeline"]
            ],
        )


def _times(count: int) -> str:
    return "" if not count else "once" if count == 1 else f"{count} times"


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"
