"""A monitor as GraphQL shows it, in the shape of the REST API's monitor object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

QUERY = """query Monitor($id: ID!) {
  node(id: $id) { ... on Monitor {
    id name uri notes monitorCategory status latestComputedValue evaluatedAt updatedAt
    threshold threshold2 thresholdMode operator operator2 dynamicAutoThresholdEnabled
    performanceMetric dataQualityMetric driftMetric customMetric { id name metric }
    primaryMetricWindow {
      windowLengthMs dimensionCategory dimension { name dataType category }
      filters { filterType operator dimension { name category }
                dimensionValues { value } binaryValues numericValues categoricalValues }
    }
  } }
}"""
_TYPES = {"performance": "PERFORMANCE", "drift": "DRIFT", "dataQuality": "DATA_QUALITY"}


@dataclass(frozen=True)
class GraphQLMonitor:
    """``monitor`` is None if GraphQL knows no such monitor, or does not show it."""

    monitor: dict[str, Any] | None
    custom_metric: str = ""
    formula: str = ""
    dimension_type: str = ""


def read_monitor(node: Any, monitor_id: str) -> GraphQLMonitor:
    """The monitor of ``QUERY``'s ``node``."""
    if not isinstance(node, Mapping) or not node:
        return GraphQLMonitor(None)
    stated = cast("Mapping[str, Any]", node)
    window, custom = _object(stated, "primaryMetricWindow"), _object(stated, "customMetric")
    dimension = _object(window, "dimension")
    category = dimension.get("category") or window.get("dimensionCategory")
    length = window.get("windowLengthMs")
    known = {
        "id": monitor_id,
        "name": stated.get("name"),
        "type": "CUSTOM_METRIC" if custom else _TYPES.get(str(stated.get("monitorCategory"))),
        "uri": stated.get("uri"),
        "notes": stated.get("notes"),
        "status": stated.get("status"),
        "latest_computed_value": stated.get("latestComputedValue"),
        "evaluated_at": stated.get("evaluatedAt"),
        "updated_at": stated.get("updatedAt"),
        "metric": stated.get("driftMetric") or stated.get("performanceMetric") or stated.get("dataQualityMetric"),
        "dimension": {"category": category, "name": dimension.get("name")} if category else None,
        "custom_metric_id": custom.get("id"),
        "filters": window.get("filters"),
        "threshold": _threshold(stated),
        "evaluation_window_length_seconds": length / 1000 if isinstance(length, int | float) else None,
    }
    return GraphQLMonitor(
        {name: value for name, value in known.items() if value not in (None, "", [])},
        str(custom.get("name") or ""),
        str(custom.get("metric") or ""),
        str(dimension.get("dataType") or ""),
    )


def _threshold(stated: Mapping[str, Any]) -> dict[str, Any]:
    is_range, kind = stated.get("thresholdMode") == "range", "MANUAL"
    if stated.get("dynamicAutoThresholdEnabled"):
        kind = "DYNAMIC"  # its numbers come from the metric's history
    first = {"operator": stated.get("operator"), "value": stated.get("threshold")}
    second = {"operator": stated.get("operator2"), "value": stated.get("threshold2")}
    if kind == "DYNAMIC":
        first, second = {"operator": first["operator"]}, {"operator": second["operator"]}
    if is_range:
        return {"type": f"{kind}_RANGE", "lower": first, "upper": second}
    return {"type": f"{kind}_SINGLE", **first}


def _object(stated: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = stated.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}
