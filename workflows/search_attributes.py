"""The search attributes that saved filters in the Temporal UI, and the API's lists, can use."""

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

KEYWORDS = (STATE, TIER, MODEL, TEAM, ENVIRONMENT, RULE)


def of_decision(decision: Decision) -> list[tuple[SearchAttributeKey[Any], Any]]:
    """The attributes that a decision sets, in the order of ``published``."""
    return [
        (TIER, decision.tier),
        (RULE, decision.rule),
        (TEAM, decision.team or "none"),
        (REGULATED, decision.regulated),
    ]


def current(state: str, decision: Decision) -> tuple[object, ...]:
    """The values that the attributes of an incident should have."""
    return (state, *(value for _, value in of_decision(decision)))


def published(attributes: TypedSearchAttributes) -> tuple[object, ...]:
    """The values that they have, in the same order."""
    keywords = tuple(attributes.get(key) for key in (STATE, TIER, RULE, TEAM))
    return (*keywords, attributes.get(REGULATED))
