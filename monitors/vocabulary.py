"""The words of a monitors file. They are Arize's REST API v2's own (SDK 8.61.0), in lower case."""

from typing import Literal

Kind = Literal["data_quality", "performance", "drift", "custom_metric", "tracing"]
Phase = Literal["observe", "warn", "page"]
"""As in the policy's ``rollout``; here it decides who is notified by Arize itself, see ``monitors.resolve``."""
Operator = Literal[
    "greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal", "equals", "not_equals"
]  # fmt: skip
FilterOperator = Literal[
    "greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal", "equals", "not_equals",
    "top_n", "contains", "contains_string", "similar_to",
]  # fmt: skip
"""Arize's GraphQL API, which writes monitors, knows only the first six; the others can be kept, not set."""
SETTABLE_OPERATORS = frozenset(
    {"greater_than", "greater_than_or_equal", "less_than", "less_than_or_equal", "equals", "not_equals"}
)
LOWER_OPERATORS = ("greater_than", "greater_than_or_equal")
UPPER_OPERATORS = ("less_than", "less_than_or_equal")
Category = Literal[
    "feature_label", "tag", "model_version", "batch_id", "span_attribute", "llm_eval", "user_annotation", "actuals",
    "actuals_score", "actuals_class", "predictions", "predictions_score", "predictions_class",
]  # fmt: skip
TracingCategory = Literal["span_attribute", "llm_eval", "user_annotation"]
DataQualityMetric = Literal[
    "count", "percent_empty", "cardinality", "new_values", "missing_values", "avg", "sum", "standard_deviation", "p50",
    "p95", "p99", "p99_9", "average_string_list_length",
]  # fmt: skip
TracingMetric = Literal[
    "count", "percent_empty", "cardinality", "avg", "sum", "standard_deviation", "p50", "p95", "p99", "p99_9"
]  # fmt: skip
DriftMetric = Literal["psi", "kl", "js", "ks", "euclidean_distance", "cosine_similarity"]
PerformanceMetric = Literal[
    "accuracy", "calibration", "f_1", "false_negative_density", "false_negative_rate", "false_positive_rate",
    "precision", "recall", "sensitivity", "specificity", "micro_averaged_precision", "macro_averaged_precision",
    "multi_class_precision", "micro_averaged_recall", "macro_averaged_recall", "multi_class_recall", "actuals_average",
    "mae", "mape", "mean_error", "mse", "prediction_average", "rmse", "r_squared", "smape", "wape", "mase", "auc",
    "log_loss", "ndcg", "pr_auc", "group_auc", "mrr", "ranking_map", "ranking_recall", "ranking_precision",
    "disparate_impact", "false_positive_rate_parity", "recall_parity",
]  # fmt: skip
ModelEnvironment = Literal["production", "validation", "training", "tracing"]
Day = Literal["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
DAYS: tuple[Day, ...] = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
"""In the order of Arize's numbers, which begin with 0 for Sunday."""
Calculation = Literal["stdev", "mad"]
Provider = Literal["slack", "pagerduty", "opsgenie"]
PAGING_PROVIDERS = frozenset({"pagerduty", "opsgenie"})

DEFAULT_WINDOW = 259_200
"""Seconds of Arize's evaluation window, unless the monitor is a tracing monitor."""
DEFAULT_TRACING_WINDOW = 86_400
