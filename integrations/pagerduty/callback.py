"""PagerDuty's V3 webhooks.

Contract: https://developer.pagerduty.com/docs/webhooks-overview: ``event{id, event_type, occurred_at, agent, data}``;
``data.incident_key`` is the dedup_key that the incident was triggered with. The ``data`` of a note names the incident
by PagerDuty's own id only. An incident that is merged into another one is ``incident.resolved`` with
``data.resolve_reason{type: merge_resolve_reason, incident}`` (REST API, schema ``ResolveReason``).
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from incident.dedup_key import parse_dedup_key
from incident.events import ActionType, ResponderAction
from integrations.base.callback import KEY_CHARS, NOTE_CHARS, Callback, ParsedCallback, happened_at, nested, one_line
from integrations.base.signatures import matches_hmac

SETTING = "PAGERDUTY_WEBHOOK_SECRET"
_ACTION_TYPES: dict[str, ActionType] = {
    "incident.acknowledged": "acknowledge",
    "incident.unacknowledged": "unacknowledge",
    "incident.resolved": "resolve",
    "incident.reopened": "reopen",
    "incident.escalated": "escalate",
    "incident.reassigned": "reassign",
    "incident.delegated": "reassign",
    "incident.annotated": "annotate",
}


def authenticate(headers: Mapping[str, str], body: bytes, secrets: Iterable[str]) -> str | None:
    """None for an authentic callback, else the reason why it is not.

    ``X-PagerDuty-Signature: v1=<hex>,v1=<hex>``: one HMAC-SHA256 of the raw body for each current secret of the
    subscription. Source: developer.pagerduty.com, "Verifying webhook signatures".
    """
    signature = headers.get("x-pagerduty-signature", "")
    if not signature:
        return "X-PagerDuty-Signature is missing"
    return None if matches_hmac(signature, body, secrets) else f"no signature matches: check {SETTING}"


_MERGE = "merge_resolve_reason"


def parse(payload: Mapping[str, Any]) -> ParsedCallback | str:
    """The responder action of an event, or why the event is ignored."""
    event, data = nested(payload, "event"), nested(payload, "event", "data")
    event_type = one_line(nested(event, "event_type"))
    action_type = _ACTION_TYPES.get(event_type)
    dedup_key = one_line(nested(data, "incident_key"), KEY_CHARS)
    if action_type == "annotate":
        vendor_id = one_line(nested(data, "incident", "id"))
    elif parse_dedup_key(dedup_key) is None:
        return "not an incident of Tocsin"
    else:
        vendor_id = one_line(nested(data, "id"))
    merged = nested(data, "resolve_reason") if action_type == "resolve" else None
    merged_into = one_line(nested(merged, "incident", "id")) if one_line(nested(merged, "type")) == _MERGE else None
    if merged_into is not None:
        action_type = "merge"
    if action_type is None:
        if not vendor_id:
            return f"the event {event_type[:60]} changes nothing"
        return ParsedCallback(None, dedup_key, vendor_id)
    # By PagerDuty's type of agent. What a service or an integration does is no action of a person.
    is_person = one_line(nested(event, "agent", "type")).startswith("user")
    name = one_line(nested(event, "agent", "summary")) or one_line(nested(event, "agent", "id"))
    event_id = one_line(nested(event, "id"), 100)
    action = ResponderAction(
        type=action_type,
        by=name if is_person else "",
        source="pagerduty",
        note=_note(action_type, data) if merged_into is None else f"into {merged_into or 'another incident'}",
        id=f"pagerduty-{event_id}" if event_id else "",
        occurred_at=happened_at(nested(event, "occurred_at")),
        vendor_id=vendor_id if merged_into is None else merged_into,
    )
    if action.type == "annotate" and not action.note:
        return "the note is empty"
    return ParsedCallback(action, dedup_key, vendor_id)


def _note(action_type: ActionType, data: Any) -> str:
    if action_type == "annotate":
        return one_line(nested(data, "content"), NOTE_CHARS)
    if action_type in {"escalate", "reassign"}:
        assignees = nested(data, "assignees")
        people = cast("list[Any]", assignees) if isinstance(assignees, list) else []
        names = [one_line(nested(person, "summary")) for person in people]
        return ", ".join(name for name in names if name)[:NOTE_CHARS]
    return ""


PAGERDUTY = Callback(
    name="pagerduty",
    path="pagerduty",
    setting=SETTING,
    setting_description="The secret of a PagerDuty V3 webhook subscription.",
    authenticate=authenticate,
    parse=parse,
    example={"event": {"id": "01", "event_type": "incident.acknowledged", "data": {"incident_key": "…"}}},
)
