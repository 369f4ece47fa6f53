"""Opsgenie's outgoing webhooks.

Contract: https://support.atlassian.com/opsgenie/docs/integrate-opsgenie-with-webhook/: ``action``, ``source``, and
``alert`` with our ``alias``. Opsgenie signs nothing; it sends the headers that its user sets in the integration.
"""

from collections.abc import Mapping
from typing import Any

from incident.dedup_key import parse_dedup_key
from incident.events import ActionType, ResponderAction
from integrations.base.callback import (
    ACTION_ID_CHARS,
    KEY_CHARS,
    NOTE_CHARS,
    Callback,
    ParsedCallback,
    bearer_token,
    nested,
    one_line,
)

SETTING = "OPSGENIE_WEBHOOK_SECRET"
_ACTION_TYPES: dict[str, ActionType] = {
    "acknowledge": "acknowledge",
    "unacknowledge": "unacknowledge",
    "close": "resolve",
    "addnote": "annotate",
    "escalate": "escalate",
    "escalatenext": "escalate",
    "assignownership": "reassign",
    "takeownership": "reassign",
}
_MACHINES = frozenset({"api", "integration", "system", "policy", "escalation"})
"""Types of source that are no person. An acknowledgement that Tocsin sent comes back as an action of the API."""


def parse(payload: Mapping[str, Any]) -> ParsedCallback | str:
    """The responder action of a webhook, or why the webhook is ignored."""
    action_name = one_line(payload.get("action"))
    alias = one_line(nested(payload, "alert", "alias"), KEY_CHARS)
    if parse_dedup_key(alias) is None:
        return "not an incident of Tocsin"
    action_type = _ACTION_TYPES.get(action_name.casefold())
    if action_type is None:
        return f"the action {action_name[:60]} changes nothing"
    is_person = one_line(nested(payload, "source", "type")).casefold() not in _MACHINES
    by = one_line(nested(payload, "alert", "username")) if is_person else ""
    at = one_line(nested(payload, "alert", "updatedAt"))
    note = nested(payload, "alert", "owner" if action_type == "reassign" else "note")
    action = ResponderAction(
        type=action_type,
        by=by,
        source="opsgenie",
        note=one_line(note, NOTE_CHARS),
        id=f"opsgenie-{action_name}-{at}-{alias}"[:ACTION_ID_CHARS] if at else "",
    )
    if action.type == "annotate" and not (action.note and action.by):
        return "the note is empty, or no person wrote it"
    return ParsedCallback(action, alias, email=by if "@" in by else "")


OPSGENIE = Callback(
    name="opsgenie",
    path="opsgenie",
    setting=SETTING,
    setting_description="The secret in Opsgenie's callbacks.",
    authenticate=bearer_token(SETTING),
    parse=parse,
    example={"action": "Acknowledge", "source": {"type": "web"}, "alert": {"alias": "…", "username": "a@example.com"}},
)
