"""Plays a history of alerts, with their times, and lists each notification that a policy would have sent.

Nobody resolves anything, and the person on call acknowledges some time after each page and post.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from alerts import Alert
from policy import Decision, Policy, format_duration
from policy.decision import IncidentFacts
from simulation.preview import decide_by
from simulation.simulator import SentNotification, SimulatedIncident, Simulator

ACKNOWLEDGE_AFTER = timedelta(minutes=5)
"""By default."""
_TAIL = timedelta(hours=24)
"""How long the replay goes on after the last alert."""
_FIRST = IncidentFacts(alerts=1)


class TimedAlert(NamedTuple):
    """An alert in the policy's words, when it arrived, and the decision, if that depends on no incident."""

    at: datetime
    alert: Alert
    decision: Decision | None = None


@dataclass
class Replay:
    """What would have been sent."""

    start: datetime
    acknowledge_after: timedelta | None
    alerts: int = 0
    last: datetime | None = None
    simulated: list[SimulatedIncident] = field(default_factory=list[SimulatedIncident])
    """The incidents, as they were at the end."""
    notifications: list[SentNotification] = field(default_factory=list[SentNotification])

    @property
    def incidents(self) -> int:
        return len(self.simulated)

    def at(self, sent: SentNotification) -> datetime:
        """When it would have been sent, in UTC."""
        return self.start + sent.after


def prepare(policy: Policy, alert: Alert, at: datetime) -> TimedAlert:
    """An alert as ``replay`` takes it. This part of the work may be done in another process."""
    alert = policy.interpret(alert).model_copy(update={"raw": {}})
    if alert.status == "cleared" or policy.asks_of_incidents:
        return TimedAlert(at, alert)
    return TimedAlert(at, alert, policy.decide(alert, at, _FIRST).model_copy(update={"trace": ()}))


def replay(
    policy: Policy, history: Iterable[TimedAlert], acknowledge_after: timedelta | None = ACKNOWLEDGE_AFTER
) -> Replay:
    """Play a history.

    Args:
        policy: decides.
        history: in any order; of equal times, in the given one. One in the order of its times is played as it is read.
        acknowledge_after: how long after each page and post somebody acknowledges; None for never.
    """
    read: list[TimedAlert] = []

    def noted() -> Iterator[TimedAlert]:
        for one in history:
            read.append(one)
            yield one

    rest = noted()
    try:
        return _play(policy, rest, acknowledge_after)
    except _DisorderError:
        deque(rest, maxlen=0)  # reads the rest
        return _play(policy, sorted(read, key=lambda one: one.at), acknowledge_after)


class _DisorderError(Exception):
    """An alert is older than the one before it."""


def _play(policy: Policy, history: Iterable[TimedAlert], acknowledge_after: timedelta | None) -> Replay:
    """Raises _DisorderError."""
    found, simulator = Replay(datetime.now(UTC), acknowledge_after), None
    for event in history:
        if simulator is None or found.last is None:
            found.start = found.last = event.at
            simulator = Simulator(
                decide_by(policy), event.at, policy.incident_of, acknowledge_after=acknowledge_after, quiet=True
            )
        if event.at < found.last:
            raise _DisorderError
        found.alerts, found.last = found.alerts + 1, event.at
        simulator.advance_to(event.at - found.start)
        simulator.play_alert(event.alert, event.at, event.decision)
    if simulator is not None and found.last is not None:
        simulator.advance_to(found.last - found.start + _TAIL)
        found.simulated = simulator.incidents
        sent = (one for incident in simulator.incidents for one in incident.sent)
        found.notifications = sorted(sent, key=lambda one: one.after)
    return found


def is_page(sent: SentNotification) -> bool:
    """Whether it wakes somebody. A console counts for what is critical, as it does for the policy's checks."""
    is_loud = sent.target.kind == "page" or (sent.target.kind == "console" and sent.tier == "critical")
    return sent.verb == "notify" and is_loud and not sent.digest


def is_post(sent: SentNotification) -> bool:
    """Whether it is a new message in a channel."""
    return sent.verb == "notify" and not sent.digest and not is_page(sent) and sent.target.kind != "ticket"


def is_ticket(sent: SentNotification) -> bool:
    return sent.verb == "notify" and sent.target.kind == "ticket"


def is_digest(sent: SentNotification) -> bool:
    return sent.digest


def is_reminder(sent: SentNotification) -> bool:
    return sent.verb == "remind"


KINDS: dict[str, Callable[[SentNotification], bool]] = {
    "pages": is_page,
    "posts": is_post,
    "tickets": is_ticket,
    "digests": is_digest,
    "reminders": is_reminder,
}
"""What is counted, by its name in the summary."""


def summary(found: Replay) -> dict[str, Any]:
    """Counts: in total, by team, by week and by hour of the day."""
    return {
        "alerts": found.alerts,
        "incidents": found.incidents,
        "first": found.start.isoformat() if found.alerts else None,
        "last": found.last.isoformat() if found.last else None,
        "acknowledge_after": format_duration(found.acknowledge_after.total_seconds())
        if found.acknowledge_after
        else "never",
        **counts(found.notifications),
        "by_team": _counts_by(found.notifications, [sent.team for sent in found.notifications]),
        "by_week": _counts_by(found.notifications, [week_of(found.at(sent)) for sent in found.notifications]),
        "by_hour": _counts_by(found.notifications, [f"{found.at(sent):%H}" for sent in found.notifications]),
    }


def counts(sent: Sequence[SentNotification]) -> dict[str, int]:
    """How many of each kind."""
    return {name: sum(map(is_kind, sent)) for name, is_kind in KINDS.items()}


def notification_json(found: Replay, sent: SentNotification) -> dict[str, Any]:
    """One notification as the JSON report has it."""
    return {
        "at": found.at(sent).isoformat(),
        "verb": sent.verb,
        "destination": sent.target.name,
        "type": sent.target.type,
        "digest": sent.digest,
        "incident": sent.incident,
        "model": sent.model,
        "team": sent.team,
        "tier": sent.tier,
    }


def _counts_by(sent: Sequence[SentNotification], names: Sequence[str]) -> dict[str, dict[str, int]]:
    tally: dict[str, Counter[str]] = {}
    for one, name in zip(sent, names, strict=True):
        tally.setdefault(name, Counter()).update(kind for kind, is_kind in KINDS.items() if is_kind(one))
    return {name: {kind: tally[name][kind] for kind in KINDS} for name in sorted(tally)}


def week_of(at: datetime) -> str:
    """``2026-W45``"""
    year, week, _ = at.isocalendar()
    return f"{year}-W{week:02}"
