"""The search attributes that saved filters in the Temporal UI, and the API's lists, can use."""

from typing import Any

from temporalio.common import SearchAttributeKey, TypedSearchAttributes

from alerts import Alert
from alerts.bounded import ascii_size, cut_text
from incident.limits import KEYWORD_CHARS, SEARCH_ATTRIBUTE_LIMIT
from incident.state import IncidentState
from incident.tickets import site_of
from policy import Decision

STATE = SearchAttributeKey.for_keyword("TocsinState")
TIER = SearchAttributeKey.for_keyword("TocsinTier")
MODEL = SearchAttributeKey.for_keyword("TocsinModel")
TEAM = SearchAttributeKey.for_keyword("TocsinTeam")
ENVIRONMENT = SearchAttributeKey.for_keyword("TocsinEnvironment")
RULE = SearchAttributeKey.for_keyword("TocsinRule")
REGULATED = SearchAttributeKey.for_bool("TocsinRegulated")
VENDOR_IDS = SearchAttributeKey.for_keyword_list("TocsinVendorIds")
"""What vendors call an incident: gateways find it by these when a callback does not state its key."""

KEYWORDS = (STATE, TIER, MODEL, TEAM, ENVIRONMENT, RULE)
MAX_VENDOR_ID = 255  # characters of one value; a database's visibility store has columns of this length


def keyword(text: str) -> str:
    """The text as a keyword: as much of it as Temporal and its database accept. Filters must ask for the same."""
    return cut_text(text[:KEYWORD_CHARS], SEARCH_ATTRIBUTE_LIMIT, ascii_size)


def of_alert(alert: Alert) -> list[tuple[SearchAttributeKey[Any], Any]]:
    """The attributes of an alert that its body, or Arize's description, gives. Those that it lacks are not set."""
    return [(key, keyword(value)) for key, value in ((MODEL, alert.model), (ENVIRONMENT, alert.environment)) if value]


def of_decision(decision: Decision) -> list[tuple[SearchAttributeKey[Any], Any]]:
    """The attributes that a decision sets, in the order of ``published``."""
    return [
        (TIER, decision.tier),
        (RULE, keyword(decision.rule)),
        (TEAM, keyword(decision.team) or "none"),
        (REGULATED, decision.regulated),
    ]


def current(state: str, decision: Decision) -> tuple[object, ...]:
    """The values that the attributes of an incident should have."""
    return (state, *(value for _, value in of_decision(decision)))


def published(attributes: TypedSearchAttributes) -> tuple[object, ...]:
    """The values that they have, in the same order."""
    keywords = tuple(attributes.get(key) for key in (STATE, TIER, RULE, TEAM))
    return (*keywords, attributes.get(REGULATED))


def changed_by_description(
    attributes: TypedSearchAttributes, alert: Alert
) -> list[tuple[SearchAttributeKey[Any], Any]]:
    """The alert's attributes that differ from the published ones.

    Only Arize's description changes them; a worker that interprets alerts has read it. Alerts of 1.0.0 are not
    interpreted: for them the history has no such update.
    """
    if not alert.interpreted:
        return []
    return [(key, value) for key, value in of_alert(alert) if attributes.get(key) != value]


def vendor_ids(state: IncidentState) -> list[str]:
    """The ids that lead to an incident: ``jira:OPS-1`` and ``jira:OPS-1@acme.atlassian.net`` for a ticket."""
    found = list(state.vendor_ids)
    for receipt in state.receipts:
        target = state.notified_targets.get(receipt.destination)
        if target is not None and target.kind == "ticket":
            site = site_of(receipt.url)
            found += [f"{receipt.type}:{receipt.id}", *([f"{receipt.type}:{receipt.id}@{site}"] if site else [])]
    return [one for one in dict.fromkeys(found) if len(one) <= MAX_VENDOR_ID]
