"""Opsgenie's outgoing webhooks.

Contract: https://support.atlassian.com/opsgenie/docs/integrate-opsgenie-with-webhook/: ``action``, ``source``, and
``alert`` with our ``alias``. Opsgenie signs nothing; it sends the headers that its user sets in the integration.
"""

from collections.abc import Mapping
from typing import Any

from alerts import normal_address
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
_MACHINES = frozenset({"api", "integration", "system", "policy", "escalation", ""})
"""Types of source that are no person. An acknowledgement that Tocsin sent comes back as an action of the API, and a
policy that closes alerts after a time is a source as well."""
_SIGNED_IN = frozenset({"web", "mobile"})
"""Types of source where the username is the address that the person signed in with. Elsewhere it is free text: the
parameter ``user`` of the Alert API is a display name."""
_DELETE = "delete"


def parse(payload: Mapping[str, Any]) -> ParsedCallback | str:
    """The responder action of a webhook, or why the webhook is ignored."""
    action_name = one_line(payload.get("action"))
    alias = one_line(nested(payload, "alert", "alias"), KEY_CHARS)
    if parse_dedup_key(alias) is None:
        return "not an incident of Tocsin"
    deleted = action_name.casefold() == _DELETE
    action_type = "annotate" if deleted else _ACTION_TYPES.get(action_name.casefold())
    if action_type is None:
        return f"the action {action_name[:60]} changes nothing"
    source_type = one_line(nested(payload, "source", "type")).casefold()
    is_person = source_type not in _MACHINES
    by = one_line(nested(payload, "alert", "username")) if is_person else ""
    at = one_line(nested(payload, "alert", "updatedAt"))
    note = one_line(nested(payload, "alert", "owner" if action_type == "reassign" else "note"), NOTE_CHARS)
    if deleted:
        by, note = by or "Opsgenie", "the alert was deleted in Opsgenie: the incident stays open"
    action = ResponderAction(
        type=action_type,
        by=by,
        source="opsgenie",
        note=note,
        id=action_id("opsgenie", alias, action_name, at, by, note) if at else "",
        occurred_at=happened_at(nested(payload, "alert", "updatedAt")),
    )
    if action.type == "annotate" and not (action.note and action.by):
        return "the note is empty, or no person wrote it"
    email = normal_address(nested(payload, "alert", "username")) if source_type in _SIGNED_IN else ""
    return ParsedCallback(action, alias, email=email)


OPSGENIE = Callback(
    name="opsgenie",
    path="opsgenie",
    setting=SETTING,
    setting_description="The secret in Opsgenie's callbacks.",
    authenticate=bearer_token(SETTING),
    parse=parse,
    example={"action": "Acknowledge", "source": {"type": "web"}, "alert": {"alias": "…", "username": "a@example.com"}},
)
