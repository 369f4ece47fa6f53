"""Holds: a problem that must stay triggered for a time before anybody is notified, or that is suppressed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from incident.escalation import Escalation
from incident.peers import PeerMessage
from incident.state import Deadline, IncidentState, State
from incident.suppression import ListedIncident, Suppression, in_maintenance
from policy import Decision, format_duration
from policy.inhibition import is_inhibited_by

RECHECK_INTERVAL = timedelta(minutes=10)
"""What has no end of its own is checked again so often: in doubt somebody is notified."""
SILENCE_REMINDER = timedelta(minutes=15)
"""So long before a silence ends, the posts say that it does."""
EXPECTED_INTERVAL = timedelta(days=1)
"""What is expected is so until the monitor's next alert, or its clear; a deadline needs a time."""
RECHECK_SILENCE = timedelta(hours=1)
"""A silence that a person ended early is noticed after this at the latest."""


@dataclass(frozen=True)
class Wait:
    """Until when nobody is notified of a problem. Without a suppression, its rule holds it."""

    until: datetime
    suppression: Suppression | None = None

    @property
    def state(self) -> State:
        """Of an incident that has nothing else."""
        return "suppressed" if self.suppression else "holding"


class Holds:
    """Changes the state it is given."""

    def __init__(self, state: IncidentState, escalation: Escalation) -> None:
        self._state, self._escalation = state, escalation

    def wait_for(self, key: str, decision: Decision, now: datetime) -> Wait | None:
        """Until when nobody is notified of a problem by this decision; None if it waits for nothing."""
        suppressed = self.suppressed(key, now)
        held_until = now + timedelta(seconds=decision.hold) if decision.hold else None
        if suppressed is None:
            return Wait(held_until) if held_until else None
        return suppressed if held_until is None or held_until <= suppressed.until else Wait(held_until)

    def suppressed(self, key: str, now: datetime) -> Wait | None:
        """What keeps a problem quiet, whatever is decided about it: of several, what ends last."""
        problem = self._state.problems[key]
        known = [in_maintenance(problem.maintenance, now), problem.suppression, self._inhibited_here(key)]
        found = [one for one in known if one and (one.until is None or one.until > now)]
        return max((_wait(one, now) for one in found), key=lambda one: one.until, default=None)

    def _inhibited_here(self, key: str) -> Suppression | None:
        """Another problem of this incident inhibits it."""
        state = self._state
        decision = state.decision_of(state.problems[key])
        for name, one in state.problems.items():
            source = state.decision_of(one) if name != key and one.tier and one.status != "cleared" else None
            if source and decision and is_inhibited_by(decision.labels, decision.tier, source.inhibits):
                return Suppression(kind="inhibition", reason=f"{one.monitor} ({one.rule})", source=state.incident)
        return None

    def add(
        self,
        key: str,
        decision: Decision,
        waits: Wait,
        now: datetime,
        refired: str = "",
        before: Suppression | None = None,
    ) -> None:
        """Hold a problem. Of two holds of one problem, the one that ends later is of use only if it is louder.

        Args:
            key: of the problem.
            decision: what it is held for.
            waits: until when.
            now: the time.
            refired: why it is another fire, if it is one.
            before: what suppressed it until now.
        """
        state = self._state
        held = [one for one in state.deadlines if one.kind == "hold" and one.problem == key and one.decision]
        if any(one.at <= waits.until and one.decision and not decision.louder_than(one.decision.tier) for one in held):
            return  # it is being held already, and that ends sooner
        replaced = [
            one for one in held if one.decision and not one.decision.louder_than(decision.tier) and one.at > waits.until
        ]
        state.deadlines = [one for one in state.deadlines if one not in replaced]
        state.deadlines.append(
            Deadline(
                at=waits.until,
                kind="hold",
                decision=decision,
                problem=key,
                suppression=waits.suppression,
                refired=refired,
            )
        )
        if state.problems[key].tier is None:
            state.problems[key].note_decision(decision, state.keep_decision(decision))
        self._escalation.adopt_regulation(decision)
        if waits.suppression:
            if before and (before.kind, before.source) == (waits.suppression.kind, waits.suppression.source):
                return  # it goes on, and is known
            self.tell_source(key, decision, waits.suppression)
            if waits.suppression.kind == "seasonal":
                self._escalation.list_expected(decision, waits.suppression.reason)
            self._remind_of_end(key, waits.suppression, now)
            state.record(now, "suppressed", f"{state.problems[key].monitor}: {waits.suppression.text(now)}")
        else:
            state.record(
                now, "holding", f"notifies only if it is still triggered in {format_duration(decision.hold or 0)}"
            )

    def _remind_of_end(self, key: str, suppression: Suppression, now: datetime) -> None:
        """People are reminded before a silence ends, unless it is a short one."""
        state, until = self._state, suppression.until
        if suppression.kind == "silence" and until and until - now >= 2 * SILENCE_REMINDER:
            state.deadlines.append(
                Deadline(at=until - SILENCE_REMINDER, kind="silence_ends", problem=key, suppression=suppression)
            )

    def tell_source(self, key: str, decision: Decision, suppression: Suppression) -> None:
        """The incident that suppresses this one lists it."""
        state, problem = self._state, self._state.problems[key]
        kind = suppression.kind
        if kind in {"silence", "maintenance", "seasonal"} or suppression.source == state.incident:
            return
        listed = ListedIncident(
            incident=state.incident,
            monitor=problem.monitor,
            model=problem.alert.model if problem.alert else "",
            tier=decision.tier,
            kind="budget" if kind == "budget" else "inhibition",
        )
        message = PeerMessage(to=suppression.source, kind="list", incident=state.incident, listed=listed)
        state.outgoing.append(message)

    def drop(self, key: str) -> None:
        """The problem has cleared, or is notified now."""
        state = self._state
        state.deadlines = [
            one for one in state.deadlines if one.kind not in {"hold", "silence_ends"} or one.problem != key
        ]


def _wait(suppression: Suppression, now: datetime) -> Wait:
    """Until when nothing is notified because of it, or until it is checked again."""
    until = suppression.until or now + (EXPECTED_INTERVAL if suppression.kind == "seasonal" else RECHECK_INTERVAL)
    return Wait(min(until, now + RECHECK_SILENCE) if suppression.kind == "silence" else until, suppression)
