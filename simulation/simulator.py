"""Plays alerts and responder actions through the policy and the incident's state machine, without Temporal.

The state machine is the one that the workflow runs, so a simulation shows what the workflow does. Every notification
is accepted immediately, and only the given actions acknowledge.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerts import Alert, incident_id
from incident.audit_events import AuditEvent
from incident.events import GroupedAlert, ResponderAction
from incident.order import EventTimes
from incident.receipt import Receipt, Verb
from incident.state import IncidentState, PendingNotification
from incident.state_machine import IncidentStateMachine
from policy import Decision, IncidentFacts, Target, Tier
from simulation.suppressions import Silenced, SimulatedSuppressions, nothing_silenced

Decide = Callable[[Alert, datetime, IncidentFacts], Decision]
MAX_NOTIFICATIONS = 10_000
ON_CALL = "the person on call"


@dataclass(frozen=True)
class Recheck:
    """A silence begins: open incidents check what suppresses them."""


@dataclass(frozen=True)
class Event:
    """Something that happens at a time after the start."""

    after: timedelta
    payload: Alert | ResponderAction | Recheck


@dataclass(frozen=True, slots=True)
class SentNotification:
    """A notification to a destination, at a time after the start, and what its incident was then."""

    after: timedelta
    verb: Verb
    target: Target
    digest: bool = False
    note: str = ""
    incident: str = ""
    model: str = ""
    team: str = ""
    tier: Tier = "low"
    problem: str = ""
    """The one that it is about."""
    monitor: str = ""


@dataclass
class SimulatedIncident:
    """One incident, from its first alert to the end of the simulation."""

    state: IncidentState
    sent: list[SentNotification] = field(default_factory=list[SentNotification])
    decisions: list[Decision] = field(default_factory=list[Decision])
    """The policy's decision about each triggered alert, in order."""
    machine: IncidentStateMachine = field(init=False)
    closed_at: datetime | None = None
    answered_at: datetime | None = None
    """When somebody acknowledges it."""

    def __post_init__(self) -> None:
        self.machine = IncidentStateMachine(self.state)


class QuietState(IncidentState):
    """Without a timeline and audit events, which nobody reads of a long replay."""

    def record(self, now: datetime, event: str, text: str, by: str = "tocsin", **data: object) -> None:
        self.event_number += 1

    def append_event(self, event: AuditEvent, *, written: bool = False) -> None:
        pass


def simulate(
    events: Iterable[Event],
    decide: Decide,
    start: datetime,
    until: timedelta,
    incident_of: Callable[[Alert], str] = incident_id,
    silenced: Silenced = nothing_silenced,
) -> list[SimulatedIncident]:
    """Every incident that the events open, in order. An action is for the incident that was opened last.

    Args:
        events: in any order.
        decide: the policy's decision.
        start: the time of the first.
        until: how long after that the simulation goes on.
        incident_of: the incident that the policy names for an alert.
        silenced: the silences.
    """
    simulator = Simulator(decide, start, incident_of, silenced=silenced)
    for event in sorted(events, key=lambda one: one.after):
        simulator.advance_to(event.after)
        simulator.play(event)
    simulator.advance_to(until)
    return simulator.incidents


class Simulator:
    """All incidents of one policy."""

    def __init__(
        self,
        decide: Decide,
        start: datetime,
        incident_of: Callable[[Alert], str] = incident_id,
        *,
        acknowledge_after: timedelta | None = None,
        quiet: bool = False,
        silenced: Silenced = nothing_silenced,
    ) -> None:
        """
        Args:
            decide: the policy's decision.
            start: the time that events count from.
            incident_of: the incident that the policy names for an alert.
            acknowledge_after: how long after a page or a post somebody acknowledges; by default nobody does.
            quiet: no timelines.
            silenced: the silences.
        """
        self._quiet = quiet
        self._suppressions = SimulatedSuppressions(self._is_open, silenced)
        self._decide, self._start, self._incident_of = decide, start, incident_of
        self._acknowledge_after = acknowledge_after
        self._last: dict[str, SimulatedIncident] = {}
        """The last incident of each id, open or closed."""
        self._held: dict[str, str] = {}
        """In which incident each problem was last, as the gateway's dedup store knows it."""
        self._times: dict[str, EventTimes] = {}
        """When the monitors of problems were triggered and cleared, likewise."""
        self._due: list[tuple[datetime, int, SimulatedIncident]] = []
        """A heap of deadlines, and of the times at which somebody acknowledges; what has moved since is skipped."""
        self._count = 0
        self.incidents: list[SimulatedIncident] = []

    def play(self, event: Event) -> None:
        """Something happens. ``advance_to`` its time comes first."""
        now = self._start + event.after
        if isinstance(event.payload, Recheck):
            for incident in [one for one in self.incidents if one.closed_at is None]:
                incident.state.must_check = True
                self._settle(incident, now)
            return
        if isinstance(event.payload, ResponderAction):
            if self.incidents:
                last = self.incidents[-1]
                last.machine.handle_action(event.payload, now)
                self._settle(last, now)
            return
        self.play_alert(event.payload, now)

    def play_alert(self, alert: Alert, now: datetime, decision: Decision | None = None) -> None:
        """An alert arrives. ``decision`` is about it, if it is known already."""
        problem = incident_id(alert)
        incident = self._open_incident_of(problem, alert) or self._start_incident(problem, alert, now)
        if incident is None:
            return
        self._held[problem] = incident.state.incident
        grouped = GroupedAlert(alert=alert, problem=problem, times=self._known_times(problem, incident))
        machine = incident.machine
        if alert.status == "cleared":
            machine.clear(grouped, now)
        elif alert.status == "no_data" and not machine.takes_no_data(grouped):
            machine.no_data(grouped, now)
        else:
            decision = decision or self._decide(alert, now, machine.facts([grouped], now))
            incident.decisions.append(decision)
            suppression = self._suppressions.find(incident.state.incident, alert, decision, now)
            machine.add_alerts([grouped], decision, now, (), {problem: suppression} if suppression else {})
        self._settle(incident, now)

    def _is_open(self, incident: str) -> bool:
        last = self._last.get(incident)
        return last is not None and last.closed_at is None

    def _open_incident_of(self, problem: str, alert: Alert) -> SimulatedIncident | None:
        """The open incident that holds the problem, or that the policy names."""
        for name in (self._held.get(problem, ""), problem, self._incident_of(alert)):
            found = self._last.get(name)
            if found is not None and found.closed_at is None:
                return found
        return None

    def _start_incident(self, problem: str, alert: Alert, now: datetime) -> SimulatedIncident | None:
        times = self._times.setdefault(problem, EventTimes())
        if alert.status == "cleared":
            times.add_clear(alert.ordering_time, now)
            return None  # the gateway opens no incident for it
        if times.is_older_trigger(alert.ordering_time, now):
            return None
        name = self._incident_of(alert)
        last = self._last.get(name)
        if last is not None and last.closed_at is not None and _may_reopen(last.state, last.closed_at, now):
            last.closed_at = None
            return last
        run = f"simulation{len(self.incidents)}"
        state = (QuietState if self._quiet else IncidentState)(
            incident=name, first_run_id=run, opened_at=now, bounded=True, random_key=True, tracks_problems=True
        )
        incident = self._last[name] = SimulatedIncident(state)
        self.incidents.append(incident)
        return incident

    def _known_times(self, problem: str, incident: SimulatedIncident) -> EventTimes | None:
        """Of a problem that the incident does not hold yet."""
        times = None if problem in incident.state.problems else self._times.get(problem)
        return times.of_monitor() if times and times.has_clear else None

    def advance_to(self, after: timedelta) -> None:
        """Run every deadline up to that time."""
        end = self._start + after
        while self._due and self._due[0][0] <= end:
            at, _, incident = heapq.heappop(self._due)
            deadline = incident.machine.next_deadline()
            if incident.closed_at is not None:
                continue
            if incident.answered_at == at:
                incident.answered_at = None
                incident.machine.handle_action(ResponderAction(type="acknowledge", by=ON_CALL, source="api"), at)
            elif deadline is not None and deadline.at == at:
                incident.machine.run_due(at)
            else:
                continue
            if len(incident.sent) <= MAX_NOTIFICATIONS:
                self._settle(incident, at)

    def _settle(self, incident: SimulatedIncident, now: datetime) -> None:
        """Send what is pending, and tell other incidents what concerns them; they do the same."""
        waiting = deque([incident])
        while waiting:
            one = waiting.popleft()
            self._settle_one(one, now)
            outgoing, one.state.outgoing = one.state.outgoing, []
            for message in outgoing:
                other = self._last.get(message.to)
                if other is not None and other.closed_at is None:
                    other.machine.suppressions.handle(message, now)
                    waiting.append(other)
                elif message.kind == "list":  # that incident is over
                    one.state.must_check = True
                    waiting.append(one)

    def _settle_one(self, incident: SimulatedIncident, now: datetime) -> None:
        """Send what is pending, pages first; close a resolved incident, and note its next deadline."""
        state, machine = incident.state, incident.machine
        if incident.closed_at is None:
            self._suppressions.settle(machine, now)
        while state.pending:
            one = min(state.pending, key=lambda each: each.target.kind != "page")
            if carrier := self._suppressions.is_beyond_budget(state, one, now):
                machine.mark_over_budget(one, carrier, now)
                continue
            incident.sent.append(_sent(state, one, now - self._start))
            receipt = Receipt(destination=one.target.name, type=one.target.type, id=one.dedup_key, at=now, key=one.key)
            machine.mark_sent(one, receipt, audit_written=True)
            self._answer(incident, one, now)
        state.unwritten_events = []
        if state.state == "resolved" and incident.closed_at is None:
            machine.close(now)
            incident.closed_at = now
            self._times |= {key: one.times.of_monitor() for key, one in state.problems.items()}
            incident.answered_at = None
        elif (deadline := machine.next_deadline()) is not None:
            self._push(deadline.at, incident)

    def _answer(self, incident: SimulatedIncident, sent: PendingNotification, now: datetime) -> None:
        """Somebody will acknowledge what was sent now, unless somebody has, or is about to."""
        is_new = sent.verb == "notify" and not sent.digest and sent.target.kind != "ticket"
        if self._acknowledge_after is None or not is_new or incident.answered_at is not None:
            return
        if not incident.state.acknowledged_at:
            incident.answered_at = now + self._acknowledge_after
            self._push(incident.answered_at, incident)

    def _push(self, at: datetime, incident: SimulatedIncident) -> None:
        self._count += 1
        heapq.heappush(self._due, (at, self._count, incident))


def _sent(state: IncidentState, one: PendingNotification, after: timedelta) -> SentNotification:
    return SentNotification(
        after,
        one.verb,
        one.target,
        one.digest,
        one.note,
        state.incident,
        state.alert.model if state.alert else "",
        state.decision.team if state.decision else "",
        state.tier or "low",
        state.lead,
        state.alert.monitor if state.alert else "",
    )


def _may_reopen(closed: IncidentState, closed_at: datetime, now: datetime) -> bool:
    within = closed.decision.reopen_within if closed.decision else None
    return within is not None and (now - closed_at).total_seconds() <= within


def pages(sent: Sequence[SentNotification]) -> list[SentNotification]:
    """The notifications that reach a person: no ticket, no digest, no update of an earlier message."""
    return [one for one in sent if one.verb in {"notify", "remind"} and not one.digest and one.target.kind != "ticket"]
