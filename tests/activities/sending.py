"""Deliveries to send in tests, through the real activity, in a real activity environment."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.contracts import Brief, Delivered, Delivery, Entries, Fact, Link, Receipt, Verb
from activities.deliver import Deliverer
from activities.destinations import destination_types, open_destinations
from activities.record import Recorder
from audit import AuditLog
from policy import Target, load_policy
from tests.vendors.teams import PATH as TEAMS_PATH

SECRETS = {
    "KEY": "routing-key-secret",
    "SLACK": "xoxb-test",
    "JIRA_USER": "bot@example.com",
    "JIRA_TOKEN": "jira-token-secret",
    "OPSGENIE": "genie-key",
    "SPLUNK": "splunk-key",
    "HOOK": "whsec_c2VjcmV0IG9mIHRoaXMgaG9vaw==",
    "AUTH": "Bearer receiver-token",
    "TEAMS": f"https://prod-1.westeurope.logic.azure.com{TEAMS_PATH}?api-version=2016-06-01&sig=teams-signature",
    "SNOW_USER": "snow-user",
    "SNOW_PASSWORD": "snow-password",
}

TIERS = """
version: 1
tiers:
  critical: {steps: [{notify: [console]}]}
  high: {steps: [{notify: [console]}]}
  low: {digest: [console]}
destinations:
  console: {type: console}
"""


def deliverer(tmp_path: Path, destination: str, acknowledge: Callable[[str], str] = lambda opening: "") -> Deliverer:
    """The activities, over a policy with one more destination, named ``here``."""
    file = tmp_path / "policy.yaml"
    file.write_text(f"{TIERS}  here: {destination}\n")
    policy = load_policy(file, destination_types())
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    return Deliverer(open_destinations(policy, SECRETS, "http://127.0.0.1"), Recorder(log), acknowledge)


def a_brief(**changes: Any) -> Brief:
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
        "why": "Rule error-rate-breach: alert.value = 0.31",
        "links": (Link(text="Runbook", url="https://runbooks.example.com/support"),),
    }
    return Brief(**{**values, **changes})


def a_delivery(kind: Any, type_: str, verb: Verb = "notify", first: Receipt | None = None, **changes: Any) -> Delivery:
    thread = "incident-support-chatbot-4b629acc8409.01a20bc7"
    values: dict[str, Any] = {
        "key": f"{thread}:1-step-1-here",
        "thread": thread,
        "verb": verb,
        "target": Target(name="here", type=type_, kind=kind),
        "brief": a_brief(),
        "first": first,
        "record": Entries(incident="incident-support-chatbot-4b629acc8409", opening="01a20bc7"),
    }
    return Delivery(**{**values, **changes})


async def run(activity: Any, argument: Any, attempt: int = 1) -> Receipt:
    """Run it as Temporal would, as the given attempt, and give the receipt."""
    outcome = await run_whole(activity, argument, attempt)
    return outcome.receipt if isinstance(outcome, Delivered) else outcome


async def run_whole(activity: Any, argument: Any, attempt: int = 1) -> Delivered | Receipt:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, attempt=attempt)
    try:
        return await environment.run(activity, argument)
    finally:
        for destination in activity.__self__._destinations.values():
            await destination.close()
