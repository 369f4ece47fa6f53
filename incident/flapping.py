"""Problems that are triggered and clear again and again: counted, and notified of once."""

from datetime import datetime, timedelta

from incident.fires import Fires
from incident.problem import Problem
from incident.state import Deadline, IncidentState
from incident.text import counted
from policy import Decision, format_duration


class FlappingProblems:
    """Changes the state it is given. A problem that nobody was notified of, because it is held, does not flap."""

    def __init__(self, state: IncidentState, fires: Fires) -> None:
        self._state, self._fires = state, fires

    def note_change(self, key: str, now: datetime) -> None:
        """The problem was triggered, or cleared, and is not what it was before."""
        problem, decision = self._state.problems[key], self._decision(key)
        flapping = decision.flapping if decision else None
        if decision is None or flapping is None:
            return
        since = now - timedelta(seconds=flapping.within)
        recent = [at for at in problem.changes if at > since]
        problem.changes = [*recent[-4 * flapping.changes :], now]
        if problem.flapping_since is not None:
            self._watch(key, flapping.until_stable, now)
        elif len(problem.changes) >= flapping.changes and problem.tier is not None:
            problem.flapping_since = now
            self._watch(key, flapping.until_stable, now)
            text = f"{problem.monitor} is flapping: {_changes(problem, now)}"
            self._state.record(now, "flapping", text)
            until = format_duration(flapping.until_stable)
            self._fires.flaps(key, decision, now, f"{text}. No further updates until it is stable for {until}.")

    def end(self, key: str, now: datetime) -> bool:
        """It has not changed for long enough. Whether it has cleared, and counts as such from now on."""
        problem, decision = self._state.problems.get(key), self._decision(key)
        if problem is None or problem.flapping_since is None:
            return False
        problem.flapping_since, problem.changes = None, []
        status = "cleared" if problem.status == "cleared" else "triggered"
        text = f"{problem.monitor} is {status}, and flaps no more"
        self._state.record(now, "flapping_ended", text)
        if status == "triggered" and decision is not None:
            self._fires.is_stable(key, decision, now, f"{text}.")
        return status == "cleared"

    def forget(self) -> None:
        """The incident is opened again: what flapped then may do so again."""
        for problem in self._state.problems.values():
            problem.flapping_since = None

    def _watch(self, key: str, until_stable: float, now: datetime) -> None:
        state = self._state
        state.deadlines = [one for one in state.deadlines if one.kind != "stable" or one.problem != key]
        state.deadlines.append(Deadline(at=now + timedelta(seconds=until_stable), kind="stable", problem=key))

    def _decision(self, key: str) -> Decision | None:
        problem = self._state.problems.get(key)
        return self._state.decision_of(problem) if problem else None


def _changes(problem: Problem, now: datetime) -> str:
    seconds = (now - problem.changes[0]).total_seconds()
    span = format_duration(seconds // 60 * 60 if seconds >= 60 else round(seconds))
    return f"{counted(len(problem.changes), 'change')} in {span}"
