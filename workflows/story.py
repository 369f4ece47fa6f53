"""How an incident reads in the Temporal UI (Markdown), and what it awaits, in one line."""

import re
from datetime import datetime

from policy import format_duration
from workflows.brief import headline
from workflows.messages import IncidentView
from workflows.state import Appointment, IncidentState

_LINES = 25


def story(state: IncidentState, next_one: Appointment | None) -> str:
    """The workflow's current details: state, why, who was told and when, what is awaited until when."""
    if state.alert is None or state.decision is None:
        return "**Received**, being classified"
    decision = state.decision
    alerts = f"{state.alerts} alert{'s' if state.alerts != 1 else ''}"
    actor = state.resolved_by if state.over else state.acknowledged_by
    who = f" by {plain(actor)}" if actor else ""
    lines = [
        f"### {plain(headline(state))}",
        f"**{state.state.replace('_', ' ').capitalize()}**{who} · {state.tier} · {alerts}",
        "",
        f"**Next:** {plain(awaiting(state, next_one))}",
        "",
        f"**Why:** rule `{decision.rule}`: {plain(decision.why)}  (policy `{decision.policy}`)",
    ]
    if decision.regulated:
        lines += ["", f"**Regulated:** closed only by a person with the role `{decision.closed_by}`"]
    if state.receipts:
        lines += ["", "| told | how | when | receipt |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {plain(one.destination)} | {one.type} | {one.at:%H:%M:%S} | {plain(one.id)} |"
            for one in state.receipts[-10:]
        ]
    lines += ["", "| when (UTC) | what | by | |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {one.at:%m-%d %H:%M:%S} | {one.what.replace('_', ' ')} | {plain(one.by)} | {plain(one.text)} |"
        for one in state.timeline[-_LINES:]
    ]
    return "\n".join(lines)


def awaiting(state: IncidentState, next_one: Appointment | None) -> str:
    """One sentence: what happens next, and when."""
    if state.state == "closed":
        return "nothing; it is closed"
    if state.state == "resolved":
        return "the last messages to be delivered"
    if next_one and state.decision:
        return f"{timer_summary(state, next_one)}, at {_clock(next_one.at)}"
    if state.state == "awaiting_human" and state.decision:
        return f"a person with the role {state.decision.closed_by} to close it"
    if state.owed and state.state == "received":
        return "the first receipt"
    return "the monitor to clear, or a person to resolve it"


def timer_summary(state: IncidentState, one: Appointment) -> str:
    """What the timer is for: it stands beside the timer in the Temporal UI."""
    decision = state.decision
    assert decision is not None
    match one.business:
        case "hold":
            return "Act if it is still triggered"
        case "step":
            names = ", ".join(target.name for target in decision.steps[one.step].notify)
            return f"Escalate to step {one.step + 1} ({names}) unless acknowledged"
        case "unanswered":
            return f"Treat as {decision.unanswered.tier if decision.unanswered else 'unanswered'} unless acknowledged"
        case "remind":
            return f"Remind {state.acknowledged_by} every {format_duration(decision.remind or 0)} until it is resolved"
        case "silence":
            return f"Begin again unless it is resolved: silenced by {state.acknowledged_by}"
        case "again":
            return f"Try {one.owed.target.name if one.owed else 'the delivery'} again"


def view(state: IncidentState, next_one: Appointment | None) -> IncidentView:
    """The answer of the query, of every update, and of the API."""
    alert, decision = state.alert, state.decision
    return IncidentView(
        id=state.incident,
        opening=state.opening,
        state=state.state,
        tier=state.tier,
        rule=decision.rule if decision else "",
        model=alert.model if alert else "",
        environment=alert.environment if alert else "",
        team=decision.team if decision else "",
        regulated=decision.regulated if decision else False,
        closed_by=decision.closed_by if decision else "",
        escalation=state.escalation,
        alerts=state.alerts,
        cleared=state.cleared,
        acknowledged_by=state.acknowledged_by,
        acknowledged_at=state.acknowledged_at,
        resolved_by=state.resolved_by,
        opened_at=state.opened_at,
        closed_at=state.closed_at,
        headline=headline(state) if alert else "",
        awaiting=awaiting(state, next_one),
        alert=state.latest or alert,
        decision=decision,
        receipts=tuple(state.receipts),
        timeline=tuple(state.timeline),
    )


def plain(text: str) -> str:
    """An alert's words as words: no Markdown, no HTML, no cell of a table of its own."""
    return re.sub(r"([\\`*_{}\[\]<>#|~!])", r"\\\1", text.replace("\n", " "))


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
