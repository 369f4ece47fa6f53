"""What happens after an alert, in lines that people read: when, how, to whom."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts import Alert
from policy import Decision, IncidentFacts, Policy, format_duration
from policy.decision import Target
from workflows.rehearsal import Decide, Event, Sent, rehearse

HORIZON = timedelta(hours=24)
_HOW = {"page": "page", "post": "post to", "console": "print for", "ticket": "open a ticket in"}


@dataclass(frozen=True)
class Line:
    when: str
    how: str
    whom: str
    unless: str = ""


def deciding(policy: Policy) -> Decide:
    """The policy, as a rehearsal asks it."""

    def decide(alert: Alert, now: datetime, incident: IncidentFacts) -> Decision:
        return policy.decide(alert, now, incident)

    return decide


def what_happens(policy: Policy, alert: Alert, now: datetime) -> list[Line]:
    """What is sent where nobody answers, and the monitor does not clear."""
    rehearsed = rehearse([Event(timedelta(0), alert)], deciding(policy), now, HORIZON)
    lines: list[Line] = []
    for one in rehearsed:
        decision = one.decisions[0]
        if decision.hold:
            lines.append(
                Line("at once", "wait", f"{format_duration(decision.hold)}: it acts only if it still burns then")
            )
        for after, messages in _together([each for each in one.sent if each.verb in {"notify", "remind"}]):
            lines += _lines(after, messages, decision)
    return lines


def _together(sent: list[Sent]) -> Iterator[tuple[timedelta, list[Sent]]]:
    times = sorted({one.after for one in sent})
    for after in times:
        yield after, [one for one in sent if one.after == after]


def _lines(after: timedelta, messages: list[Sent], decision: Decision) -> Iterator[Line]:
    seconds = after.total_seconds()
    when = "at once" if not seconds else f"after {format_duration(seconds)}"
    waits = seconds > (decision.hold or 0)
    for kind, how in _HOW.items():
        targets = [one.target for one in messages if one.target.kind == kind and not one.digest]
        if targets:
            yield Line(when, how, named(targets), "unless acknowledged" if waits and kind != "ticket" else "")
    digests = [one.target for one in messages if one.digest]
    if digests:
        yield Line(when, "digest in", named(digests))


def named(targets: list[Target]) -> str:
    """``ai-secondary, managers (pagerduty)``"""
    by_type: dict[str, list[str]] = {}
    for target in targets:
        by_type.setdefault(target.type, []).append(target.name)
    return ", ".join(f"{', '.join(names)} ({kind})" for kind, names in by_type.items())


def afterwards(decision: Decision) -> Iterator[Line]:
    """What holds beside the steps: reminders, the fallback, who closes it."""
    if decision.remind and decision.steps:
        every = format_duration(decision.remind)
        yield Line(
            "acknowledged", "remind", f"{named(list(decision.steps[0].notify))}, every {every} that it stays open"
        )
    if decision.fallback and (decision.steps or decision.digest):
        yield Line("not reached", "tell", named(list(decision.fallback)))
    if decision.regulated:
        yield Line("cleared", "close", f"only by a person with the role {decision.closed_by}, never by the machine")
    else:
        yield Line("cleared", "close", "by itself, or by any responder before that")
