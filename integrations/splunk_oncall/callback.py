"""Splunk On-Call's custom outgoing webhooks, event type Any-Incident.

Contract: https://help.victorops.com/knowledge-base/custom-outbound-webhooks/: the user writes the payload from
variables; ``docs/callbacks.md`` has it. A payload with all variables under their dotted names is accepted as well.
``STATE.ACKED_BY`` and ``STATE.RESOLVED_BY`` are null until a person has done so. What a machine resolved may still have
the person who acknowledged in ``STATE.ACK_USER``.
"""

from collections.abc import Mapping
from typing import Any

from incident.dedup_key import parse_dedup_key
from incident.events import ActionType, ResponderAction
from integrations.base.callback import (
    KEY_CHARS,
    NOTE_CHARS,
    Callback,
    ParsedCallback,
    action_id,
    bearer_token,
    happened_at,
    one_line,
)

SETTING = "SPLUNK_ONCALL_WEBHOOK_SECRET"
_ACTION_TYPES: dict[str, ActionType] = {"ACKED": "acknowledge", "RESOLVED": "resolve"}
_NOBODY = frozenset({"SYSTEM", "null", "None"})
"""The user of what no person did, and what stands for a variable without a value."""


def parse(payload: Mapping[str, Any]) -> ParsedCallback | str:
    """The responder action of a webhook, or why the webhook is ignored."""

    def field(short: str, variable: str) -> Any:
        return payload.get(short, payload.get(variable))

    entity = one_line(field("entity_id", "STATE.ENTITY_ID"), KEY_CHARS)
    if parse_dedup_key(entity) is None:
        return "not an incident of Tocsin"
    phase = one_line(field("phase", "STATE.CURRENT_ALERT_PHASE")).upper()
    action_type = _ACTION_TYPES.get(phase)
    if action_type is None:
        return f"the phase {phase[:60]} changes nothing" if phase else "the callback has no phase"
    by = _person(field("user", "STATE.ACK_USER"))
    if action_type == "acknowledge":
        by = _person(field("acked_by", "STATE.ACKED_BY")) or by
    elif "resolved_by" in payload or "STATE.RESOLVED_BY" in payload:
        by = _person(field("resolved_by", "STATE.RESOLVED_BY"))
    at = one_line(field("at", "STATE.LAST_TIMESTAMP"))
    note = one_line(field("message", "STATE.ACK_MSG"), NOTE_CHARS)
    action = ResponderAction(
        type=action_type,
        by=by,
        source="splunk_oncall",
        note=note,
        id=action_id("splunk", entity, phase, at, by, note) if at else "",
        occurred_at=happened_at(field("at", "STATE.LAST_TIMESTAMP")),
    )
    return ParsedCallback(action, entity)


def _person(value: Any) -> str:
    """A user's name; empty for a machine, and for a variable that was not replaced."""
    name = one_line(value)
    return "" if name in _NOBODY or name.startswith("${{") else name


SPLUNK_ONCALL = Callback(
    name="splunk_oncall",
    path="splunk-oncall",
    setting=SETTING,
    setting_description="The secret in Splunk On-Call's callbacks.",
    authenticate=bearer_token(SETTING),
    parse=parse,
    example={"entity_id": "…", "phase": "RESOLVED", "user": "alice", "resolved_by": "alice", "message": ""},
)
