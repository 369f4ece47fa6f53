"""Plays alerts and responder actions through the policy and the incident's state machine, without Temporal.

The state machine is the one that the workflow runs, so a simulation shows what the workflow does. Every notification
is accepted immediately, and only the given actions acknowledge.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerts import Alert, incident_id
from incident.events import GroupedAlert, ResponderAction
from incident.order import EventTimes
from incident.receipt import Receipt, Verb
from incident.state import IncidentState
from incident.state_machine import IncidentStateMachine
from policy import Decision, IncidentFacts, Target

Decide = Callable[[Alert, datetime, IncidentFacts], Decision]
MAX_NOTIFICATIONS = 10_000


@dataclass(frozen=True)
class Event:
    """An alert or a responder action, at a time after the start."""

    after: timedelta
    payload: Alert | ResponderAction


@dataclass(frozen=True)
class SentNotification:
    """A notification to a destination, at a time after the start."""

    after: timedelta
    verb: Verb
    target: Target
    digest: bool = False
    note: str = ""


@dataclass
class SimulatedIncident:
    """One incident, from its first alert to the end of the simulation."""

    state: IncidentState
    sent: list[SentNotification] = field(default_factory=list[SentNotification])
    decisions: list[Decision] = field(default_factory=list[Decision])
    """The policy's decision about each triggered alert, in order."""


def simulate(events: Iterable[Event], decide: Decide, start: datetime, until: timedelta) -> list[SimulatedIncident]:
    """Every incident that the events open, in order. An action is for the incident that was opened last."""
    simulator = _Simulator(decide, start)
    for event in sorted(events, key=lambda one: one.after):
        simulator.advance_to(event.after)
        simulator.play(event)
    simulator.advance_to(until)
    return simulator.incidents


class _Simulator:
    def __init__(self, decide: Decide, start: datetime) -> None:
        self._decide = decide
        self._start = start
        self._open: dict[str, SimulatedIncident] = {}
        self._times: dict[str, EventTimes] = {}
        """When the monitors of closed incidents were triggered and cleared, as the gateway's dedup store knows it."""
        self.incidents: list[SimulatedIncident] = []

    def play(self, event: Event) -> None:
        now = self._start + event.after
        if isinstance(event.payload, ResponderAction):
            if self.incidents:
                last = self.incidents[-1]
                _machine(last).handle_action(event.payload, now)
                self._send_pending(last, now)
            return
        alert = event.payload
        incident = self._open.get(incident_id(alert)) or self._open_incident(alert, now)
        if incident is not None:
            self._add_alert(incident, alert, now)
            self._send_pending(incident, now)

    def _open_incident(self, alert: Alert, now: datetime) -> SimulatedIncident | None:
        key = incident_id(alert)
        times = self._times.setdefault(key, EventTimes())
        if alert.status == "cleared":
            times.add_clear(alert.ordering_time, now)
            return None  # the gateway opens no incident for it
        if times.is_older_trigger(alert.ordering_time, now):
            return None
        run = f"simulation{len(self.incidents)}"
        state = IncidentState(
            incident=key, first_run_id=run, opened_at=now, times=times.model_copy(), bounded=True, random_key=True
        )
        incident = self._open[key] = SimulatedIncident(state)
        self.incidents.append(incident)
        return incident

    def _add_alert(self, incident: SimulatedIncident, alert: Alert, now: datetime) -> None:
        machine, grouped = _machine(incident), GroupedAlert(alert=alert)
        if alert.status == "cleared":
            machine.clear(grouped, now)
        elif alert.status == "no_data" and not machine.opens_without_data:
            machine.no_data(grouped, now)
        else:
            decision = self._decide(alert, now, machine.facts([grouped], now))
            incident.decisions.append(decision)
            machine.add_alerts([grouped], decision, now)

    def advance_to(self, after: timedelta) -> None:
        """Run every deadline up to that time."""
        end = self._start + after
        while due := [(one, at) for one in self._open.values() if (at := _next_deadline(one)) and at <= end]:
            incident, at = min(due, key=lambda pair: pair[1])
            _machine(incident).run_due(at)
            self._send_pending(incident, at)
            if len(incident.sent) > MAX_NOTIFICATIONS:
                return

    def _send_pending(self, incident: SimulatedIncident, now: datetime) -> None:
        """Send what is pending, pages first; close a resolved incident."""
        state, machine = incident.state, _machine(incident)
        while state.pending:
            one = min(state.pending, key=lambda each: each.target.kind != "page")
            sent = SentNotification(now - self._start, one.verb, one.target, one.digest, one.note)
            incident.sent.append(sent)
            receipt = Receipt(destination=one.target.name, type=one.target.type, id=one.dedup_key, at=now, key=one.key)
            machine.mark_sent(one, receipt, audit_written=True)
        state.unwritten_events = []
        if state.state == "resolved":
            machine.close(now)
            self._times[state.incident] = state.times.of_monitor()
            self._open = {key: other for key, other in self._open.items() if other is not incident}


def _machine(incident: SimulatedIncident) -> IncidentStateMachine:
    return IncidentStateMachine(incident.state)


def _next_deadline(incident: SimulatedIncident) -> datetime | None:
    deadline = _machine(incident).next_deadline()
    return deadline.at if deadline else None


def pages(sent: Sequence[SentNotification]) -> list[SentNotification]:
    """The notifications that reach a person: no ticket, no digest, no update of an earlier message."""
    return [one for one in sent if one.verb in {"notify", "remind"} and not one.digest and one.target.kind != "ticket"]
