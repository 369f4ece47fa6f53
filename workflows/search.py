"""The search attributes that a saved filter in the Temporal UI, and the API's lists, can use."""

from temporalio.common import SearchAttributeKey

STATE = SearchAttributeKey.for_keyword("TocsinState")
TIER = SearchAttributeKey.for_keyword("TocsinTier")
MODEL = SearchAttributeKey.for_keyword("TocsinModel")
TEAM = SearchAttributeKey.for_keyword("TocsinTeam")
ENVIRONMENT = SearchAttributeKey.for_keyword("TocsinEnvironment")
RULE = SearchAttributeKey.for_keyword("TocsinRule")
REGULATED = SearchAttributeKey.for_bool("TocsinRegulated")

KEYWORDS = (STATE, TIER, MODEL, TEAM, ENVIRONMENT, RULE)
