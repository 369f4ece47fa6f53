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
_ELSEWHERE = frozenset({*_OF_WINDOW, "monitor"})
"""Fields that are also looked for in other places than their own keys."""
MAX_LEVELS = 8
NESTED_KEYS = ("monitor", "alert", "data", "payload", "online_task", "task", "node")

FIELD_OF: Mapping[str, str] = {
    **dict.fromkeys((*NESTED_KEYS, "event"), ""),
    **{name: field for field, names in FIELD_NAMES.items() for name in names},
    "id": "monitor_id",
}
"""Every key that the reader looks up, with the field of the alert; empty for those that contain other keys."""


_OWN = frozenset({"id", "name"})
_PLAIN = frozenset({"type", "url"})
"""What everything has: an envelope, an event and a monitor. They count where they are the monitor's."""
_NAMES = ("monitor_id", "monitorId", "monitor_name", "monitorName")
"""Who names the monitor by these keys means something else by a plain ``id`` or ``name``, such as the event's."""
_SUBJECTS = frozenset({"monitor", "node", "online_task"})
"""The keys of what an alert is about. The others contain it; a ``task`` counts if nothing else has a name."""
_OBJECTS = frozenset({"model", "metric", "project"})
"""What some bodies state as an object with a name."""
_PLACES: dict[str, list[tuple[str, int]]] = {}
for _field, _names in FIELD_NAMES.items():
    for _rank, _name in enumerate(_names):
        _PLACES.setdefault(_name, []).append((_field, _rank))


def _place(stated: tuple[int, int, Any]) -> tuple[int, int]:
    return stated[:2]


class Lookup:
    """Finds a field by any of its names, first at the top level, then inside NESTED_KEYS."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.levels: list[Mapping[str, Any]] = [body]
        """From the top level inwards."""
        self._keys = [""]
        self._envelopes = set[int]()
        for index, level in enumerate(self.levels):
            for nest in NESTED_KEYS:
                inner = level.get(nest)
                if inner is not None and isinstance(inner, Mapping):
                    self._envelopes.add(index)
                    if len(self.levels) < MAX_LEVELS:
                        self.levels.append(cast("Mapping[str, Any]", inner))
                        self._keys.append(nest)
        self._of_monitor = self._own_levels()
        self._stated = self._index()

    def _index(self) -> dict[str, list[tuple[int, int, Any]]]:
        """What the body states of each field: the level, the rank of the key among the field's names, and the value."""
        found: dict[str, list[tuple[int, int, Any]]] = {}
        for index, level in enumerate(self.levels):
            for name, value in level.items():
                for field, rank in _PLACES.get(name, ()):
                    if (name not in _OWN or index in self._of_monitor) and (
                        name not in _PLAIN or index not in self._envelopes
                    ):
                        found.setdefault(field, []).append((index, rank, value))
        for stated in found.values():
            if len(stated) > 1:
                stated.sort(key=_place)
        return found

    def _own_levels(self) -> set[int]:
        """The levels whose plain ``id`` and ``name`` are the monitor's: those of its own object, else the innermost
        that has any. An object without them, such as one of values, hides none of what is around it."""
        own = {
            index for index, level in enumerate(self.levels) if _is_text(level.get("id")) or _is_text(level.get("name"))
        }
        if not own:
            return own
        if found := {index for index in own if self._keys[index] in _SUBJECTS}:
            return found
        if any(_is_text(level.get(name)) for level in self.levels for name in _NAMES):
            return set()
        others = {index for index in own if self._keys[index] != "task"}
        return {max(others or own)}

    def own_id(self, *, or_of_alert: bool) -> Any:
        """The plain ``id`` of the monitor's own object; an object ``alert`` may have an id of its own there."""
        levels = [index for index in sorted(self._of_monitor) if or_of_alert or self._keys[index] != "alert"]
        return next((found for index in levels if (found := self.levels[index].get("id"))), None)

    def __call__(self, field: str) -> Any:
        if field not in self._stated and field not in _ELSEWHERE:
            return None
        for _, _, found in self._stated.get(field, ()):
            if field in _OBJECTS:
                found = _named(found)
            if found is not None and found not in ("", [], {}):
                return found
        if field in _OF_WINDOW and isinstance(window := self("metric_window"), Mapping):
            return cast("Mapping[str, Any]", window).get(_OF_WINDOW[field])
        text_monitor = self.levels[0].get("monitor")
        return text_monitor if field == "monitor" and isinstance(text_monitor, str) else None


def _is_text(value: Any) -> bool:
    return value not in ("", None) and isinstance(value, str | int | float)


def _named(value: Any) -> Any:
    """The name of ``{"id": …, "name": …}``; any other value unchanged."""
    if not isinstance(value, Mapping):
        return value
    inner = cast("Mapping[str, Any]", value)
    return inner.get("name", inner.get("id"))
