"""The activity ``classify``: asks the policy in force. A local activity: pure, and over in under a millisecond."""

from collections.abc import Callable

from temporalio import activity

from activities.contracts import Classification
from policy import Decision, IncidentFacts, Policy
from policy.decision import TIERS


class Classifier:
    def __init__(self, policy: Callable[[], Policy]) -> None:
        """``policy`` gives the one that is in force at the moment."""
        self._policy = policy

    @activity.defn(name="classify")
    async def classify(self, asked: Classification) -> Decision:
        """The loudest decision about the alerts; of equals, the first."""
        return self.decide(asked)

    def decide(self, asked: Classification) -> Decision:
        facts: IncidentFacts = asked.incident
        policy = self._policy()
        decisions = [policy.decide(alert, asked.now, facts) for alert in asked.alerts]
        return max(decisions, key=lambda decision: TIERS.index(decision.tier))
