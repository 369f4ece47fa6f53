"""The table of vendors: each destination type that uses HTTP, with its stand-in. Tests of all vendors read it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incident.digest import Digest
from incident.notification import Notification
from incident.receipt import Receipt, Verb
from tests.integrations.notifications import make_notification, make_notifier, no_incident_url, send_digest
from tests.vendors import Jira, Opsgenie, PagerDuty, Receiver, ServiceNow, Slack, SplunkOnCall, Teams, Vendor


@dataclass(frozen=True)
class VendorCase:
    """A destination type in tests.

    Args:
        vendor: creates the stand-in.
        config: the destination in a policy; ``{0}`` is the stand-in's base URL.
        activity: the activity that sends to it.
        secret: the variable of a secret that no message may contain.
        effects: what a person sees at the stand-in: one entry for each message, page or ticket.
        idempotent: a second attempt with the same key has no second effect.
    """

    vendor: Callable[[], Vendor]
    config: str
    activity: str
    secret: str
    effects: Callable[[Any], list[str]]
    idempotent: bool = True


VENDOR_CASES: dict[str, VendorCase] = {
    "pagerduty": VendorCase(
        PagerDuty,
        "{{type: pagerduty, base_url: '{0}', routing_key: {{env: KEY}}}}",
        "page",
        "KEY",
        lambda vendor: vendor.paged,
    ),
    "opsgenie": VendorCase(
        Opsgenie,
        "{{type: opsgenie, base_url: '{0}', api_key: {{env: OPSGENIE}}, responders: [{{team: sre}}]}}",
        "page",
        "OPSGENIE",
        lambda vendor: vendor.notified,
    ),
    "splunk_oncall": VendorCase(
        SplunkOnCall,
        "{{type: splunk_oncall, base_url: '{0}', api_key: {{env: SPLUNK}}, routing_key: sre}}",
        "page",
        "SPLUNK",
        lambda vendor: vendor.paged,
    ),
    "slack": VendorCase(
        Slack,
        "{{type: slack, base_url: '{0}/api', token: {{env: SLACK}}, channel: '#ai-ops-alerts'}}",
        "post",
        "SLACK",
        lambda vendor: [message["metadata"]["event_payload"]["key"] for message in vendor.messages],
    ),
    "teams": VendorCase(
        Teams,
        "{{type: teams, base_url: '{0}', webhook_url: {{env: TEAMS}}}}",
        "post",
        "TEAMS",
        lambda vendor: [card["fallbackText"] for card in vendor.cards],
        idempotent=False,
    ),
    "webhook": VendorCase(
        lambda: Receiver(b"secret of this hook"),
        "{{type: webhook, url: '{0}/in', secret: {{env: HOOK}}, headers: {{Authorization: {{env: AUTH}}}}}}",
        "post",
        "AUTH",
        lambda vendor: vendor.webhook_ids,
    ),
    "jira": VendorCase(
        Jira,
        "{{type: jira, base_url: '{0}', user: {{env: JIRA_USER}}, token: {{env: JIRA_TOKEN}}, project: AIGOV}}",
        "ticket",
        "JIRA_TOKEN",
        lambda vendor: list(vendor.issues),
    ),
    "servicenow": VendorCase(
        ServiceNow,
        "{{type: servicenow, base_url: '{0}', user: {{env: SNOW_USER}}, password: {{env: SNOW_PASSWORD}}, "
        "assignment_group: legal-ai}}",
        "ticket",
        "SNOW_PASSWORD",
        lambda vendor: [ticket["number"] for ticket in vendor.tickets],
    ),
}
VERBS: dict[str, tuple[Verb, ...]] = {
    "page": ("notify", "acknowledge", "resolve", "remind"),
    "post": ("notify", "acknowledge", "refresh", "note", "resolve", "remind"),
    "ticket": ("notify", "note"),
}
"""The verbs that an incident sends to each kind of destination, in order."""


@dataclass
class VendorHarness:
    """One destination, named ``here``, at its stand-in."""

    type_name: str
    case: VendorCase
    vendor: Any
    folder: Path
    incident_url: Callable[[str], str] = no_incident_url

    def activity(self, base_url: str = "") -> Any:
        """The activity that sends to it; ``base_url`` replaces the stand-in's."""
        config = self.case.config.format(base_url or self.vendor.base_url)
        return getattr(make_notifier(self.folder, config, self.incident_url), self.case.activity)

    async def send_digest(self, digest: Digest, attempt: int = 1) -> Receipt:
        return await send_digest(self.folder, self.case.config.format(self.vendor.base_url), digest, attempt)

    def notification(self, verb: Verb = "notify", **changes: Any) -> Notification:
        return make_notification(self.case.activity, self.type_name, verb, **changes)

    @property
    def bodies(self) -> list[Any]:
        return [request.body for request in self.vendor.requests]

    @property
    def effects(self) -> list[str]:
        return self.case.effects(self.vendor)
