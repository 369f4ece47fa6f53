"""``tocsin destinations list|test``: the destinations of the policy, and whether they can be reached."""

import os
import sys
import time
import uuid
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cli.errors import UNUSABLE, exit_with_error
from cli.groups import command_group
from cli.output import Format, FormatOption, Styled, echo, echo_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from incident.notification import Notification
    from incident.receipt import Receipt, Verb
    from integrations.base.destination import Destination
    from policy import DestinationConfig, Policy, Target
    from worker.settings import Settings

destinations = command_group("List destinations, and test their delivery.")
_TIMEOUT = 60.0  # seconds for one destination
_MOST_RULES = 4
"""More rules than this are counted rather than named."""
_NO_FIRE = "nothing is on fire"


@destinations.command("list")
def list_destinations(form: FormatOption = Format.text) -> None:
    """List the policy's destinations: type, place, missing secrets, and the rules that notify them."""
    policy = _policy()
    rules = _rules_by_destination(policy)
    if form is Format.json:
        echo_json(
            [
                {
                    "name": name,
                    "type": config.type,
                    "kind": config.kind,
                    "location": _location(config),
                    "missing_secrets": _missing_secrets(config),
                    "notified_by": rules.get(name, []),
                    "digest_schedule": _digest_schedule(policy, name),
                }
                for name, config in policy.destinations.items()
            ]
        )
        return
    rows: list[tuple[str | Styled, ...]] = []
    for name, config in policy.destinations.items():
        missing = _missing_secrets(config)
        secrets = Styled(f"{', '.join(missing)} not set", "red") if missing else Styled("set", "green")
        notified_by = _shortened(rules.get(name, [])) or "no rule"
        rows.append((name, config.type, _location(config), secrets, _digest_schedule(policy, name), notified_by))
    print_table(("NAME", "TYPE", "LOCATION", "SECRETS", "DIGEST", "NOTIFIED BY"), rows)


@destinations.command("test")
def send_test(
    name: Annotated[str, typer.Argument(help="A destination of the policy.", show_default=False)] = "",
    every: Annotated[bool, typer.Option("--all", help="Test all destinations.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Page people without asking first.")] = False,
    form: FormatOption = Format.text,
) -> None:
    """Send a real message, marked as a drill, and show its receipt, or the remedy.

    A page is resolved at once; a ticket stays open until a person closes it. Exit code 1 if a delivery failed.
    """
    import asyncio

    from worker.settings import read_settings

    policy, settings = _policy(), read_settings(os.environ)
    if every == bool(name):
        exit_with_error("name one destination, or use --all", UNUSABLE)
    if name and name not in policy.destinations:
        known = ", ".join(policy.destinations)
        exit_with_error(f"the policy has no destination {name}; it has {known}", UNUSABLE)
    chosen = {key: config for key, config in policy.destinations.items() if every or key == name}
    pagers = [key for key, config in chosen.items() if config.kind == "page" and not _missing_secrets(config)]
    if pagers and not yes:
        typer.confirm(f"This pages the people on call at {', '.join(pagers)}. Continue?", abort=True, err=True)
    results: list[_Result] = []
    for key, config in chosen.items():
        # The console prints its messages; in JSON they would be in the way.
        with redirect_stdout(sys.stderr if form is Format.json else sys.stdout):
            results.append(asyncio.run(_test(key, config, settings)))
        if form is Format.text:
            _print(results[-1])
    if form is Format.json:
        echo_json([result._asdict() for result in results])
    if not all(result.delivered for result in results):
        raise typer.Exit(1)


class _Result(NamedTuple):
    name: str
    type: str
    delivered: bool
    receipt: str = ""
    location: str = ""
    seconds: float = 0.0
    error: str = ""
    retryable: bool = False


def _print(result: _Result) -> None:
    if result.delivered:
        parts = [result.receipt, result.location, f"{result.seconds:.1f} s"]
        echo(f"✓ {result.name} ({result.type}): {' · '.join(part for part in parts if part)}", "green")
        return
    echo(f"✗ {result.name} ({result.type}): {result.error}", "red")
    if result.retryable:
        echo("  This may be temporary: an incident's notification would be retried.", "bright_black")


async def _test(name: str, config: "DestinationConfig", settings: "Settings") -> _Result:
    import asyncio

    from integrations.base.errors import IntegrationError, PermanentError, normalize
    from integrations.base.open_destinations import open_destination

    if missing := _missing_secrets(config):
        error = f"{', '.join(missing)} not set; set it where workers run"
        return _Result(name, config.type, delivered=False, error=error)
    destination = open_destination(name, config, settings.environment)
    start = time.perf_counter()
    try:
        receipt = await asyncio.wait_for(normalize(destination, _deliver_drill(destination, config)), _TIMEOUT)
    except TimeoutError:
        return _Result(name, config.type, delivered=False, error=f"no answer within {_TIMEOUT:g} s", retryable=True)
    except IntegrationError as error:
        return _Result(
            name, config.type, delivered=False, error=error.message, retryable=not isinstance(error, PermanentError)
        )
    finally:
        await destination.close()
    return _Result(
        name,
        config.type,
        delivered=True,
        receipt=receipt.id,
        location=receipt.url or _location(config) or receipt.location,
        seconds=round(time.perf_counter() - start, 3),
    )


async def _deliver_drill(destination: "Destination", config: "DestinationConfig") -> "Receipt":
    """Deliver a drill message, and then resolve it; a ticket gets a note, since only a person closes it."""
    drill = f"incident-drill-{uuid.uuid4().hex[:12]}"
    receipt = await destination.deliver(_notification(destination.name, config, drill, "notify"), 1)
    if config.kind == "ticket":
        await destination.deliver(_notification(destination.name, config, drill, "note", receipt), 1)
    elif config.kind != "console":
        await destination.deliver(_notification(destination.name, config, drill, "resolve", receipt), 1)
    return receipt


_NOTES: dict[str, str] = {
    "notify": f"A test of this destination: {_NO_FIRE}.",
    "note": "The test is over: this ticket can be closed.",
    "resolve": "The test is over.",
}


def _notification(
    name: str, config: "DestinationConfig", drill: str, verb: "Verb", original: "Receipt | None" = None
) -> "Notification":
    from incident.audit_events import AuditBatch
    from incident.dedup_key import incident_dedup_key
    from incident.message import Fact, MessageContent
    from incident.notification import Notification
    from policy import Target

    first_run_id = drill[-12:].rjust(32, "0")
    content = MessageContent(
        headline=f"DRILL test of {name}: {_NO_FIRE}",
        state="Resolved" if verb == "resolve" else "Drill",
        tier="low",
        incident=drill,
        component="tocsin destinations test",
        since=datetime.now(UTC),
        facts=(Fact(label="Drill", value=f"tocsin destinations test: {_NO_FIRE}"),),
        tags=("drill",),
        drill=True,
    )
    return Notification(
        key=f"{drill}:{verb}",
        dedup_key=incident_dedup_key(drill, first_run_id),
        verb=verb,
        target=Target(name=name, type=config.type, kind=config.kind),
        content=content,
        note=_NOTES[verb],
        original_receipt=original,
        audit=AuditBatch(incident=drill, first_run_id=first_run_id),
    )


def _policy() -> "Policy":
    from cli.policy import load, policy_path

    return load(policy_path(None))


def _missing_secrets(config: "DestinationConfig") -> list[str]:
    return [secret.name for secret in config.secrets().values() if secret.resolve(os.environ) is None]


def _location(config: "DestinationConfig") -> str:
    return config.label() or (str(config.base_url) if config.base_url else "")


def _digest_schedule(policy: "Policy", name: str) -> str:
    config = policy.destinations[name]
    return f"{config.schedule} {config.timezone}" if name in policy.digests() else ""


def _rules_by_destination(policy: "Policy") -> dict[str, list[str]]:
    """What notifies each destination: the rules, and in parentheses uses that no one rule names."""
    found: dict[str, list[str]] = {}

    def add(targets: "Iterable[Target]", use: str) -> None:
        for target in targets:
            if use not in found.setdefault(target.name, []):
                found[target.name].append(use)

    named = {model.owner for model in (*policy.models.values(), policy.default_model)}
    owners = [target for name, target in policy.owners.items() if name in named]
    for rule in (*policy.rules, policy.unmapped, policy.otherwise, policy.unreadable):
        decision, raised = rule.decision, rule.decision.on_ack_timeout
        steps = [*decision.steps, *(raised.steps if raised else ())]
        add([*(target for step in steps for target in step.notify), *decision.digest, *decision.tickets], rule.name)
        add([*decision.fallback, *(raised.fallback if raised else ())], "(fallback)")
        if rule.notify_owner:
            add(owners, f"{rule.name} (owner)")
    add(policy.governance_tickets, "(regulated)")
    if policy.watchdog is not None:
        add(policy.watchdog.notify, "(watchdog)")
    return found


def _shortened(names: list[str]) -> str:
    shown = names if len(names) <= _MOST_RULES else [*names[:3], f"and {len(names) - 3} more"]
    return ", ".join(shown)
