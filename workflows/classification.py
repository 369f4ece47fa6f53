"""Decides about an incident's alerts, and comes to an end even if every attempt fails: in doubt, louder."""

from collections.abc import Sequence
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
from policy import IncidentFacts
from workflows import activity_calls
from workflows.bounds import bounded_group

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
    takes_no_data = machine.opens_without_data
    described = [
        bounded_group(one.model_copy(update={"alert": alert}), KEPT_ALERT_BYTES)
        for one, alert in zip(triggered, result.alerts or [one.alert for one in triggered], strict=True)
    ]
    still = [
        one for one in described if one.alert.status == "triggered" or (one.alert.status == "no_data" and takes_no_data)
    ]
    if still:
        machine.add_alerts(still, result.decision, now)
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
