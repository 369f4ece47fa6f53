"""Decides about an incident's alerts, and comes to an end even if every attempt fails: in doubt, louder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

from activities.contracts import Classification, ClassifyRequest, DoubtRequest
from alerts import Alert
from incident.events import GroupedAlert
from incident.limits import KEPT_ALERT_BYTES
from incident.state import IncidentState
from incident.state_machine import IncidentStateMachine
from incident.suppression import Suppression
from policy import Decision, IncidentFacts, loudest
from workflows import activity_calls
from workflows.bounds import bounded_group
from workflows.contracts import IncidentInput

ACTIONS_WAIT = timedelta(seconds=15)
"""How long a responder's action waits for the decision about earlier alerts: for as long as one attempt may take."""


@dataclass(frozen=True)
class Decided:
    """A decision about alerts. ``failure`` is why they could not be classified; then it is made in doubt."""

    result: Classification
    failure: str = ""

    def record_failure(self, state: IncidentState, now: datetime) -> None:
        """Record why the decision is made in doubt, if it is."""
        if self.failure:
            state.record(now, "classification_failed", f"decided in doubt: {self.failure}")


@dataclass(frozen=True)
class InitialDecision:
    """What the gateway decided about so many of the first alerts: the loudest decision, and that about each problem."""

    decision: Decision
    count: int
    of_problem: Mapping[str, Decision]
    suppressions: Mapping[str, Suppression]

    def about(self, alert: GroupedAlert) -> Decision:
        """The decision about the problem of one of them."""
        return self.of_problem.get(alert.problem_id, self.decision)


def initial_decision(start: IncidentInput) -> InitialDecision | None:
    """The gateway's decision, if it made one."""
    if start.decision is None:
        return None
    alerts = start.alerts.alerts if start.alerts else ()
    result = Classification(decision=start.decision, decisions=start.decisions, decision_of=start.decision_of)
    of_problem: dict[str, Decision] = {}
    for alert, decision in zip(alerts, result.each_decision(len(alerts)), strict=True):
        known = of_problem.get(alert.problem_id)
        of_problem[alert.problem_id] = decision if known is None else loudest((known, decision))
    return InitialDecision(start.decision, len(alerts) + len(start.inbox), of_problem, start.suppressions)


async def decide(state: IncidentState, alerts: tuple[Alert, ...], facts: IncidentFacts) -> Decided:
    """Describe and classify alerts by the policy.

    If all attempts fail, the policy's decision for what cannot be decided is that about these alerts. If nothing
    decides that either, an incident that has a decision keeps it.
    """
    request = ClassifyRequest(alerts=alerts, now=workflow.now(), incident=facts, describe=True)
    try:
        return Decided(await activity_calls.classify(request))
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise
        failure = f"no decision can be made: {activity_calls.failure_reason(error)[0]}"
    asked = DoubtRequest(model=alerts[-1].model, reason=failure)
    try:
        decision = await activity_calls.decide_in_doubt(asked, is_first=state.decision is None)
    except ActivityError as error:
        if is_cancelled_exception(error) or state.decision is None:
            raise
        decision = state.decision
    return Decided(Classification(decision=decision), failure)


def add_classified(
    machine: IncidentStateMachine, triggered: Sequence[GroupedAlert], decided: Decided, now: datetime
) -> None:
    """Add the alerts as Arize described them. One that stated no status may turn out to have cleared."""
    result, is_first = decided.result, machine.state.decision is None
    described = [
        bounded_group(one.model_copy(update={"alert": alert}), KEPT_ALERT_BYTES)
        for one, alert in zip(triggered, result.alerts or [one.alert for one in triggered], strict=True)
    ]
    each = result.each_decision(len(described))
    pairs = [
        (one, decision)
        for one, decision in zip(described, each, strict=True)
        if one.alert.status == "triggered" or (one.alert.status == "no_data" and machine.takes_no_data(one))
    ]
    still = [one for one, _ in pairs]
    if still:
        suppressions = _by_problem(described, result.suppressions)
        machine.add_alerts(still, result.decision, now, [decision for _, decision in pairs], suppressions)
    elif is_first:
        machine.discard(described, now)
        return
    else:
        machine.adopt(result.decision, now)
    for one in described:
        if one.alert.status == "cleared":
            machine.clear(one, now)
        elif one not in still:
            machine.no_data(one, now)
    if result.undescribed:
        missing = [described[position].alert for position in result.undescribed]
        machine.note_undescribed(
            [triggered[position].alert for position in result.undescribed], missing[-1].undescribed, now
        )
    decided.record_failure(machine.state, now)


def _by_problem(
    alerts: Sequence[GroupedAlert], suppressions: Sequence[Suppression | None]
) -> Mapping[str, Suppression]:
    """What suppresses each problem: the last of its alerts' suppressions, if all of them have one."""
    if len(suppressions) != len(alerts):
        return {}
    found: dict[str, Suppression | None] = {}
    for alert, suppression in zip(alerts, suppressions, strict=True):
        known = found.get(alert.problem_id, suppression)
        found[alert.problem_id] = suppression if known is not None else None
    return {problem: one for problem, one in found.items() if one is not None}
