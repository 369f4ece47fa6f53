"""Splunk On-Call's custom outgoing webhooks, event type Any-Incident.

Contract: https://help.victorops.com/knowledge-base/custom-outbound-webhooks/: one writes the payload oneself, from
variables; ``docs/answers.md`` says which. A payload of all variables, by their dotted names, is read as well.
"""

from collections.abc import Mapping
from typing import Any

from gateway.callbacks.said import NOTE_CHARS, Said, Vendor, check_token, text
from gateway.keys import ours
from workflows.messages import Act, Answer

SETTING = "SPLUNK_ONCALL_WEBHOOK_SECRET"
_ACTS: dict[str, Act] = {"ACKED": "acknowledge", "RESOLVED": "resolve"}
_NOBODY = "SYSTEM"


def read(payload: Mapping[str, Any]) -> Said | str:
    def field(short: str, variable: str) -> Any:
        return payload.get(short, payload.get(variable))

    entity = text(field("entity_id", "STATE.ENTITY_ID"), 500)
    if ours(entity) is None:
        return "no incident of ours"
    phase = text(field("phase", "STATE.CURRENT_ALERT_PHASE")).upper()
    act = _ACTS.get(phase)
    if act is None:
        return f"{phase[:60] or 'a callback without a phase'} changes nothing here"
    who = text(field("user", "STATE.ACK_USER"))
    moment = text(field("at", "STATE.LAST_TIMESTAMP"))
    answer = Answer(
        act=act,
        by="" if who == _NOBODY else who,
        via="splunk_oncall",
        note=text(field("message", "STATE.ACK_MSG"), NOTE_CHARS),
        id=f"splunk-{phase}-{moment}-{entity}"[:300] if moment else "",
    )
    return Said(answer, entity)


SPLUNK_ONCALL = Vendor(
    name="splunk_oncall",
    path="splunk-oncall",
    setting=SETTING,
    check=check_token(SETTING),
    read=read,
    example={"entity_id": "…", "phase": "ACKED", "user": "alice", "message": ""},
)
