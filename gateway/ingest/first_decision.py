"""The decision about the first alerts of an incident: by the policy, and by the descriptions in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from alerts import Alert, Description, described, needs_description
from alerts.bounded import bounded
from incident.events import GroupedAlert
from incident.limits import ALERT_BYTES, BARE_ALERT_BYTES, DECISION_BYTES, KEPT_ALERT_BYTES, MESSAGE_BYTES
from incident.suppression import Suppression
from policy import Decision, IncidentFacts, Policy, loudest
from policy.decision import bounded_decision, distinct

NO_KEY = "ARIZE_API_KEY is not set"


@dataclass(frozen=True)
class DecidedAlert:
    """An alert, described and interpreted, and the policy's decision about it."""

    alert: Alert
    decision: Decision


Decide = Callable[[Alert, int], DecidedAlert | None]
"""Decides about an alert and how often it came; None leaves the decision to a worker."""


def defer_to_worker(alert: Alert, count: int) -> None:
    """A ``Decide`` that leaves every decision to a worker."""
    del alert, count


class Descriptions(Protocol):
    """The descriptions that are known without a request; a ``DescriptionCache``."""

    def get(self, monitor_id: str, /) -> Description | None: ...


class FirstDecider:
    """A ``Decide`` that sends no request and no query: it reads the policy in force and the descriptions in memory."""

    def __init__(
        self, policy: Callable[[], Policy | None], descriptions: Descriptions, *, workers_ask_arize: bool
    ) -> None:
        """
        Args:
            policy: returns the policy in force; None leaves the decision to a worker.
            descriptions: of monitors.
            workers_ask_arize: leave an alert to a worker if only Arize can say what it lacks.
        """
        self._policy, self._descriptions = policy, descriptions
        self._workers_ask_arize = workers_ask_arize

    def __call__(self, alert: Alert, count: int) -> DecidedAlert | None:
        policy = self._policy()
        if policy is None:
            return None
        known = self._descriptions.get(alert.monitor_id) if alert.monitor_id and not alert.drill else None
        alert = described(alert, known) if known else alert
        if self._workers_ask_arize and needs_description(alert):
            return None
        alert = policy.interpret(alert)
        if lack := needs_description(alert):  # not even the policy knows it
            alert = alert.model_copy(update={"undescribed": f"{lack}: {NO_KEY}"})
        return DecidedAlert(alert, policy.decide(alert, datetime.now(UTC), IncidentFacts(alerts=count)))


@dataclass(frozen=True)
class FirstDecision:
    """The alerts that an incident starts with, and what the gateway decided about them."""

    alerts: tuple[GroupedAlert, ...]
    """As far as an incident keeps them; without a decision, with all that it may depend on."""
    decision: Decision | None = None
    """The loudest; None if a worker has to decide."""
    decisions: tuple[Decision, ...] = ()
    """Those that differ, without their traces; empty if there is only one."""
    decision_of: tuple[int, ...] = ()
    """For each alert, the index of its decision."""
    suppressions: Mapping[str, Suppression] = field(default_factory=dict[str, Suppression])
    """What suppresses them, by problem."""

    @property
    def each(self) -> list[tuple[Alert, Decision]]:
        """The alerts, and the decisions about them; empty if a worker has to decide."""
        if self.decision is None:
            return []
        known = self.decisions or (self.decision,)
        of = self.decision_of or (0,) * len(self.alerts)
        return [(one.alert, known[index]) for one, index in zip(self.alerts, of, strict=True)]


def decide_first(alerts: Sequence[GroupedAlert], decide: Decide) -> FirstDecision:
    """The decisions about the first alerts of an incident, which are described and interpreted."""
    if any(each.alert.status != "triggered" for each in alerts):
        return FirstDecision(to_classify(alerts))
    count = sum(each.count for each in alerts)
    decided: list[DecidedAlert] = []
    for each in alerts:
        one = decide(each.alert, count)
        if one is None:
            return FirstDecision(to_classify(alerts))
        decided.append(one)
    decision = loudest(one.decision for one in decided)
    limit = max(min(KEPT_ALERT_BYTES, MESSAGE_BYTES // len(alerts)), BARE_ALERT_BYTES)
    described_alerts = (
        each.model_copy(update={"alert": bounded(one.alert, limit)}) for each, one in zip(alerts, decided, strict=True)
    )
    decisions, decision_of = distinct([one.decision for one in decided])
    room = DECISION_BYTES // max(len(decisions), 1)
    return FirstDecision(
        tuple(described_alerts),
        bounded_decision(decision, DECISION_BYTES),
        tuple(bounded_decision(one, room) for one in decisions),
        decision_of,
    )


def to_classify(alerts: Sequence[GroupedAlert]) -> tuple[GroupedAlert, ...]:
    """Alerts as they are sent to an incident whose worker decides about them."""
    return tuple(each.model_copy(update={"alert": bounded(each.alert, ALERT_BYTES)}) for each in alerts)
