"""What a body says a monitor measures: Arize's aggregation, dimension and custom metric, in Arize's own words."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from alerts import values

DRIFT_METRICS = frozenset({"psi", "kl", "js", "ks", "euclidean_distance", "cosine_similarity"})
DATA_QUALITY_METRICS = frozenset(
    {
        "count",
        "percent_empty",
        "cardinality",
        "new_values",
        "missing_values",
        "avg",
        "sum",
        "standard_deviation",
        "p50",
        "p95",
        "p99",
        "p99_9",
        "average_string_list_length",
    }
)
PERFORMANCE_METRICS = frozenset(
    {
        "accuracy",
        "actuals_average",
        "auc",
        "calibration",
        "disparate_impact",
        "f_1",
        "false_negative_density",
        "false_negative_rate",
        "false_positive_rate",
        "false_positive_rate_parity",
        "group_auc",
        "log_loss",
        "macro_averaged_precision",
        "macro_averaged_recall",
        "mae",
        "mape",
        "mase",
        "mean_error",
        "micro_averaged_precision",
        "micro_averaged_recall",
        "mrr",
        "mse",
        "multi_class_precision",
        "multi_class_recall",
        "ndcg",
        "pr_auc",
        "precision",
        "prediction_average",
        "r_squared",
        "ranking_map",
        "ranking_precision",
        "ranking_recall",
        "recall",
        "recall_parity",
        "rmse",
        "sensitivity",
        "smape",
        "specificity",
        "udf",
        "wape",
    }
)
AGGREGATIONS = DRIFT_METRICS | DATA_QUALITY_METRICS | PERFORMANCE_METRICS
"""Arize's metrics of monitors. Source: the enumerations of the ``arize`` SDK 8.61.0, and of its GraphQL API."""
_SPELLINGS = {
    "p_50": "p50",
    "p_95": "p95",
    "p_99": "p99",
    "p_99_9": "p99_9",
    "p99.9": "p99_9",
    "p99_9": "p99_9",
    "f1": "f_1",
    "average": "avg",
    "mean": "avg",
    "stddev": "standard_deviation",
}
_CATEGORIES = {
    "span_property": "span_attribute",
    "tag_label": "tag",
    "annotation": "user_annotation",
    "prediction": "predictions",
    "prediction_value": "predictions",
    "prediction_label": "predictions",
    "actual_label": "actuals",
    "actual_score": "actuals_score",
    "actual_class": "actuals_class",
    "prediction_score": "predictions_score",
    "prediction_class": "predictions_class",
}
"""GraphQL's names of the categories, as REST names them."""


def aggregation_of(stated: Any) -> str:
    """Arize's metric in lower case, such as ``p95``; empty if it is not one of Arize's."""
    name = values.snake(stated)
    name = _SPELLINGS.get(name, name)
    return name if name in AGGREGATIONS else ""


def metric_fields(look: Callable[[str], Any]) -> dict[str, Any]:
    """The alert's fields about the metric: ``metric``, ``aggregation``, ``dimension*``, ``custom_metric*``, formula.

    Args:
        look: finds a field's value in the body by the field's name.
    """
    stated = look("metric")
    aggregation = aggregation_of(stated) or aggregation_of(look("aggregation"))
    dimension, category = look("dimension"), look("dimension_category")
    data_type = look("dimension_type")
    if isinstance(dimension, Mapping):
        place = cast("Mapping[str, Any]", dimension)
        category = place.get("category") or category
        data_type = place.get("dataType") or place.get("data_type") or data_type
        dimension = place.get("name")
    custom, custom_id, formula = look("custom_metric"), look("custom_metric_id"), look("formula")
    if isinstance(custom, Mapping):
        entry = cast("Mapping[str, Any]", custom)
        custom_id = entry.get("id") or custom_id
        formula = entry.get("metric") or entry.get("formula") or entry.get("query") or formula
        custom = entry.get("name")
    category = values.snake(category)
    return {
        "metric": values.snake(stated),
        "aggregation": aggregation,
        "dimension": values.text(dimension),
        "dimension_category": _CATEGORIES.get(category, category),
        "dimension_type": values.snake(data_type),
        "custom_metric": values.text(custom),
        "custom_metric_id": values.text(custom_id),
        "formula": values.text(formula, values.TEXT_CHARS),
    }
