"""ServiceNow: the requests of a business rule on the incident table.

ServiceNow has no webhooks. ``docs/callbacks.md`` contains the rule (a script with ``sn_ws.RESTMessageV2``). It
sends ``correlation_id`` (the dedup key), ``number``, ``state``, ``user_name``, ``email``, ``comment`` and ``at``.
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
    one_line,
)

SETTING = "SERVICENOW_WEBHOOK_SECRET"
_CLOSED_STATES = frozenset({"6", "7", "8", "resolved", "closed", "canceled"})
"""States of the table ``incident`` in a new instance: resolved, closed, canceled."""


def parse(payload: Mapping[str, Any]) -> ParsedCallback | str:
    """The responder action of a request, or why the request is ignored."""
    dedup_key = one_line(payload.get("correlation_id"), KEY_CHARS)
    if parse_dedup_key(dedup_key) is None:
        return "not a ticket of Tocsin"
    number, state = one_line(payload.get("number")), one_line(payload.get("state")).casefold()
    comment = one_line(payload.get("comment"), NOTE_CHARS)
    action_type: ActionType
    if state in _CLOSED_STATES:
        action_type, note = "resolve", f"{number} {state}{f': {comment}' if comment else ''}"
    elif comment:
        action_type, note = "annotate", comment
    else:
        return f"the state {state[:60]} changes nothing"
    email, at = one_line(payload.get("email")), one_line(payload.get("at"))
    action = ResponderAction(
        type=action_type,
        by=one_line(payload.get("user_name")) or email,
        source="servicenow",
        note=note[:NOTE_CHARS],
        id=f"servicenow-{dedup_key}-{action_type}-{at}"[:ACTION_ID_CHARS] if at else "",
    )
    return ParsedCallback(action, dedup_key, email=email)


SERVICENOW = Callback(
    name="servicenow",
    path="servicenow",
    setting=SETTING,
    setting_description="The secret in ServiceNow's callbacks.",
    authenticate=bearer_token(SETTING),
    parse=parse,
    example={"correlation_id": "…", "number": "INC0010001", "state": "6", "user_name": "Carol"},
)
