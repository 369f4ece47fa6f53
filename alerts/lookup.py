"""Finds an alert's fields in a body, by any of the names that Arize and users' templates give them."""

from collections.abc import Mapping
from typing import Any, cast

# The flat names come before those of the monitor object, because a template states its author's intention.
FIELD_NAMES: dict[str, tuple[str, ...]] = {
    "event_id": ("event_id", "eventId", "delivery_id"),
    "monitor": ("monitor_name", "monitorName", "name", "title"),
    "monitor_id": ("monitor_id", "monitorId"),
    "kind": ("kind", "monitor_type", "monitorType", "monitorCategory", "category", "type"),
    "metric": (
        "metric",
        "metric_name",
        "metricName",
        "performance_metric",
        "performanceMetric",
        "drift_metric",
        "driftMetric",
        "data_quality_metric",
        "dataQualityMetric",
    ),
    "aggregation": ("aggregation",),
    "dimension": ("dimension", "dimension_name", "dimensionName"),
    "dimension_category": ("dimension_category", "dimensionCategory"),
    "dimension_type": ("dimension_type", "dimension_data_type", "dataType"),
    "custom_metric": ("custom_metric_name", "customMetricName", "custom_metric", "customMetric"),
    "custom_metric_id": ("custom_metric_id", "customMetricId"),
    "formula": ("formula", "custom_metric_formula"),
    "value": (
        "metric_value",
        "metricValue",
        "value",
        "current_value",
        "latest_computed_value",
        "latestComputedValue",
    ),
    "baseline": ("baseline", "baseline_value", "baselineValue", "reference_value"),
    "change": ("change", "relative_change"),
    "severity": ("severity", "priority", "level", "alertSeverity"),
    "model": ("model", "model_name", "modelName", "model_id"),
    "project": ("project", "project_name", "projectName"),
    "project_id": ("project_id", "projectId"),
    "model_version": ("model_version", "modelVersion"),
    "prompt_version": ("prompt_version", "promptVersion"),
    "environment": ("environment", "env", "model_environment", "modelEnvironmentName"),
    "region": ("region",),
    "segment": ("segment", "segments", "slice"),
    "tags": ("tags", "labels"),
    "status": ("status", "state", "monitor_status", "monitorStatus"),
    "is_triggered": ("isTriggered", "is_triggered", "triggered", "isFiring", "is_firing", "firing"),
    "is_cleared": ("isCleared", "is_cleared", "cleared", "isResolved", "is_resolved", "resolved"),
    "url": ("monitor_url", "monitorUrl", "uri", "url", "link"),
    "notes": ("notes", "message", "description"),
    "occurred_at": ("occurred_at", "evaluated_at", "evaluatedAt", "timestamp"),
    "triggered_at": ("triggered_at",),
    "cleared_at": ("cleared_at",),
    "window_seconds": ("evaluation_window_length_seconds", "evaluationWindowLengthSeconds", "window_seconds"),
    "delay_seconds": ("delay_seconds", "delaySeconds"),
    "cadence_seconds": ("cadence_seconds", "scheduled_runtime_cadence_seconds", "scheduledRuntimeCadenceSeconds"),
    "scheduled_runtime": ("scheduled_runtime",),
    "threshold": ("threshold", "threshold_value", "thresholdValue"),
    "operator": ("operator",),
    "threshold_mode": ("thresholdMode", "threshold_mode"),
    "threshold_2": ("threshold2",),
    "automatic": ("dynamicAutoThresholdEnabled", "dynamicAutoThreshold"),
    "metric_window": ("primaryMetricWindow",),
    "filters": ("filters",),
    "model_versions": ("model_versions",),
}
_OF_WINDOW = {"dimension": "dimension", "dimension_category": "dimensionCategory", "filters": "filters"}
"""What GraphQL states of a monitor inside its ``primaryMetricWindow``."""
MAX_LEVELS = 8
NESTED_KEYS = ("monitor", "alert", "data", "payload", "online_task", "task", "node")

FIELD_OF: Mapping[str, str] = {
    **dict.fromkeys((*NESTED_KEYS, "event"), ""),
    **{name: field for field, names in FIELD_NAMES.items() for name in names},
    "id": "monitor_id",
}
"""Every key that the reader looks up, with the field of the alert; empty for those that contain other keys."""


_PLAIN = frozenset({"id", "type", "name", "url"})
"""What everything has: an envelope, an event and a monitor. They count where they are the monitor's."""
_SUBJECTS = frozenset({"monitor", "online_task", "task", "node"})
"""The keys of what an alert is about. The others contain it."""


class Lookup:
    """Finds a field by any of its names, first at the top level, then inside NESTED_KEYS."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.levels: list[Mapping[str, Any]] = [body]
        """From the top level inwards."""
        keys, envelopes = [""], set[int]()
        for index, level in enumerate(self.levels):
            for nest in NESTED_KEYS:
                inner = level.get(nest)
                if isinstance(inner, Mapping):
                    envelopes.add(index)
                    if len(self.levels) < MAX_LEVELS:
                        self.levels.append(cast("Mapping[str, Any]", inner))
                        keys.append(nest)
        subjects = {index for index, key in enumerate(keys) if key in _SUBJECTS}
        self._of_monitor = subjects or set(range(len(keys))) - envelopes
        """The levels whose plain names are the monitor's: those of its own object, or what contains nothing else."""
        self._of_alert = {index for index, key in enumerate(keys) if key == "alert"}

    def own_id(self, *, or_of_alert: bool) -> Any:
        """The plain ``id`` of the monitor's own object; an object ``alert`` may have an id of its own there."""
        levels = self._of_monitor if or_of_alert else self._of_monitor - self._of_alert
        return next((found for index in sorted(levels) if (found := self.levels[index].get("id"))), None)

    def __call__(self, field: str) -> Any:
        for index, level in enumerate(self.levels):
            for name in FIELD_NAMES[field]:
                if name in _PLAIN and index not in self._of_monitor:
                    continue
                found: Any = level.get(name)
                if field in {"model", "metric", "project"}:
                    found = _named(found)
                if found is not None and found not in ("", [], {}):
                    return found
        if field in _OF_WINDOW and isinstance(window := self("metric_window"), Mapping):
            return cast("Mapping[str, Any]", window).get(_OF_WINDOW[field])
        text_monitor = self.levels[0].get("monitor")
        return text_monitor if field == "monitor" and isinstance(text_monitor, str) else None


def _named(value: Any) -> Any:
    """The name of ``{"id": …, "name": …}``; any other value unchanged."""
    if not isinstance(value, Mapping):
        return value
    inner = cast("Mapping[str, Any]", value)
    return inner.get("name", inner.get("id"))
