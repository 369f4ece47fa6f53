"""ServiceNow: the requests of a business rule on the incident table.

ServiceNow has no webhooks. ``docs/callbacks.md`` contains the rule (a script with ``sn_ws.RESTMessageV2``). It
sends ``correlation_id`` (the dedup key), ``number``, ``sys_id``, ``instance``, ``state``, ``state_changed``,
``close_code``, ``assigned_to``, ``user``, ``user_name``, ``email``, ``comment``, ``at`` and ``update``
(``sys_mod_count``). A clone of a ticket has its ``correlation_id`` as well, so ``number`` and ``sys_id`` say whether
the incident opened the ticket.
"""

import re
from collections.abc import Mapping
from typing import Any

from alerts import normal_address
from incident.dedup_key import parse_dedup_key
from incident.events import ActionType, ResponderAction
from incident.tickets import Ticket, site_of
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

SETTING = "SERVICENOW_WEBHOOK_SECRET"
_CLOSED_STATES = frozenset({"6", "7", "resolved", "closed"})
"""States of the table ``incident`` in a new instance: resolved, closed."""
_CANCELED_STATES = frozenset({"8", "canceled", "cancelled"})
"""The ticket is not needed, which does not say that the problem is over."""
_MACHINES = frozenset({"system", "guest"})
"""The users of scheduled jobs and flows, and of requests without a login."""
_OTHER_TICKET = re.compile(r"duplicate", re.IGNORECASE)
"""Resolution codes that say that another ticket has the problem."""
_OWN_MARKER = re.compile(r"Tocsin · tocsin-[0-9a-f]{20}")


def parse(payload: Mapping[str, Any]) -> ParsedCallback | str:
    """The responder action of a request, or why the request is ignored."""
    correlation_id = one_line(payload.get("correlation_id"), KEY_CHARS)
    dedup_key = correlation_id if parse_dedup_key(correlation_id) else ""
    if not (dedup_key or one_line(payload.get("number"))):
        return "not a ticket of Tocsin"
    state, comment = one_line(payload.get("state")), one_line(payload.get("comment"), NOTE_CHARS)
    if _OWN_MARKER.search(comment):
        return "Tocsin wrote the comment"
    read = _action_type(payload, state.casefold(), comment)
    if read is None:
        return f"the state {state[:60]} changes nothing"
    action_type, note = read
    at, update = one_line(payload.get("at")), one_line(payload.get("update"))
    is_person = one_line(payload.get("user")).casefold() not in _MACHINES
    by = (one_line(payload.get("user_name")) or one_line(payload.get("email"))) if is_person else ""
    action = ResponderAction(
        type=action_type,
        by=by,
        source="servicenow",
        note=note[:NOTE_CHARS],
        id=action_id("servicenow", correlation_id, action_type, state, at, update, by, note) if at else "",
        ticket=Ticket(
            key=one_line(payload.get("number")),
            record=one_line(payload.get("sys_id")),
            site=site_of(f"//{one_line(payload.get('instance'))}".replace("//https://", "//")),
        ),
        occurred_at=happened_at(payload.get("at")),
    )
    return ParsedCallback(action, dedup_key, email=normal_address(payload.get("email")) if is_person else "")


def _action_type(payload: Mapping[str, Any], state: str, comment: str) -> tuple[ActionType, str] | None:
    """What a request reports, and its text."""
    number, code = one_line(payload.get("number")), one_line(payload.get("close_code"))
    text, assignee = f": {comment}" if comment else "", one_line(payload.get("assigned_to"))
    # A ticket that is closed already is commented on and assigned as well. A rule of an earlier version does not say.
    if not payload.get("state_changed", not (comment or assignee)):
        state = ""
    if state in _CANCELED_STATES:
        return "annotate", f"{number} is canceled, and the incident stays open{text}"
    if state in _CLOSED_STATES and _OTHER_TICKET.search(code):
        return "annotate", f"{number} is closed as {code}, and the incident stays open{text}"
    if state in _CLOSED_STATES:
        return "resolve", f"{number} {state}{text}"
    if comment:
        return "annotate", comment
    return ("reassign", assignee) if assignee else None


SERVICENOW = Callback(
    name="servicenow",
    path="servicenow",
    setting=SETTING,
    setting_description="The secret in ServiceNow's callbacks.",
    authenticate=bearer_token(SETTING),
    parse=parse,
    example={
        "correlation_id": "…",
        "number": "INC0010001",
        "sys_id": "…",
        "state": "6",
        "state_changed": True,
        "user": "carol",
        "user_name": "Carol",
    },
)
