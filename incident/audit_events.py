"""Audit events: what an incident reports to the audit log."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from incident.receipt import Receipt, Verb
from policy import Target


class AuditEvent(BaseModel):
    """One event for the audit log. ``key`` is its idempotency key within the incident's run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    at: datetime
    event: str
    by: str = "tocsin"
    text: str = ""
    data: dict[str, Any] = {}


class AuditBatch(BaseModel):
    """Events of one incident, in order. ``first_run_id`` distinguishes incidents that share a workflow id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    incident: str
    first_run_id: str
    events: tuple[AuditEvent, ...] = ()


def notification_event(key: str, verb: Verb, target: Target, receipt: Receipt) -> AuditEvent:
    """The audit event of a sent notification."""
    return AuditEvent(
        key=key,
        at=receipt.at,
        event="notified" if verb == "notify" else f"update_sent_{verb}",
        text=f"{target.name} ({target.type}): {receipt.id}",
        data={"destination": target.name, "receipt": receipt.id},
    )
