"""An incident in the Temporal UI: the workflow's current details, as Markdown."""

import re

from alerts.bounded import cut_text, json_size
from incident.limits import DETAILS_LIMIT, ENVELOPE_BYTES
from incident.message_builder import headline
from incident.state import Deadline, IncidentState
from incident.text import counted
from incident.view import next_action
from policy.source import short_digest

_TIMELINE_LINES = 25
_RECEIPT_LINES = 10
_GAP = "\u00a0"
"""A no-break space. The Temporal UI draws tables without space between the columns."""


def ui_details(state: IncidentState, deadline: Deadline | None) -> str:
    """State, reason, receipts, timeline, and what happens next."""
    if state.alert is None or state.decision is None:
        return "**Received**, being classified"
    decision = state.decision
    alerts = counted(state.alert_count, "alert")
    actor = state.resolved_by if state.is_over else state.acknowledged_by
    by = f" by {escape_markdown(actor)}" if actor else ""
    policy = short_digest(decision.policy)
    lines = [
        f"### {escape_markdown(headline(state))}",
        f"**{state.state.replace('_', ' ').capitalize()}**{by} · {state.tier} · {alerts}",
        "",
        f"**Next:** {escape_markdown(next_action(state, deadline))}",
        "",
        f"**Why:** rule `{decision.rule}`: {escape_markdown(decision.reason)}  (policy `{policy}`)",
    ]
    if decision.regulated:
        lines += ["", f"**Regulated:** closed only by a person with the role `{decision.closed_by}`"]
    if state.receipts:
        lines += ["", "| notified | type | at (UTC) | receipt |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {escape_markdown(one.destination)}{_GAP} | {one.type}{_GAP} | {one.at:%H:%M:%S}{_GAP} "
            f"| {escape_markdown(one.id)} |"
            for one in state.receipts[-_RECEIPT_LINES:]
        ]
    lines += ["", "| at (UTC) | event | by | |", "| --- | --- | --- | --- |"]
    entries = [
        f"| {one.at:%d{_GAP}%b{_GAP}%H:%M:%S}{_GAP} | {one.event.replace('_', ' ')}{_GAP} "
        f"| {escape_markdown(one.by)}{_GAP} "
        f"| {escape_markdown(one.text)} |"
        for one in state.timeline[-_TIMELINE_LINES:]
    ]
    room = DETAILS_LIMIT - ENVELOPE_BYTES - json_size(lines)
    latest: list[str] = []
    for entry in reversed(entries):
        room -= json_size(entry) + 2
        if room < 0:
            break
        latest.insert(0, entry)
    # A state whose own texts leave no room is cut: Markdown that is cut is still shown.
    return cut_text("\n".join([*lines, *latest]), DETAILS_LIMIT - ENVELOPE_BYTES)


def escape_markdown(text: str) -> str:
    """An alert's text without effect as Markdown, HTML or a table's cell."""
    return re.sub(r"([\\`*_{}\[\]<>#|~!])", r"\\\1", text.replace("\n", " "))
