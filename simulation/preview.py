"""A preview of an incident in lines for people: when, how and to which destinations."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts import Alert
from incident.escalation import reminder_targets
from policy import Decision, IncidentFacts, Policy, format_duration
from policy.decision import Target
from simulation.simulator import Decide, Event, SentNotification, simulate

HORIZON = timedelta(hours=24)
_VERBS = {"page": "page", "post": "post to", "console": "print for", "ticket": "open a ticket in"}


@dataclass(frozen=True)
class Line:
    """One line of the preview. ``target`` names destinations or states what happens."""

    when: str
    verb: str
    target: str
    condition: str = ""


def decide_by(policy: Policy) -> Decide:
    """The policy's decisions, for a simulation."""

    def decide(alert: Alert, now: datetime, incident: IncidentFacts) -> Decision:
        return policy.decide(alert, now, incident)

    return decide


def preview(policy: Policy, alert: Alert, now: datetime) -> list[Line]:
    """The notifications of the first 24 hours, if nobody acknowledges and the monitor does not clear."""
    lines: list[Line] = []
    event = Event(timedelta(0), policy.interpret(alert))
    for incident in simulate([event], decide_by(policy), now, HORIZON, policy.incident_of):
        decision = incident.decisions[0]
        if decision.hold:
            text = f"{format_duration(decision.hold)}: it notifies only if it is still triggered then"
            lines.append(Line("at once", "wait", text, _hold_in_vain(alert, decision.hold)))
        notifications = [sent for sent in incident.sent if sent.verb in {"notify", "remind"}]
        for after in sorted({sent.after for sent in notifications}):
            lines += _lines(after, [sent for sent in notifications if sent.after == after], decision)
    return lines


def _hold_in_vain(alert: Alert, hold: float) -> str:
    """A hold that ends before the monitor's next evaluation can see no clear."""
    every = alert.cadence_seconds
    return f"in vain: Arize evaluates the monitor every {format_duration(every)}" if every and every > hold else ""


def _lines(after: timedelta, notifications: list[SentNotification], decision: Decision) -> Iterator[Line]:
    seconds = after.total_seconds()
    when = f"after {format_duration(seconds)}" if seconds else "at once"
    is_later_step = seconds > (decision.hold or 0)
    for kind, verb in _VERBS.items():
        targets = [sent.target for sent in notifications if sent.target.kind == kind and not sent.digest]
        if targets:
            condition = "unless acknowledged" if is_later_step and kind != "ticket" else ""
            yield Line(when, verb, name_targets(targets), condition)
    digests = [sent.target for sent in notifications if sent.digest]
    if digests:
        yield Line(when, "digest in", name_targets(digests))


def name_targets(targets: list[Target]) -> str:
    """``ai-secondary, managers (pagerduty)``"""
    by_type: dict[str, list[str]] = {}
    for target in targets:
        by_type.setdefault(target.type, []).append(target.name)
    return ", ".join(f"{', '.join(names)} ({kind})" for kind, names in by_type.items())


def conditional_lines(decision: Decision) -> Iterator[Line]:
    """What happens on an acknowledgement, a failed notification and a clear."""
    reminded = list(reminder_targets(decision))
    if decision.remind and reminded:
        every = format_duration(decision.remind)
        yield Line("acknowledged", "remind", f"{name_targets(reminded)}, every {every} while it stays open")
    if decision.fallback and (decision.steps or decision.digest):
        yield Line("unreachable", "notify", name_targets(list(decision.fallback)))
    if decision.regulated:
        yield Line("cleared", "close", f"only by a person with the role {decision.closed_by}")
    else:
        yield Line("cleared", "close", "automatically, or earlier by a responder")
