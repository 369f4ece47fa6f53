"""An incident in the Temporal UI: the workflow's current details, as Markdown."""

import re

from incident.message_builder import headline
from incident.state import Deadline, IncidentState
from incident.text import counted
from incident.view import next_action

_TIMELINE_LINES = 25
_RECEIPT_LINES = 10


def ui_details(state: IncidentState, deadline: Deadline | None) -> str:
    """State, reason, receipts, timeline, and what happens next."""
    if state.alert is None or state.decision is None:
        return "**Received**, being classified"
    decision = state.decision
    alerts = counted(state.alert_count, "alert")
    actor = state.resolved_by if state.is_over else state.acknowledged_by
    by = f" by {escape_markdown(actor)}" if actor else ""
    lines = [
        f"### {escape_markdown(headline(state))}",
        f"**{state.state.replace('_', ' ').capitalize()}**{by} · {state.tier} · {alerts}",
        "",
        f"**Next:** {escape_markdown(next_action(state, deadline))}",
        "",
        f"**Why:** rule `{decision.rule}`: {escape_markdown(decision.reason)}  (policy `{decision.policy}`)",
    ]
    if decision.regulated:
        lines += ["", f"**Regulated:** closed only by a person with the role `{decision.closed_by}`"]
    if state.receipts:
        lines += ["", "| notified | type | at (UTC) | receipt |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {escape_markdown(one.destination)} | {one.type} | {one.at:%H:%M:%S} | {escape_markdown(one.id)} |"
            for one in state.receipts[-_RECEIPT_LINES:]
        ]
    lines += ["", "| at (UTC) | event | by | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {one.at:%m-%d %H:%M:%S} | {one.event.replace('_', ' ')} | {escape_markdown(one.by)} "
        f"| {escape_markdown(one.text)} |"
        for one in state.timeline[-_TIMELINE_LINES:]
    ]
    return "\n".join(lines)


def escape_markdown(text: str) -> str:
    """An alert's text without effect as Markdown, HTML or a table's cell."""
    return re.sub(r"([\\`*_{}\[\]<>#|~!])", r"\\\1", text.replace("\n", " "))
