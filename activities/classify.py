"""The activities ``classify``, ``describe`` and ``decide_in_doubt``: they decide by the policy in force."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog
from temporalio import activity

from activities.contracts import Classification, ClassifyRequest, DoubtRequest
from activities.describing import AlertDescriber, DescribedAlert
from activities.errors import to_application_error
from activities.heartbeats import heartbeats
from alerts import Alert, needs_description
from alerts.bounded import bounded
from incident.limits import BARE_ALERT_BYTES, DECISION_BYTES, KEPT_ALERT_BYTES, MESSAGE_BYTES
from integrations.base.errors import TemporaryError
from integrations.suppression.finder import SuppressionFinder
from policy import Decision, Policy, loudest
from policy.decision import bounded_decision, distinct

_MAX_REASON_CHARS = 300
LATE_WAIT = 20.0  # seconds that a late description waits for Arize

_log = structlog.get_logger()


class Classifier:
    """Decides about alerts that the gateway did not decide about."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        describer: AlertDescriber | None = None,
        suppressions: SuppressionFinder | None = None,
    ) -> None:
        """
        Args:
            policy: returns the policy in force.
            describer: completes the alerts; without one, they are decided as they were read.
            suppressions: finds what suppresses them; without it, nothing does.
        """
        self._policy = policy
        self._describer, self._suppressions = describer, suppressions

    @activity.defn(name="classify")
    async def classify(self, request: ClassifyRequest) -> Classification | Decision:
        """The loudest decision about the alerts that are triggered; of equals, the first.

        The policy's ``intake.describe.wait`` limits how long Arize may take, counted from when the activity was
        scheduled. Only the first attempt asks Arize: after a failure nobody waits twice.
        """
        policy, info = self._policy(), activity.info()
        if not request.describe:
            return _loudest(policy, [policy.interpret(one) for one in request.alerts], request, request.now)
        queued = (info.started_time - info.scheduled_time).total_seconds()  # both by Temporal's clock
        within = policy.describe_wait - max(queued, 0.0) if info.attempt == 1 else 0.0
        async with heartbeats():
            found = await self._describe_if_possible(policy, request.alerts, within)
        for one in found:
            if one.reason:
                _count_undescribed(one.reason)
                _log.warning(
                    "alert_undescribed",
                    incident=info.workflow_id,
                    monitor=one.alert.monitor_id,
                    error=one.alert.undescribed,
                )
        alerts = tuple(policy.interpret(one.alert) for one in found)
        undescribed = tuple(position for position, one in enumerate(found) if one.retry)
        return await self._suppressed(_classified(policy, alerts, request, request.now, undescribed), alerts, request)

    async def _suppressed(
        self, result: Classification, alerts: Sequence[Alert], request: ClassifyRequest
    ) -> Classification:
        """With what suppresses the alerts that are triggered."""
        if self._suppressions is None:
            return result
        each = zip(alerts, result.each_decision(len(alerts)), strict=True)
        found = await self._suppressions.find(activity.info().workflow_id or "", list(each), request.now)
        return result.model_copy(update={"suppressions": tuple(found)}) if any(found) else result

    @activity.defn(name="decide_in_doubt")
    async def decide_in_doubt(self, request: DoubtRequest) -> Decision:
        """The policy's decision about alerts that ``classify`` failed for each time."""
        policy = self._policy()
        policy.failures.record("decision", request.reason)
        return bounded_decision(policy.undecidable(request.model, request.reason), DECISION_BYTES)

    @activity.defn(name="describe")
    async def describe(self, request: ClassifyRequest) -> Classification:
        """Describe alerts that Arize did not describe in time, and decide again.

        Raises:
            ApplicationError: Arize did not answer. Temporal retries, for as long as the incident is open: a key that is
                refused now may be replaced.
        """
        policy = self._policy()
        found = await self._describe(request.alerts, LATE_WAIT)
        failed = next((one.error for one in found if one.error is not None), None)
        if failed is not None:
            # Without its Retry-After, which ``ArizeHealth`` obeys: the backoff spreads the attempts of many incidents.
            raise to_application_error(TemporaryError(failed.message))
        alerts = tuple(policy.interpret(one.alert) for one in found)
        return _classified(policy, alerts, request, max(request.now, datetime.now(UTC)))

    async def _describe_if_possible(
        self, policy: Policy, alerts: Sequence[Alert], within: float
    ) -> list[DescribedAlert]:
        """Whatever fails, a decision is made in doubt, and describing is tried again later."""
        try:
            return [_known_without_key(policy, one) for one in await self._describe(alerts, within)]
        except Exception as error:  # noqa: BLE001  # an incident without a decision notifies nobody
            _log.exception("description_failed", incident=activity.info().workflow_id)
            why = f"it cannot be described: {type(error).__name__}: {error}"[:_MAX_REASON_CHARS]
            missing = {"undescribed": why}
            return [DescribedAlert(one.model_copy(update=missing), retry=True, reason="failed") for one in alerts]

    async def _describe(self, alerts: Sequence[Alert], within: float) -> list[DescribedAlert]:
        if self._describer is None:
            return [DescribedAlert(one) for one in alerts]
        return await self._describer.describe(alerts, within)


def _known_without_key(policy: Policy, one: DescribedAlert) -> DescribedAlert:
    """Without an API key, nothing is missing if the policy itself knows the project and the metric by their ids."""
    if one.reason != "no_key":
        return one
    alert = one.alert.model_copy(update={"undescribed": ""})
    return one if needs_description(policy.interpret(alert)) else DescribedAlert(alert)


def _classified(
    policy: Policy, alerts: Sequence[Alert], request: ClassifyRequest, now: datetime, undescribed: tuple[int, ...] = ()
) -> Classification:
    """The loudest decision about those that are triggered, or else about all, and the decision about each."""
    each = [policy.decide(alert, now, request.incident) for alert in alerts]
    triggered = [one for one, alert in zip(each, alerts, strict=True) if alert.status == "triggered"]
    decisions, decision_of = distinct(each)
    return Classification(
        decision=bounded_decision(loudest(triggered or each), DECISION_BYTES),
        alerts=_kept(alerts),
        undescribed=undescribed,
        decisions=tuple(bounded_decision(one, DECISION_BYTES // max(len(decisions), 1)) for one in decisions),
        decision_of=decision_of,
    )


def _loudest(policy: Policy, alerts: Sequence[Alert], request: ClassifyRequest, now: datetime) -> Decision:
    triggered = [one for one in alerts if one.status == "triggered"] or alerts
    decision = loudest(policy.decide(alert, now, request.incident) for alert in triggered)
    return bounded_decision(decision, DECISION_BYTES)


def _kept(alerts: Sequence[Alert]) -> tuple[Alert, ...]:
    """The alerts as an incident keeps them: the decision is made, and a description may be longer than an alert."""
    limit = max(min(KEPT_ALERT_BYTES, MESSAGE_BYTES // max(len(alerts), 1)), BARE_ALERT_BYTES)
    return tuple(bounded(one, limit) for one in alerts)


def _count_undescribed(reason: str) -> None:
    counter = activity.metric_meter().create_counter(
        "tocsin_undescribed_total", "Alerts that were decided without Arize's description, by reason."
    )
    counter.add(1, {"reason": reason})
