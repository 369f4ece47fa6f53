"""Opsgenie's outgoing webhooks.

Contract: https://support.atlassian.com/opsgenie/docs/integrate-opsgenie-with-webhook/: ``action``, ``source``, and
``alert`` with our ``alias``. Opsgenie signs nothing; it sends the headers that the integration is given.
"""

from collections.abc import Mapping
from typing import Any

from gateway.callbacks.said import NOTE_CHARS, Said, Vendor, check_token, text, within
from gateway.keys import ours
from workflows.messages import Act, Answer

SETTING = "OPSGENIE_WEBHOOK_SECRET"
_ACTS: dict[str, Act] = {
    "acknowledge": "acknowledge",
    "unacknowledge": "unacknowledge",
    "close": "resolve",
    "addnote": "annotate",
    "escalate": "escalate",
    "escalatenext": "escalate",
    "assignownership": "reassign",
    "takeownership": "reassign",
}
_NOBODY = frozenset({"api", "integration", "system", "policy", "escalation"})
"""Types of source that are no person; an acknowledgement that we told comes back as one of the API's."""


def read(payload: Mapping[str, Any]) -> Said | str:
    action = text(payload.get("action"))
    alias = text(within(payload, "alert", "alias"), 500)
    if ours(alias) is None:
        return "no incident of ours"
    act = _ACTS.get(action.casefold())
    if act is None:
        return f"{action[:60]} changes nothing here"
    person = text(within(payload, "source", "type")).casefold() not in _NOBODY
    who = text(within(payload, "alert", "username")) if person else ""
    moment = text(within(payload, "alert", "updatedAt"))
    note = within(payload, "alert", "owner") if act == "reassign" else within(payload, "alert", "note")
    answer = Answer(
        act=act,
        by=who,
        via="opsgenie",
        note=text(note, NOTE_CHARS),
        id=f"opsgenie-{action}-{moment}-{alias}"[:300] if moment else "",
    )
    if act == "annotate" and not (answer.note and answer.by):
        return "no note of a person"
    return Said(answer, alias, email=who if "@" in who else "")


OPSGENIE = Vendor(
    name="opsgenie",
    path="opsgenie",
    setting=SETTING,
    check=check_token(SETTING),
    read=read,
    example={"action": "Acknowledge", "source": {"type": "web"}, "alert": {"alias": "…", "username": "a@example.com"}},
)
