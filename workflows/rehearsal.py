"""What would happen: an incident's own rules, run against a clock that only counts.

``Life`` decides here as it does in the workflow, so a rehearsal cannot promise what the workflow does not do. Every
message is delivered at once, and nobody answers but those whom the script lets answer.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from activities.contracts import Delivered, Receipt, Verb
from alerts import Alert, incident_id
from policy import Decision, IncidentFacts, Target
from workflows.life import Life
from workflows.messages import Answer, Arrival
from workflows.outbox import Outbox
from workflows.state import IncidentState

Decide = Callable[[Alert, datetime, IncidentFacts], Decision]
_MOST_MESSAGES = 10_000


@dataclass(frozen=True)
class Event:
    """An alert, or what a person does, so long after the beginning."""

    after: timedelta
    what: Alert | Answer


@dataclass(frozen=True)
class Sent:
    """A message to a destination, so long after the beginning."""

    after: timedelta
    verb: Verb
    target: Target
    digest: bool = False
    note: str = ""


@dataclass
class Rehearsed:
    """One incident, from its first alert to the end of the rehearsal."""

    state: IncidentState
    sent: list[Sent] = field(default_factory=list[Sent])
    decisions: list[Decision] = field(default_factory=list[Decision])
    """What the policy said about each alert that burned, in order."""


def rehearse(events: Iterable[Event], decide: Decide, began: datetime, until: timedelta) -> list[Rehearsed]:
    """Every incident that the events open, in order. An answer is for the incident that was opened last."""
    stage = _Stage(decide, began)
    for event in sorted(events, key=lambda one: one.after):
        stage.run_to(event.after)
        stage.play(event)
    stage.run_to(until)
    return stage.incidents


class _Stage:
    def __init__(self, decide: Decide, began: datetime) -> None:
        self._decide = decide
        self._began = began
        self._open: dict[str, Rehearsed] = {}
        self.incidents: list[Rehearsed] = []

    def play(self, event: Event) -> None:
        now = self._began + event.after
        if isinstance(event.what, Answer):
            if self.incidents:
                one = self.incidents[-1]
                _life(one).answers.take(event.what, now)
                self._settle(one, now)
            return
        alert = event.what
        key = incident_id(alert)
        one = self._open.get(key)
        if one is None:
            if alert.status == "cleared":
                return  # nothing burns: the gateway opens nothing for it
            state = IncidentState(
                incident=key, opening=f"rehearsal{len(self.incidents)}", opened_at=now, chronicle=True
            )
            one = self._open[key] = Rehearsed(state)
            self.incidents.append(one)
        life, arrival = _life(one), Arrival(alert=alert)
        if alert.status == "cleared":
            life.cleared(arrival, now)
        elif alert.status == "no_data" and one.state.decision is not None:
            life.no_data(arrival, now)
        else:
            decision = self._decide(alert, now, life.facts([arrival], now))
            one.decisions.append(decision)
            life.arrived([arrival], decision, now)
        self._settle(one, now)

    def run_to(self, after: timedelta) -> None:
        """Let the time pass, and happen what is due."""
        end = self._began + after
        while due := [(one, at) for one in self._open.values() if (at := _next(one)) is not None and at <= end]:
            one, at = min(due, key=lambda pair: pair[1])
            _life(one).due(at)
            self._settle(one, at)
            if len(one.sent) > _MOST_MESSAGES:
                return

    def _settle(self, one: Rehearsed, now: datetime) -> None:
        """Deliver what is owed, at once; close what is resolved then."""
        state, outbox = one.state, Outbox(one.state)
        while state.owed:
            owed = min(state.owed, key=lambda each: each.target.kind != "page")
            one.sent.append(Sent(now - self._began, owed.verb, owed.target, owed.digest, owed.note))
            receipt = Receipt(destination=owed.target.name, type=owed.target.type, id=owed.thread, at=now, key=owed.key)
            outbox.delivered(owed, Delivered(receipt=receipt, recorded=True))
        state.unrecorded = []
        if state.state == "resolved":
            _life(one).closed(now)
            self._open = {key: other for key, other in self._open.items() if other is not one}


def _life(one: Rehearsed) -> Life:
    return Life(one.state, Outbox(one.state))


def _next(one: Rehearsed) -> datetime | None:
    appointment = _life(one).next()
    return appointment.at if appointment else None


def pages(sent: Sequence[Sent]) -> list[Sent]:
    """Those that somebody is notified by: no ticket, no digest, no change of an earlier message."""
    return [one for one in sent if one.verb in {"notify", "remind"} and not one.digest and one.target.kind != "ticket"]
