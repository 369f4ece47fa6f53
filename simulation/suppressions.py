"""What suppresses simulated incidents: in memory, what production keeps in its database and sends between incidents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from alerts import Alert, incident_id
from incident.state import IncidentState, PendingNotification
from incident.state_machine import IncidentStateMachine
from incident.suppression import Inhibitor, Suppression, expected, inhibited, judged_at
from policy import Decision
from policy.decision import Budget

Silenced = Callable[[Alert, datetime], Suppression | None]
"""The silence of an alert."""


def nothing_silenced(alert: Alert, now: datetime) -> None:
    """A ``Silenced`` without silences."""
    del alert, now


@dataclass
class _Budget:
    """The pages of one scope, and the incident that lists what goes beyond."""

    pages: dict[str, datetime] = field(default_factory=dict[str, datetime])
    carrier: str = ""
    carrier_key: str = ""


class SimulatedSuppressions:
    """Of all incidents of one simulation. ``is_open`` says whether an incident of that id is open."""

    def __init__(self, is_open: Callable[[str], bool], silenced: Silenced = nothing_silenced) -> None:
        self._is_open, self._silenced = is_open, silenced
        self._inhibitors: dict[str, list[Inhibitor]] = {}
        self._budgets: dict[str, _Budget] = {}
        self._values: dict[str, dict[datetime, float]] = {}
        self._inhibits = False

    def find(self, incident: str, alert: Alert, decision: Decision, now: datetime) -> Suppression | None:
        """What suppresses an alert; see ``SuppressionFinder.find``."""
        self._inhibits |= bool(decision.inhibits)
        if alert.drill:
            return None
        if (silence := self._silenced(alert, now)) is not None:
            return silence
        if self._inhibitors:
            known = [one for name, found in self._inhibitors.items() if self._is_open(name) for one in found]
            if (inhibition := inhibited(decision, incident, known)) is not None:
                return inhibition
        return self._expected(alert, decision, now)

    def _expected(self, alert: Alert, decision: Decision, now: datetime) -> Suppression | None:
        """Whether the value is usual at this hour, by the values that were simulated before."""
        if decision.seasonal is None or alert.value is None:
            return None
        earlier = self._values.setdefault(incident_id(alert), {})
        earlier[judged_at(alert, now)] = alert.value
        return expected(alert, decision, now, earlier.items())

    def claim(self, budget: Budget, key: str, incident: str, now: datetime) -> str:
        """See ``SuppressionFinder.claim``."""
        found = self._budgets.setdefault(budget.scope, _Budget())
        if key in found.pages:
            return ""
        since = now - timedelta(seconds=budget.within)
        used = sum(at > since for at in found.pages.values())
        if found.carrier and (found.carrier_key == key or used >= budget.pages):
            if found.carrier != incident and not self._is_open(found.carrier):
                found.carrier, found.carrier_key = incident, key
            return found.carrier
        if used < budget.pages:
            found.pages = {name: at for name, at in found.pages.items() if at > since} | {key: now}
            found.carrier = found.carrier_key = ""
            return ""
        found.carrier, found.carrier_key = incident, key
        return incident

    def is_beyond_budget(self, state: IncidentState, page: PendingNotification, now: datetime) -> str:
        """The incident that lists this one instead of the page; empty if it is paged."""
        if page.budget is None or page.target.kind != "page":
            return ""
        carrier = self.claim(page.budget, page.budget_key, state.incident, now)
        return carrier if carrier != state.incident else ""

    def settle(self, machine: IncidentStateMachine, now: datetime) -> None:
        """Check what has to be checked, and note what the incident inhibits."""
        state = machine.state
        machine.settle()
        while keys := machine.suppressions.to_check():
            found: dict[str, Suppression | None] = dict.fromkeys(keys)
            for key in keys:
                problem, hold = state.problems[key], state.unchecked.get(key)
                decision = (hold and hold.decision) or state.decision_of(problem) or state.decision
                alert = problem.alert or state.alert
                if decision is not None and alert is not None:
                    found[key] = self.find(state.incident, alert, decision, now) or self._still(problem.suppression)
            machine.suppressions.apply(found, now)
        if self._inhibits:
            self._note_inhibitors(state.incident, machine.suppressions.inhibitors())

    def _still(self, suppression: Suppression | None) -> Suppression | None:
        is_budget = suppression is not None and suppression.kind == "budget"
        return suppression if suppression and is_budget and self._is_open(suppression.source) else None

    def _note_inhibitors(self, incident: str, found: Sequence[Inhibitor]) -> None:
        if found:
            self._inhibitors[incident] = list(found)
        else:
            self._inhibitors.pop(incident, None)
