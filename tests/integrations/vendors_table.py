"""The table of vendors: each destination type that uses HTTP, with its stand-in. Tests of all vendors read it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from incident.receipt import Verb
from tests.vendors import Jira, Opsgenie, PagerDuty, Receiver, ServiceNow, Slack, SplunkOnCall, Teams, Vendor
from tests.vendors.teams import PATH as TEAMS_PATH


@dataclass(frozen=True)
class VendorCase:
    """A destination type in tests.

    Args:
        vendor: creates the stand-in.
        config: the destination in a policy; ``{0}`` is the stand-in's base URL.
        activity: the activity that sends to it.
        secrets: the variables of its secrets, as the stand-in knows them.
        secret: the one of them that no message may contain.
        effects: what a person sees at the stand-in: one entry for each message, page or ticket.
        idempotent: a second attempt with the same key has no second effect.
    """

    vendor: Callable[[], Vendor]
    config: str
    activity: str
    secrets: Mapping[str, str]
    secret: str
    effects: Callable[[Any], list[str]]
    idempotent: bool = True


VENDOR_CASES: dict[str, VendorCase] = {
    "pagerduty": VendorCase(
        PagerDuty,
        "{{type: pagerduty, base_url: '{0}', routing_key: {{env: KEY}}}}",
        "page",
        {"KEY": "routing-key-secret"},
        "KEY",
        lambda vendor: vendor.paged,
    ),
    "opsgenie": VendorCase(
        Opsgenie,
        "{{type: opsgenie, base_url: '{0}', api_key: {{env: OPSGENIE}}, responders: [{{team: sre}}]}}",
        "page",
        {"OPSGENIE": "genie-key"},
        "OPSGENIE",
        lambda vendor: vendor.notified,
    ),
    "splunk_oncall": VendorCase(
        SplunkOnCall,
        "{{type: splunk_oncall, base_url: '{0}', api_key: {{env: SPLUNK}}, routing_key: sre}}",
        "page",
        {"SPLUNK": "splunk-key"},
        "SPLUNK",
        lambda vendor: vendor.paged,
    ),
    "slack": VendorCase(
        Slack,
        "{{type: slack, base_url: '{0}/api', token: {{env: SLACK}}, channel: '#ai-ops-alerts'}}",
        "post",
        {"SLACK": "xoxb-test"},
        "SLACK",
        lambda vendor: [message["metadata"]["event_payload"]["key"] for message in vendor.messages],
    ),
    "teams": VendorCase(
        Teams,
        "{{type: teams, base_url: '{0}', webhook_url: {{env: TEAMS}}}}",
        "post",
        {"TEAMS": f"https://prod-1.westeurope.logic.azure.com{TEAMS_PATH}?api-version=2016-06-01&sig=teams-signature"},
        "TEAMS",
        lambda vendor: [card["fallbackText"] for card in vendor.cards],
        idempotent=False,
    ),
    "webhook": VendorCase(
        lambda: Receiver(b"secret of this hook"),
        "{{type: webhook, url: '{0}/in', secret: {{env: HOOK}}, headers: {{Authorization: {{env: AUTH}}}}}}",
        "post",
        {"HOOK": "whsec_c2VjcmV0IG9mIHRoaXMgaG9vaw==", "AUTH": "Bearer receiver-token"},
        "AUTH",
        lambda vendor: vendor.webhook_ids,
    ),
    "jira": VendorCase(
        Jira,
        "{{type: jira, base_url: '{0}', user: {{env: JIRA_USER}}, token: {{env: JIRA_TOKEN}}, project: AIGOV}}",
        "ticket",
        {"JIRA_USER": "bot@example.com", "JIRA_TOKEN": "jira-token-secret"},
        "JIRA_TOKEN",
        lambda vendor: list(vendor.issues),
    ),
    "servicenow": VendorCase(
        ServiceNow,
        "{{type: servicenow, base_url: '{0}', user: {{env: SNOW_USER}}, password: {{env: SNOW_PASSWORD}}, "
        "assignment_group: legal-ai}}",
        "ticket",
        {"SNOW_USER": "snow-user", "SNOW_PASSWORD": "snow-password"},
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
SECRETS = {name: value for case in VENDOR_CASES.values() for name, value in case.secrets.items()}
"""The secrets of all vendors, by their variables."""
