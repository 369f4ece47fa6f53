"""The activity ``classify``: decides by the policy in force."""

from collections.abc import Callable

from temporalio import activity

from activities.contracts import ClassifyRequest
from policy import Decision, Policy
from policy.decision import TIERS


class Classifier:
    """Decides about alerts that the gateway did not decide about."""

    def __init__(self, policy: Callable[[], Policy]) -> None:
        """``policy`` returns the policy in force."""
        self._policy = policy

    @activity.defn(name="classify")
    async def classify(self, request: ClassifyRequest) -> Decision:
        """The loudest decision about the alerts; of equals, the first."""
        policy = self._policy()
        decisions = [policy.decide(alert, request.now, request.incident) for alert in request.alerts]
        return max(decisions, key=lambda decision: TIERS.index(decision.tier))
