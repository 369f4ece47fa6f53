"""Every type of destination that speaks HTTP, beside its stand-in: for what has to hold for all of them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activities.contracts import Delivery, Verb
from tests.activities.sending import a_delivery, deliverer
from tests.vendors import Jira, Opsgenie, PagerDuty, Receiver, ServiceNow, Slack, SplunkOnCall, Teams, Vendor


@dataclass(frozen=True)
class Kind:
    """How a destination of a type is written, which activity serves it, and what of it must never be seen."""

    vendor: Callable[[], Vendor]
    config: str
    activity: str
    secret: str
    effects: Callable[[Any], list[str]]
    """What a person sees of what was sent first: one entry for each message, page or ticket."""
    folds: bool = True
    """A second request with the same key is one effect, or the first is found before it is made."""


KINDS: dict[str, Kind] = {
    "pagerduty": Kind(
        PagerDuty,
        "{{type: pagerduty, base_url: '{0}', routing_key: {{env: KEY}}}}",
        "page",
        "KEY",
        lambda vendor: vendor.paged,
    ),
    "opsgenie": Kind(
        Opsgenie,
        "{{type: opsgenie, base_url: '{0}', api_key: {{env: OPSGENIE}}, responders: [{{team: sre}}]}}",
        "page",
        "OPSGENIE",
        lambda vendor: vendor.notified,
    ),
    "splunk_oncall": Kind(
        SplunkOnCall,
        "{{type: splunk_oncall, base_url: '{0}', api_key: {{env: SPLUNK}}, routing_key: sre}}",
        "page",
        "SPLUNK",
        lambda vendor: vendor.paged,
    ),
    "slack": Kind(
        Slack,
        "{{type: slack, base_url: '{0}/api', token: {{env: SLACK}}, channel: '#ai-ops-alerts'}}",
        "post",
        "SLACK",
        lambda vendor: [one["metadata"]["event_payload"]["key"] for one in vendor.messages],
    ),
    "teams": Kind(
        Teams,
        "{{type: teams, base_url: '{0}', webhook_url: {{env: TEAMS}}}}",
        "post",
        "TEAMS",
        lambda vendor: [one["fallbackText"] for one in vendor.cards],
        folds=False,
    ),
    "webhook": Kind(
        lambda: Receiver(b"secret of this hook"),
        "{{type: webhook, url: '{0}/in', secret: {{env: HOOK}}, headers: {{Authorization: {{env: AUTH}}}}}}",
        "post",
        "AUTH",
        lambda vendor: vendor.taken,
    ),
    "jira": Kind(
        Jira,
        "{{type: jira, base_url: '{0}', user: {{env: JIRA_USER}}, token: {{env: JIRA_TOKEN}}, project: AIGOV}}",
        "ticket",
        "JIRA_TOKEN",
        lambda vendor: list(vendor.issues),
    ),
    "servicenow": Kind(
        ServiceNow,
        "{{type: servicenow, base_url: '{0}', user: {{env: SNOW_USER}}, password: {{env: SNOW_PASSWORD}}, "
        "assignment_group: legal-ai}}",
        "ticket",
        "SNOW_PASSWORD",
        lambda vendor: [one["number"] for one in vendor.tickets],
    ),
}
VERBS: dict[str, tuple[Verb, ...]] = {
    "page": ("notify", "acknowledge", "resolve", "remind"),
    "post": ("notify", "acknowledge", "change", "note", "resolve", "remind"),
    "ticket": ("notify", "note"),
}
"""What an incident tells each kind."""


@dataclass
class Place:
    """One destination of a type, named ``here``, at its stand-in."""

    type_name: str
    kind: Kind
    vendor: Any
    folder: Path
    page: Callable[[str], str] = field(default=lambda opening: "")

    def activity(self, address: str = "") -> Any:
        activities = deliverer(self.folder, self.kind.config.format(address or self.vendor.base_url), self.page)
        return getattr(activities, self.kind.activity)

    def delivery(self, verb: Verb = "notify", **changes: Any) -> Delivery:
        return a_delivery(self.kind.activity, self.type_name, verb, **changes)

    @property
    def bodies(self) -> list[Any]:
        return [request.body for request in self.vendor.requests]

    @property
    def effects(self) -> list[str]:
        return self.kind.effects(self.vendor)
