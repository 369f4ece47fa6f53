"""The search attributes that a saved filter in the Temporal UI, and the API's lists, can use."""

from typing import Any

from temporalio.common import SearchAttributeKey, TypedSearchAttributes

from policy import Decision

STATE = SearchAttributeKey.for_keyword("TocsinState")
TIER = SearchAttributeKey.for_keyword("TocsinTier")
MODEL = SearchAttributeKey.for_keyword("TocsinModel")
TEAM = SearchAttributeKey.for_keyword("TocsinTeam")
ENVIRONMENT = SearchAttributeKey.for_keyword("TocsinEnvironment")
RULE = SearchAttributeKey.for_keyword("TocsinRule")
REGULATED = SearchAttributeKey.for_bool("TocsinRegulated")


def shown(attributes: TypedSearchAttributes) -> tuple[object, ...]:
    """State, tier, rule, team and whether it is regulated, as they stand there."""
    keywords = tuple(attributes.get(key) for key in (STATE, TIER, RULE, TEAM))
    return (*keywords, attributes.get(REGULATED))


def decided(decision: Decision) -> list[tuple[SearchAttributeKey[Any], Any]]:
    """What a decision is listed under."""
    return [
        (TIER, decision.tier),
        (RULE, decision.rule),
        (TEAM, decision.team or "none"),
        (REGULATED, decision.regulated),
    ]


KEYWORDS = (STATE, TIER, MODEL, TEAM, ENVIRONMENT, RULE)
