"""``tocsin destinations list|test``: where messages go, and whether they get there."""

import asyncio
import os
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from activities.contracts import Delivery, Receipt, Verb
    from activities.destinations import Destination
    from policy import DestinationConfig, Policy

destinations = typer.Typer(help="Where messages go, and whether they get there.", no_args_is_help=True)
_WITHIN = 60.0  # seconds for one destination


@destinations.command("list")
def list_() -> None:
    """The destinations of the policy in use: what each is, whether it can be reached, and who is told there."""
    policy = _policy()
    told = _told(policy)
    table = Table(box=None, pad_edge=False)
    for column in ("name", "type", "where", "secrets", "told by", "digests"):
        table.add_column(column, overflow="fold")
    for name, config in policy.destinations.items():
        lacking = _lacking(config)
        gathers = name in policy.digests()
        table.add_row(
            name,
            config.type,
            Text(config.where() or (str(config.base_url) if config.base_url else "")),
            Text(f"{', '.join(lacking)} not set", style="red") if lacking else Text("set", style="green"),
            Text(", ".join(told.get(name, ())) or "nothing"),
            f"{config.schedule} {config.timezone}" if gathers else "",
        )
    Console().print(table)


@destinations.command("test")
def try_out(
    name: Annotated[str, typer.Argument(help="A destination of the policy in use.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Each of them.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before people are paged.")] = False,
) -> None:
    """Send a marked drill message for real, and show the receipt, or what helps.

    A page is resolved again at once; a ticket stays, to be closed by hand. Ends with 1 where one did not get through.
    """
    policy = _policy()
    if every == bool(name):
        _refuse("name one destination, or say --all")
    if name and name not in policy.destinations:
        _refuse(f"the policy has no destination {name}; there are {', '.join(policy.destinations)}")
    names = list(policy.destinations) if every else [name]
    pagers = [
        one for one in names if policy.destinations[one].kind == "page" and not _lacking(policy.destinations[one])
    ]
    if pagers and not yes:
        typer.confirm(f"This pages whoever is on call at {', '.join(pagers)}. Go on?", abort=True)
    failed = [one for one in names if not asyncio.run(_try(one, policy.destinations[one]))]
    if failed:
        raise typer.Exit(1)


async def _try(name: str, config: "DestinationConfig") -> bool:
    from temporalio.exceptions import ApplicationError

    from activities.destinations import open_destination
    from activities.sorting import sorted_failures
    from worker.settings import read_settings

    console = Console()
    settings = read_settings(os.environ)
    if lacking := _lacking(config):
        console.print(Text(f"✗ {name} ({config.type}): {', '.join(lacking)} not set", style="red"))
        return False
    destination = open_destination(name, config, settings.environment, settings.public_url)
    began = time.perf_counter()
    try:
        receipt = await asyncio.wait_for(sorted_failures(destination, _life(destination, config)), _WITHIN)
    except (ApplicationError, TimeoutError) as error:
        said = error.message if isinstance(error, ApplicationError) else f"no answer within {_WITHIN:g} s"
        again = isinstance(error, TimeoutError) or not error.non_retryable
        console.print(Text(f"✗ {name} ({config.type}): {said}", style="red"))
        if again:
            console.print(Text("  This may pass: an incident's own message is tried again.", style="dim"))
        return False
    finally:
        await destination.close()
    took = time.perf_counter() - began
    where = receipt.url or config.where() or receipt.place
    text = f"✓ {name} ({config.type}): {receipt.id}{f' · {where}' if where else ''} · {took:.1f} s"
    console.print(Text(text, style="green"))
    return True


async def _life(destination: "Destination", config: "DestinationConfig") -> "Receipt":
    """A drill message, and its end: nobody has to clear up, but where only a person may close."""
    identity = uuid.uuid4().hex[:12]
    receipt = await destination.deliver(_delivery(destination.name, config, identity, "notify", None), 1)
    if config.kind == "ticket":
        note = _delivery(destination.name, config, identity, "note", receipt)
        await destination.deliver(note, 1)
    elif config.kind != "console":
        await destination.deliver(_delivery(destination.name, config, identity, "resolve", receipt), 1)
    return receipt


def _delivery(
    name: str, config: "DestinationConfig", identity: str, verb: "Verb", first: "Receipt | None"
) -> "Delivery":
    from activities.contracts import Brief, Delivery, Entries, Fact
    from policy import Target

    incident = f"incident-drill-{identity}"
    opening = identity.ljust(32, "0")
    note = "A test of this destination. Nothing is on fire."
    if verb != "notify":
        note = "The test is over: this ticket can be closed." if verb == "note" else "The test is over."
    brief = Brief(
        headline=f"DRILL test of {name}: nothing is on fire",
        state="Resolved" if verb == "resolve" else "Drill",
        tier="low",
        incident=incident,
        component="tocsin destinations test",
        since=datetime.now(UTC),
        facts=(Fact(label="Drill", value="tocsin destinations test: nothing is on fire"),),
        tags=("drill",),
        drill=True,
    )
    return Delivery(
        key=f"{incident}:{verb}",
        thread=f"{incident}.{opening[:8]}",
        verb=verb,
        target=Target(name=name, type=config.type, kind=config.kind),
        brief=brief,
        note=note,
        first=first,
        record=Entries(incident=incident, opening=opening),
    )


def _policy() -> "Policy":
    """The policy in use, its secrets unset or not. Ends the command where it is not usable."""
    from activities.destinations import destination_types
    from policy import PolicyError, load_policy
    from worker.settings import read_settings

    try:
        return load_policy(read_settings(os.environ).policy, destination_types())
    except PolicyError as error:
        _refuse(str(error))


def _lacking(config: "DestinationConfig") -> list[str]:
    return [one.name for one in config.secrets().values() if one.resolve(os.environ) is None]


def _told(policy: "Policy") -> dict[str, list[str]]:
    """By destination, the rules that tell it; a tier's name where all of the tier's rules do would hide who."""
    told: dict[str, list[str]] = {}
    for rule in (*policy.rules, policy.otherwise):
        decision = rule.decision
        targets = [*(target for step in decision.steps for target in step.notify), *decision.digest, *decision.tickets]
        for target in dict.fromkeys(targets):
            told.setdefault(target.name, []).append(rule.name)
        for target in decision.fallback:
            if "(fallback)" not in told.setdefault(target.name, []):
                told[target.name].append("(fallback)")
    for target in policy.governance_tickets:
        told.setdefault(target.name, []).append("(regulated)")
    return {name: _few(names) for name, names in told.items()}


def _few(names: Iterable[str]) -> list[str]:
    whole = list(names)
    return whole if len(whole) <= 4 else [*whole[:3], f"and {len(whole) - 3} more"]


def _refuse(text: str) -> NoReturn:
    typer.echo(text, err=True)
    raise typer.Exit(2)
