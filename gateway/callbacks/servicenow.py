"""ServiceNow: what a business rule on the incident table sends.

ServiceNow has no webhooks of its own: ``docs/answers.md`` holds the rule (a Script of ``sn_ws.RESTMessageV2``). It
sends ``correlation_id`` (our key), ``number``, ``state``, ``active``, ``user_name``, ``email``, ``comment`` and ``at``.
"""

from collections.abc import Mapping
from typing import Any

from gateway.callbacks.said import NOTE_CHARS, Said, Vendor, check_token, text
from gateway.keys import ours
from workflows.messages import Act, Answer

SETTING = "SERVICENOW_WEBHOOK_SECRET"
_DONE = frozenset({"6", "7", "8", "resolved", "closed", "canceled"})
"""States of the table ``incident`` as it is delivered: resolved, closed, canceled."""


def read(payload: Mapping[str, Any]) -> Said | str:
    key = text(payload.get("correlation_id"), 500)
    if ours(key) is None:
        return "no ticket of ours"
    number, state = text(payload.get("number")), text(payload.get("state")).casefold()
    comment = text(payload.get("comment"), NOTE_CHARS)
    act: Act
    if state in _DONE:
        act, note = "resolve", f"{number} {state}{f': {comment}' if comment else ''}"
    elif comment:
        act, note = "annotate", comment
    else:
        return f"state {state[:60]} changes nothing here"
    email, moment = text(payload.get("email")), text(payload.get("at"))
    answer = Answer(
        act=act,
        by=text(payload.get("user_name")) or email,
        via="servicenow",
        note=note[:NOTE_CHARS],
        id=f"servicenow-{key}-{act}-{moment}"[:300] if moment else "",
    )
    return Said(answer, key, email=email)


SERVICENOW = Vendor(
    name="servicenow",
    path="servicenow",
    setting=SETTING,
    check=check_token(SETTING),
    read=read,
    example={"correlation_id": "…", "number": "INC0010001", "state": "6", "user_name": "Carol"},
)
