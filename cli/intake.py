"""``tocsin intake list|show|replay``: the deliveries that nothing could read."""

from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

import typer

from cli.client import call
from cli.errors import exit_with_error
from cli.groups import command_group
from cli.output import Format, FormatOption, Styled, echo, echo_json, print_fields, print_table

intake = command_group("List, show and replay deliveries that nothing could read.")

_COLOURS = {"quarantined": "red", "replaying": "yellow", "replayed": "green"}
_OUTCOMES = {"replayed": "green", "already_replayed": "green", "unreadable": "red", "unavailable": "red"}
_SHOWN_BYTES = 4_000
Shape = Annotated[str, typer.Option(help="Only deliveries of this shape, as `tocsin intake list` shows it.")]


@intake.command("list")
def list_deliveries(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were replayed.")] = False,
    shape: Shape = "",
    limit: Annotated[int, typer.Option(help="At most so many, up to 200.", min=1, max=200)] = 50,
    form: FormatOption = Format.text,
) -> None:
    """List quarantined deliveries, newest first."""
    filters = {"state": "" if everything else "quarantined", "shape": shape, "limit": str(limit)}
    found = call("GET", "/api/quarantine", params={key: value for key, value in filters.items() if value})
    if form is Format.json:
        echo_json(found)
    elif not found["deliveries"]:
        typer.echo("Nothing is quarantined." if found["waiting"] == 0 else f"None; {_waiting(found)}.")
    else:
        header = ("DELIVERY", "RECEIVED (UTC)", "STATE", "SHAPE", "BODY")
        print_table(header, [_row(one) for one in found["deliveries"]])
        if found["waiting"] > len(found["deliveries"]):
            typer.echo(f"{_waiting(found)} in all.")


def _row(delivery: dict[str, Any]) -> tuple[str | Styled, ...]:
    return (
        delivery["id"],
        _time(delivery["received_at"]),
        Styled(delivery["state"], _COLOURS.get(delivery["state"], "")),
        delivery["shape"],
        _printable(delivery["shape_label"]),
    )


@intake.command()
def show(
    delivery: Annotated[str, typer.Argument(help="The delivery's id, q-…")], form: FormatOption = Format.text
) -> None:
    """Show a delivery: why nothing could read it, its headers and its body."""
    found = call("GET", f"/api/quarantine/{quote(delivery, safe='')}")
    if form is Format.json:
        echo_json(found)
        return
    replayed: dict[str, Any] = found["replayed"] or {}
    print_fields(
        [
            ("Delivery", found["id"]),
            ("Received", f"{_time(found['received_at'])} UTC"),
            ("State", found["state"]),
            ("Replayed", f"by {replayed['by']}: {replayed['incident']} ({replayed['state']})" if replayed else ""),
            ("Reported by", found["incident"]),
            ("Shape", f"{found['shape']}  {_printable(found['shape_label'])}"),
            ("Event", _printable(found["event"])),
            ("Event id", _printable(found["event_id"])),
            ("Content type", _printable(found["content_type"])),
            ("Size", f"{found['size']:,} bytes"),
        ]
    )
    typer.echo()
    for reason in found["reasons"]:
        echo(f"- {_printable(reason)}")
    typer.echo()
    for line in _body(found).splitlines():
        typer.echo(_printable(line))


def _body(found: dict[str, Any]) -> str:
    """The body, indented if it is JSON; its beginning if it is long."""
    import json

    text: str = found["body"]
    if found["encoding"] == "utf-8":
        with suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    else:
        text = f"base64: {text}"
    rest = len(text) - _SHOWN_BYTES
    return text if rest <= 0 else f"{text[:_SHOWN_BYTES]}\n… {rest:,} more characters; --format json has all of them"


@intake.command()
def replay(
    deliveries: Annotated[
        list[str] | None, typer.Argument(help="The deliveries' ids; by default all that wait.", show_default=False)
    ] = None,
    shape: Shape = "",
    form: FormatOption = Format.text,
) -> None:
    """Read quarantined deliveries again, with the policy's mappings, and turn them into incidents, each once."""
    body: dict[str, Any] = {"ids": deliveries} if deliveries else {"shape": shape}
    found = call("POST", "/api/quarantine/replay", body)
    results: list[Any] = found["results"]
    while found["next"]:
        found = call("POST", "/api/quarantine/replay", {**body, "cursor": found["next"]})
        results += found["results"]
    if form is Format.json:
        echo_json({"results": results, "waiting": found["waiting"]})
    elif not results:
        typer.echo("Nothing waits for a replay.")
    else:
        print_table(
            ("DELIVERY", "OUTCOME", "INCIDENT"),
            [
                (
                    one["id"],
                    Styled(one["outcome"].replace("_", " "), _OUTCOMES.get(one["outcome"], "")),
                    one["incident"] or "; ".join(_printable(reason) for reason in one["reasons"]),
                )
                for one in results
            ],
        )
        typer.echo(f"{_waiting(found)}.")
    if any(one["outcome"] not in {"replayed", "already_replayed"} for one in results):
        failed = sum(one["outcome"] not in {"replayed", "already_replayed"} for one in results)
        exit_with_error(f"not replayed: {failed} of {len(results)}; `tocsin intake show` has the reasons")


def _printable(text: str) -> str:
    """Without control and direction-changing characters: a body must not change the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def _time(text: str) -> str:
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"


def _waiting(found: dict[str, Any]) -> str:
    count = found["waiting"]
    return "1 delivery waits for a replay" if count == 1 else f"{count} deliveries wait for a replay"
