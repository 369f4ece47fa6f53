"""Holds: a problem that must stay triggered for a time before anybody is notified, or that is suppressed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from incident.escalation import Escalation
from incident.state import Deadline, IncidentState, State
from incident.suppression import Suppression, in_maintenance
from policy import Decision, format_duration


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
        """What keeps a problem quiet, whatever is decided about it."""
        found = in_maintenance(self._state.problems[key].maintenance, now)
        return Wait(found.until, found) if found and found.until else None

    def add(self, key: str, decision: Decision, waits: Wait, now: datetime, refired: str = "") -> None:
        """Hold a problem. Of two holds of one problem, the one that ends later is of use only if it is louder.

        Args:
            key: of the problem.
            decision: what it is held for.
            waits: until when.
            now: the time.
            refired: why it is another fire, if it is one.
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
            state.record(now, "suppressed", f"{state.problems[key].monitor}: {waits.suppression.text(now)}")
        else:
            state.record(
                now, "holding", f"notifies only if it is still triggered in {format_duration(decision.hold or 0)}"
            )

    def drop(self, key: str) -> None:
        """The problem has cleared, or is notified now."""
        state = self._state
        state.deadlines = [one for one in state.deadlines if one.kind != "hold" or one.problem != key]
