"""Notifications in tests, sent by the real activities in an ActivityEnvironment."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from temporalio.common import MetricMeter
from temporalio.testing import ActivityEnvironment

from activities.audit import AuditRecorder
from activities.changes import ChangeNotifier
from activities.contracts import NotificationResult
from activities.errors import integration_errors
from activities.notify import Notifier
from audit import AuditLog
from incident.audit_events import AuditBatch
from incident.digest import Digest
from incident.message import Fact, Link, MessageContent
from incident.notification import Notification
from incident.receipt import Receipt, Verb
from integrations.base.destination import Destination
from integrations.base.errors import normalize
from integrations.base.open_destinations import open_destinations
from integrations.base.registry import destination_types
from policy import Target, load_policy
from tests.integrations.vendors_table import SECRETS

TIERS = """
version: 1
tiers:
  critical: {steps: [{notify: [console]}]}
  high: {steps: [{notify: [console]}]}
  low: {digest: [console]}
destinations:
  console: {type: console}
"""

_destinations: WeakKeyDictionary[Any, dict[str, Destination]] = WeakKeyDictionary()
"""The destinations of each object with activities, to close them after an activity."""


def no_incident_url(key: str) -> str:
    """Incidents have no page."""
    del key
    return ""


def open_policy_destinations(tmp_path: Path, destination: str) -> dict[str, Destination]:
    """The destinations of a policy with the given one, named ``here``."""
    file = tmp_path / "policy.yaml"
    file.write_text(f"{TIERS}  here: {destination}\n")
    policy = load_policy(file, destination_types())
    return open_destinations(policy, SECRETS)


def make_notifier(tmp_path: Path, destination: str, incident_url: Callable[[str], str] = no_incident_url) -> Notifier:
    """The activities that notify, over a policy with the given destination, named ``here``."""
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    destinations = open_policy_destinations(tmp_path, destination)
    notifier = Notifier(destinations, AuditRecorder(log), incident_url)
    _destinations[notifier] = destinations
    return notifier


def make_change_notifier(tmp_path: Path, destination: str) -> ChangeNotifier:
    """The activities that send changes, over a policy with the given destination, named ``here``."""
    destinations = open_policy_destinations(tmp_path, destination)
    notifier = ChangeNotifier(destinations)
    _destinations[notifier] = destinations
    return notifier


async def send_digest(tmp_path: Path, destination: str, digest: Digest, attempt: int = 1) -> Receipt:
    """Send a digest as the activity does."""
    destinations = open_policy_destinations(tmp_path, destination)
    try:
        with integration_errors():
            return await normalize(destinations["here"], destinations["here"].send_digest(digest, attempt))
    finally:
        for one in destinations.values():
            await one.close()


def make_content(**changes: Any) -> MessageContent:
    """The content of a message about one incident, with the given fields replaced."""
    values: dict[str, Any] = {
        "headline": "CRITICAL support-chatbot error_rate 31 % (limit 5 %) · production",
        "state": "Triggered",
        "tier": "critical",
        "incident": "incident-support-chatbot-4b629acc8409",
        "model": "support-chatbot",
        "team": "support-ai",
        "environment": "production",
        "metric": "error_rate",
        "since": datetime(2026, 11, 24, 3, 0, tzinfo=UTC),
        "facts": (Fact(label="Segment", value="premium"),),
        "reason": "Rule error-rate-breach: alert.value = 0.31",
        "links": (Link(text="Runbook", url="https://runbooks.example.com/support"),),
    }
    return MessageContent(**{**values, **changes})


def make_notification(
    kind: Any, type_: str, verb: Verb = "notify", original: Receipt | None = None, **changes: Any
) -> Notification:
    """A notification to ``here``, with the given fields replaced. ``original`` is the receipt of what it updates."""
    dedup_key = "incident-support-chatbot-4b629acc8409.01a20bc7"
    values: dict[str, Any] = {
        "key": f"{dedup_key}:1-step-1-here",
        "dedup_key": dedup_key,
        "verb": verb,
        "target": Target(name="here", type=type_, kind=kind),
        "content": make_content(),
        "original_receipt": original,
        "audit": AuditBatch(incident="incident-support-chatbot-4b629acc8409", first_run_id="01a20bc7"),
    }
    return Notification(**{**values, **changes})


async def run(activity: Any, argument: Any, attempt: int = 1, metric_meter: MetricMeter | None = None) -> Receipt:
    """The receipt that an activity returns on the given attempt."""
    result = await run_for_result(activity, argument, attempt, metric_meter)
    if not isinstance(result, NotificationResult):
        return result
    assert result.receipt is not None
    return result.receipt


async def run_for_result(
    activity: Any, argument: Any, attempt: int = 1, metric_meter: MetricMeter | None = None
) -> NotificationResult | Receipt:
    """What an activity returns on the given attempt. Closes the destinations after it."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    if metric_meter is not None:
        environment.metric_meter = metric_meter
    try:
        return await environment.run(activity, argument)
    finally:
        for destination in _destinations[activity.__self__].values():
            await destination.close()
