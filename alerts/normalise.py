"""From a parsed body to an Alert.

Arize does not publish the body of a monitor's delivery, so the reader knows the fields of the monitor object
(Arize's REST API v2, ``GET /v2/monitors/{id}``), the flat names that users' templates hold, and both at
once, nested or not. What it does not know it keeps in ``raw``.
"""

from collections.abc import Mapping
from typing import Any, cast

from alerts import values
from alerts.body import read_body
from alerts.errors import AlertError
from alerts.model import Alert, Status

# Where a field may stand, best first. The flat names come before those of the monitor object: whoever
# writes a template says there what they mean.
_NAMES: dict[str, tuple[str, ...]] = {
    "event_id": ("event_id", "eventId", "delivery_id"),
    "monitor": ("monitor_name", "monitorName", "name", "title"),
    "monitor_id": ("monitor_id", "monitorId", "id"),
    "kind": ("kind", "monitor_type", "monitorType", "monitorCategory", "category", "type"),
    "metric": ("metric", "metric_name", "metricName", "performance_metric", "drift_metric"),
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
    "model": ("model", "model_name", "modelName", "model_id", "project", "project_name", "projectName"),
    "model_version": ("model_version", "modelVersion"),
    "prompt_version": ("prompt_version", "promptVersion"),
    "environment": ("environment", "env", "model_environment", "modelEnvironmentName"),
    "region": ("region",),
    "segment": ("segment", "segments", "slice"),
    "tags": ("tags", "labels"),
    "status": ("status", "state", "monitor_status", "monitorStatus"),
    "url": ("monitor_url", "monitorUrl", "uri", "url", "link"),
    "notes": ("notes", "message", "description"),
    "occurred_at": ("triggered_at", "occurred_at", "evaluated_at", "evaluatedAt", "timestamp", "cleared_at"),
    "window_seconds": ("evaluation_window_length_seconds", "evaluationWindowLengthSeconds", "window_seconds"),
    "threshold": ("threshold", "threshold_value", "thresholdValue"),
    "operator": ("operator",),
    "filters": ("filters",),
    "model_versions": ("model_versions",),
}
_NESTS = ("monitor", "alert", "data", "payload", "online_task", "task")

FIELD_OF: Mapping[str, str] = {
    **dict.fromkeys((*_NESTS, "event"), ""),
    **{name: field for field, names in _NAMES.items() for name in names},
}
"""Every key that is looked for in a body, with the field that it may give; empty for those that hold others."""
_STATUS: dict[str, Status] = {
    **dict.fromkeys(("triggered", "firing", "alerting", "trigger", "fired", "open"), "triggered"),
    **dict.fromkeys(("cleared", "healthy", "resolved", "ok", "clear", "recovered", "closed"), "cleared"),
    **dict.fromkeys(("nodata", "unknown"), "no_data"),
}
_DRIFT_METRICS = frozenset({"psi", "kl", "js", "ks", "euclidean_distance", "cosine_similarity", "embedding_drift"})
_KINDS = {
    "dataquality": "data_quality",
    "custommetric": "custom_metric",
    "eval": "evaluation",
    "llm_eval": "evaluation",
}


def read_alert(body: bytes, event_id: str = "", event: str = "") -> Alert:
    """Read a request's body as an alert.

    ``event_id`` and ``event`` are what the delivery's headers say; they win over the body.
    Raises BodyError where it is not sound JSON, AlertError where no alert is in it.
    """
    return normalise(read_body(body), event_id, event)


def is_change(event: str) -> bool:
    """Whether an event, by its dotted name, tells of a change or a test of the webhook, and of no alert."""
    return event.startswith(("prompt.", "evaluator.", "webhook."))


def normalise(body: Mapping[str, Any], event_id: str = "", event: str = "") -> Alert:
    """Make an Alert of a parsed body. ``normalise(alert.raw)`` is the same alert again.

    Raises AlertError when the body names neither a monitor nor a model.
    """
    look = _Lookup(body)
    event = event or values.text(body.get("event"))
    filters = _segment_of_filters(look("filters"))
    stated_segment = values.labels(look("segment"))
    segment = stated_segment or filters
    tags = values.labels(look("tags"))
    context = {**filters, **tags}

    monitor_id = values.text(look("monitor_id"))
    monitor = values.text(look("monitor")) or monitor_id
    model = values.text(look("model"))
    if not monitor and not model:
        raise AlertError(
            "no monitor was found: looked for " + ", ".join(_NAMES["monitor"] + _NAMES["monitor_id"]),
            "no model was found: looked for " + ", ".join(_NAMES["model"]),
            "looked at the top level and inside " + ", ".join(_NESTS),
        )
    environment = values.text(look("environment")).casefold()
    metric = values.snake(look("metric"))
    threshold, operator = _threshold(look("threshold"), look("operator"))
    value = values.number(look("value"))
    baseline = values.number(look("baseline"))
    versions = look("model_versions")
    return Alert(
        event_id=values.clean(event_id, 200) or values.text(look("event_id"), 200),
        monitor=monitor or model,
        monitor_id=monitor_id,
        kind=_kind(look("kind"), context.get("kind", ""), metric, event),
        metric=metric,
        value=value,
        threshold=threshold,
        operator=operator,
        baseline=baseline,
        change=_change(values.number(look("change")), value, baseline if baseline is not None else threshold),
        severity=values.text(look("severity")).casefold(),
        model=model or context.get("model", ""),
        model_version=values.text(look("model_version"))
        or context.get("model_version", "")
        or (values.text(cast("list[Any]", versions)[0]) if isinstance(versions, list) and versions else ""),
        prompt_version=values.text(look("prompt_version")) or context.get("prompt_version", ""),
        environment=environment or context.get("environment", "").casefold(),
        region=values.text(look("region")) or context.get("region", ""),
        segment=segment,
        tags=tags,
        status=_status(look("status"), event),
        url=values.web_address(look("url")),
        notes=values.text(look("notes"), values.TEXT_CHARS),
        occurred_at=values.moment(look("occurred_at")),
        window_seconds=values.seconds(look("window_seconds")),
        # A monitor has one filter set, so its id implies what stands in the filters: a later, shorter
        # message about the same monitor, without them, must still find its incident.
        identity=(
            monitor or model,
            monitor_id,
            model,
            environment,
            *(f"{key}={item}" for key, item in sorted((stated_segment or ({} if monitor_id else filters)).items())),
        ),
        raw=dict(body),
    )


class _Lookup:
    """Finds a field by any of its names, at the top level first, then in the known nests."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._levels: list[Mapping[str, Any]] = [body]
        for level in self._levels:
            for nest in _NESTS:
                inner = level.get(nest)
                if isinstance(inner, Mapping) and len(self._levels) < 8:
                    self._levels.append(cast("Mapping[str, Any]", inner))
        # A bare "id" or "type" at the top of an envelope is the envelope's; the monitor's stands in its nest.
        self._enveloped = len(self._levels) > 1

    def __call__(self, field: str) -> Any:
        for index, level in enumerate(self._levels):
            for name in _NAMES[field]:
                if index == 0 and self._enveloped and name in {"id", "type", "name", "url"}:
                    continue
                found: Any = level.get(name)
                if field in {"model", "metric"}:
                    found = _named(found)
                if found is not None and found not in ("", [], {}):
                    return found
        text_monitor = self._levels[0].get("monitor")
        return text_monitor if field == "monitor" and isinstance(text_monitor, str) else None


def _named(value: Any) -> Any:
    """The name of ``{"id": …, "name": …}``; anything else as it is."""
    if not isinstance(value, Mapping):
        return value
    inner = cast("Mapping[str, Any]", value)
    return inner.get("name", inner.get("id"))


def _segment_of_filters(filters: Any) -> dict[str, str]:
    """``filters[]{dimension{category,name}, operator, values[]}`` of the monitor object, as a map."""
    if not isinstance(filters, list):
        return {}
    found: dict[str, Any] = {}
    for entry in cast("list[Any]", filters):
        if not isinstance(entry, Mapping):
            continue
        part = cast("Mapping[str, Any]", entry)
        dimension = part.get("dimension")
        if isinstance(dimension, Mapping):
            place = cast("Mapping[str, Any]", dimension)
            name = values.text(place.get("name")) or values.snake(place.get("category"))
        else:
            name = values.text(dimension) or values.text(part.get("name"))
        chosen = part.get("values", part.get("value"))
        if values.snake(part.get("operator")) in {"not_equals", "not_in"}:
            name = f"not {name}"
        if name:
            found[name] = chosen if isinstance(chosen, list) else [chosen]
    return values.labels(found)


def _threshold(threshold: Any, operator: Any) -> tuple[float | None, str]:
    """The number and how it compares. A range or a dynamic threshold has no single number."""
    if isinstance(threshold, Mapping):
        parts = cast("Mapping[str, Any]", threshold)
        return values.number(parts.get("value")), values.snake(parts.get("operator") or operator)
    return values.number(threshold), values.snake(operator)


def _change(stated: float | None, value: float | None, reference: float | None) -> float | None:
    if stated is not None:
        return stated
    if value is None or not reference:
        return None
    change = (value - reference) / abs(reference)
    return round(change, 6) if abs(change) < float("inf") else None


def _kind(stated: Any, tag: str, metric: str, event: str) -> str:
    """A tag ``kind`` wins: Arize knows no cost, business or evaluation monitors, so teams tag them."""
    if event.startswith("online_task."):
        return "evaluation"  # the judge itself stopped
    kind = values.snake(tag) or values.snake(stated)
    kind = _KINDS.get(kind, kind)
    return kind or ("drift" if metric in _DRIFT_METRICS else "")


def _status(stated: Any, event: str) -> Status:
    """In doubt it is triggered: an alert that cannot be read as good news is a fire."""
    for candidate in (values.text(stated), event.rpartition(".")[2]):
        status = _STATUS.get(values.snake(candidate).replace("_", ""))
        if status:
            return status
    return "triggered"
