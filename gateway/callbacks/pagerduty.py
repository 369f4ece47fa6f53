"""PagerDuty's V3 webhooks.

Contract: https://developer.pagerduty.com/docs/webhooks-overview: ``event{id, event_type, agent, data}``, where
``data.incident_key`` is the dedup_key that the incident was triggered with. A note's ``data`` names the incident by
PagerDuty's own id alone.
"""

from collections.abc import Mapping
from typing import Any

from gateway.callbacks.said import NOTE_CHARS, Said, Vendor, text, within
from gateway.keys import ours
from gateway.signatures import check_pagerduty
from workflows.messages import Act, Answer

SETTING = "PAGERDUTY_WEBHOOK_SECRET"
_ACTS: dict[str, Act] = {
    "incident.acknowledged": "acknowledge",
    "incident.unacknowledged": "unacknowledge",
    "incident.resolved": "resolve",
    "incident.reopened": "reopen",
    "incident.escalated": "escalate",
    "incident.reassigned": "reassign",
    "incident.delegated": "reassign",
    "incident.annotated": "annotate",
}


def read(payload: Mapping[str, Any]) -> Said | str:
    event, data = within(payload, "event"), within(payload, "event", "data")
    kind = text(within(event, "event_type"))
    act = _ACTS.get(kind)
    key = text(within(data, "incident_key"), 500)
    vendor_id = text(within(data, "incident", "id") if act == "annotate" else within(data, "id"))
    if act != "annotate" and ours(key) is None:
        return "no incident of ours"
    if act is None:
        return Said(None, key, vendor_id) if vendor_id else f"{kind[:60]} changes nothing here"
    # A person, by PagerDuty's type; a service or an integration that does something is nobody's answer.
    person = text(within(event, "agent", "type")).startswith("user")
    event_id = text(within(event, "id"), 100)
    answer = Answer(
        act=act,
        by=text(within(event, "agent", "summary")) or text(within(event, "agent", "id")) if person else "",
        via="pagerduty",
        note=_note(act, data),
        id=f"pagerduty-{event_id}" if event_id else "",
    )
    if act == "annotate" and not answer.note:
        return "an empty note"
    return Said(answer, key, vendor_id)


def _note(act: Act, data: Any) -> str:
    if act == "annotate":
        return text(within(data, "content"), NOTE_CHARS)
    if act in {"escalate", "reassign"}:
        assignees = within(data, "assignees")
        names = [text(within(one, "summary")) for one in assignees] if isinstance(assignees, list) else []  # pyright: ignore[reportUnknownVariableType]
        return ", ".join(name for name in names if name)[:NOTE_CHARS]
    return ""


PAGERDUTY = Vendor(
    name="pagerduty",
    path="pagerduty",
    setting=SETTING,
    check=check_pagerduty,
    read=read,
    example={"event": {"id": "01", "event_type": "incident.acknowledged", "data": {"incident_key": "…"}}},
)
