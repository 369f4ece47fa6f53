"""Between the words of GraphQL (``p99_9``, ``spanProperty``) and those of REST v2 (``P99_9``, ``SPAN_ATTRIBUTE``)."""

import re

CATEGORIES = {
    "FEATURE_LABEL": "featureLabel",
    "TAG": "tag",
    "MODEL_VERSION": "modelVersion",
    "BATCH_ID": "batchId",
    "SPAN_ATTRIBUTE": "spanProperty",
    "LLM_EVAL": "llmEval",
    "USER_ANNOTATION": "userAnnotation",
    "ACTUALS": "actuals",
    "ACTUALS_SCORE": "actualScore",
    "ACTUALS_CLASS": "actualClass",
    "PREDICTIONS": "prediction",
    "PREDICTIONS_SCORE": "predictionScore",
    "PREDICTIONS_CLASS": "predictionClass",
}
"""The dimension's category in REST, and in GraphQL."""
_REST_CATEGORIES = {
    **{graphql: rest for rest, graphql in CATEGORIES.items()},
    "annotation": "USER_ANNOTATION",
    "actualLabel": "ACTUALS",
    "predictionLabel": "PREDICTIONS",
}
FILTER_ROWS = {
    **CATEGORIES,
    "TAG": "tagLabel",
    "PREDICTIONS": "predictionValue",
    "ACTUALS_CLASS": "actualLabel",
}
"""The category of a filter in REST, and its ``FilterRowType`` in GraphQL."""
_REST_FILTER_ROWS = {**{graphql: rest for rest, graphql in FILTER_ROWS.items()}, "annotation": "USER_ANNOTATION"}
OPERATORS = {
    "GREATER_THAN": "greaterThan",
    "GREATER_THAN_OR_EQUAL": "greaterThanOrEqual",
    "LESS_THAN": "lessThan",
    "LESS_THAN_OR_EQUAL": "lessThanOrEqual",
    "EQUALS": "equals",
    "NOT_EQUALS": "notEquals",
}
"""REST's filters know more, for which the public part of GraphQL has no word."""
_REST_OPERATORS = {graphql: rest for rest, graphql in OPERATORS.items()}
MONITOR_CATEGORIES = {
    "DRIFT": "drift",
    "PERFORMANCE": "performance",
    "CUSTOM_METRIC": "performance",
    "DATA_QUALITY": "dataQuality",
    "TRACING": "dataQuality",
}
STATUSES = {"TRIGGERED": "triggered", "CLEARED": "cleared", "NO_DATA": "noData"}


def rest_category(graphql: str) -> str:
    return _REST_CATEGORIES[graphql]


def rest_filter_category(graphql: str) -> str:
    return _REST_FILTER_ROWS[graphql]


def rest_operator(graphql: str) -> str:
    return _REST_OPERATORS[graphql]


def screaming(camel: str) -> str:
    """``falseNegativeRate`` as ``FALSE_NEGATIVE_RATE``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", camel).upper()


def camel(screaming_snake: str) -> str:
    """``FALSE_NEGATIVE_RATE`` as ``falseNegativeRate``; a number keeps its underscore: ``p99_9``, ``f_1``."""
    first, *rest = screaming_snake.lower().split("_")
    return first + "".join(f"_{one}" if one.isdigit() else one.capitalize() for one in rest)
