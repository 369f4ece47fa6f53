"""A monitor of every type, metric, dimension and threshold that the ``arize`` SDK's enumerations know."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any

from tests.vendors.arize.sdk import generated
from tests.vendors.arize.state import SPAN_CATEGORIES

THRESHOLDS: tuple[dict[str, Any], ...] = (
    {"type": "MANUAL_SINGLE", "operator": "GREATER_THAN", "value": 0.5},
    {"type": "DYNAMIC_SINGLE", "calculation": "STDEV", "operator": "LESS_THAN", "multiplier": 2.0},
    {"type": "DYNAMIC_SINGLE", "calculation": "MAD", "operator": "GREATER_THAN_OR_EQUAL", "multiplier": 3},
    {
        "type": "MANUAL_RANGE",
        "lower": {"operator": "GREATER_THAN_OR_EQUAL", "value": 0.1},
        "upper": {"operator": "LESS_THAN", "value": 0.9},
    },
    {
        "type": "DYNAMIC_RANGE",
        "calculation": "STDEV",
        "lower": {"operator": "GREATER_THAN", "multiplier": 2.0},
        "upper": {"operator": "LESS_THAN_OR_EQUAL", "multiplier": 2.5},
    },
)
"""Each kind of threshold."""


def monitors_of_every_kind(project_id: str, custom_metric_id: str) -> Iterator[dict[str, Any]]:
    """Monitors in the shape of REST v2, without ids: every metric of a type with every dimension that the type may
    have, and the thresholds in turn."""
    models = generated().models

    def values(enumeration: Any) -> list[str]:
        return [one.value for one in enumeration]

    categories = values(models.DimensionCategory)
    columns = [one for one in categories if one not in SPAN_CATEGORIES]
    baseline = {"baseline_config": {"type": "MODEL_BASELINE", "filters": []}, "model_versions": []}
    kinds: list[tuple[str, list[str], list[str], dict[str, Any]]] = [
        ("TRACING", values(models.TracingDataQualityMetric), sorted(SPAN_CATEGORIES), {}),
        ("DATA_QUALITY", values(models.DataQualityMetric), columns, {"model_versions": []}),
        ("DRIFT", values(models.DriftMetric), columns, baseline),
        ("PERFORMANCE", values(models.PerformanceMetric), [], {}),
    ]
    thresholds = cycle(THRESHOLDS)
    common = {"project_id": project_id, "status": "TRIGGERED", "notifications_enabled": True}
    for kind, metrics, dimensions, more in kinds:
        for metric in metrics:
            for category in dimensions or [None]:
                dimension = {"dimension": {"category": category, "name": "field"}} if category else {}
                name = " ".join([kind, metric, category or ""]).strip()
                yield {
                    **common,
                    "name": name,
                    "type": kind,
                    "metric": metric,
                    **dimension,
                    **more,
                    "threshold": next(thresholds),
                }
    for threshold in THRESHOLDS:
        custom = {"name": f"custom {threshold['type']}", "type": "CUSTOM_METRIC", "custom_metric_id": custom_metric_id}
        yield {**common, **custom, "threshold": threshold}
