"""The latest deliveries of a webhook: what Arize sent, and what Tocsin makes of it by the policy."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import typer

from cli.arize_scope import ArizeClients, plain
from cli.output import echo, painted, print_fields

if TYPE_CHECKING:
    from alerts import Alert, Description
    from policy import Decision, Policy

_MAX_PAYLOAD_LINES = 60


class Delivery(NamedTuple):
    """One event: its attempts, and what Tocsin makes of the payload."""

    event_id: str
    at: str
    attempts: int
    status_code: int | None
    """Of the latest attempt; None if there was no response."""
    error: str
    payload: Any
    reading: "Reading"


class Reading(NamedTuple):
    """What Tocsin makes of a payload. ``verdict`` is a sentence; the rest is there if it is an alert."""

    verdict: str
    steps: tuple[tuple[str, str], ...] = ()
    alert: "Alert | None" = None
    decision: "Decision | None" = None


async def read_deliveries(clients: ArizeClients, webhook_id: str, policy: "Policy", most: int) -> list[Delivery]:
    """The latest events of a webhook, newest first."""
    attempts = await clients.tenant.delivery_attempts(webhook_id, 100)
    by_event: dict[str, list[Mapping[str, Any]]] = {}
    for one in attempts:
        by_event.setdefault(str(one.get("event_id") or ""), []).append(one)
    found: list[Delivery] = []
    for event_id, listed in list(by_event.items())[:most]:
        latest = max(listed, key=lambda one: int(one.get("attempt_number") or 0))
        status = latest.get("status_code")
        payload = latest.get("payload")
        found.append(
            Delivery(
                event_id=event_id,
                at=str(latest.get("created_at") or ""),
                attempts=len(listed),
                status_code=status if isinstance(status, int) else None,
                error=str(latest.get("error_message") or ""),
                payload=payload,
                reading=await read_payload(clients, payload, event_id, policy),
            )
        )
    return found


async def read_payload(clients: ArizeClients, payload: Any, event_id: str, policy: "Policy") -> Reading:
    """Read a payload as the gateway and the worker do: the reader, Arize's description, the policy."""
    from activities.describing import AlertDescriber
    from alerts import AlertError, is_change
    from policy.intake import read_payload as read_by_policy

    if payload is None:
        return Reading("Arize does not show the payload")
    event = str(cast("Mapping[str, Any]", payload).get("event") or "") if isinstance(payload, Mapping) else ""
    if is_change(event):
        return Reading(f"{plain(event)} reports a change or a test: it is recorded, and opens no incident")
    try:
        read = read_by_policy(policy.mappings, payload, event_id, event).alert
    except AlertError as error:
        return Reading(
            f"no reader understands it: {plain(str(error))}; `tocsin intake list` shows it, and a mapping in the "
            "policy reads it"
        )
    described = await AlertDescriber(_NothingKnown(), clients.describer).describe([read], policy.describe_wait)
    alert = policy.interpret(described[0].alert)
    decision = policy.decide(alert, datetime.now(UTC))
    steps = tuple(
        (step.field, f"{step.said} → {step.means} ({step.by})") for step in policy.interpretation(described[0].alert)
    )
    if alert.status != "triggered":
        return Reading(f"an alert with the status {alert.status}: it opens no incident", steps, alert)
    return Reading("an alert", steps, alert, decision)


class _NothingKnown:
    """No cache: a command reads Arize."""

    def get(self, monitor_id: str) -> "Description | None":
        del monitor_id
        return None

    def add(self, descriptions: "list[Description]") -> None:
        del descriptions

    async def save(self) -> bool:
        return True


def print_deliveries(deliveries: Sequence[Delivery]) -> None:
    """Print each delivery: the payload as it was sent, and what Tocsin makes of it."""
    for one in deliveries:
        answer = "no response" if one.status_code is None else str(one.status_code)
        count = f"{one.attempts} attempt{'' if one.attempts == 1 else 's'}"
        error = f" ({plain(one.error)})" if one.error else ""
        echo(f"{plain(one.at)}  {plain(one.event_id)}: {answer} after {count}{error}", bold=True)
        for line in _payload_lines(one.payload):
            typer.echo(painted(f"  {line}", "bright_black"))
        print_fields(_fields(one.reading))


def _payload_lines(payload: Any) -> list[str]:
    """The payload as JSON. Every character that a terminal could obey is an escape."""
    lines = json.dumps(payload, indent=2, ensure_ascii=True).splitlines()
    left = len(lines) - _MAX_PAYLOAD_LINES
    return [*lines[:_MAX_PAYLOAD_LINES], f"… and {left} more lines; --format json shows all"] if left > 0 else lines


def _fields(reading: Reading) -> Iterator[tuple[str, str]]:
    yield "  Read as", reading.verdict
    for name, text in reading.steps:
        yield f"    {name}", plain(text)
    alert, decision = reading.alert, reading.decision
    if alert is None:
        return
    if alert.undescribed:
        yield "  Lacks", plain(alert.undescribed)
    if decision is not None:
        yield "  Decision", plain(f"{decision.tier}, rule {decision.rule}: {decision.reason}")
        yield "  Notifies", plain(_notifies(decision))


def _notifies(decision: "Decision") -> str:
    """Who is notified, in the order of time. A hold is why nobody is notified yet."""
    from monitors.coverage import notified_by
    from policy import format_duration

    names = ", ".join(notified_by(decision)) or "nobody"
    return f"{names}; waits {format_duration(decision.hold)} for a clear first" if decision.hold else names


def deliveries_json(deliveries: Sequence[Delivery]) -> list[dict[str, Any]]:
    """The deliveries for programs."""
    from monitors.coverage import notified_by

    return [
        {
            "event_id": one.event_id,
            "at": one.at,
            "attempts": one.attempts,
            "status_code": one.status_code,
            "error": one.error,
            "payload": one.payload,
            "read_as": one.reading.verdict,
            "alert": one.reading.alert.model_dump(mode="json", exclude={"raw"}) if one.reading.alert else None,
            "decision": {
                "tier": one.reading.decision.tier,
                "rule": one.reading.decision.rule,
                "reason": one.reading.decision.reason,
                "hold_seconds": one.reading.decision.hold,
                "notified": list(notified_by(one.reading.decision)),
            }
            if one.reading.decision
            else None,
        }
        for one in deliveries
    ]
