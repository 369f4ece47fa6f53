"""Makes an Alert of a parsed body.

Arize does not publish the bodies of its webhooks. The reader therefore knows the fields of the monitor object (Arize's
REST API v2, ``GET /v2/monitors/{id}``) and the flat names of users' templates, alone or combined, nested or not. The
whole body is kept in ``raw``.
"""

from collections.abc import Mapping
from typing import Any, cast

from alerts import values
from alerts.body import read_body
from alerts.errors import AlertError
from alerts.model import Alert, Status

# The flat names come before those of the monitor object, because a template states its author's intention.
FIELD_NAMES: dict[str, tuple[str, ...]] = {
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
NESTED_KEYS = ("monitor", "alert", "data", "payload", "online_task", "task")

FIELD_OF: Mapping[str, str] = {
    **dict.fromkeys((*NESTED_KEYS, "event"), ""),
    **{name: field for field, names in FIELD_NAMES.items() for name in names},
}
"""Every key that the reader looks up, with the field of the alert; empty for those that contain other keys."""
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

    Args:
        body: the raw body.
        event_id: the event's id from the request's headers; it takes precedence over the body.
        event: the event's dotted name from the request's headers, such as ``monitor.triggered``.

    Raises:
        BodyError: the body is not valid JSON.
        AlertError: the body contains no alert.
    """
    return normalise(read_body(body), event_id, event)


def is_change(event: str) -> bool:
    """Whether an event, by its dotted name, reports a change or a test of the webhook, and no alert."""
    return event.startswith(("prompt.", "evaluator.", "webhook."))


def normalise(body: Mapping[str, Any], event_id: str = "", event: str = "") -> Alert:
    """The alert of a parsed body. ``normalise(alert.raw)`` is the same alert.

    Raises:
        AlertError: the body names neither a monitor nor a model.
    """
    look = _Lookup(body)
    event = event or values.text(body.get("event"))
    filters = _segment_of_filters(look("filters"))
    stated_segment = values.labels(look("segment"))
    segment = stated_segment or filters
    tags = values.labels(look("tags"))
    context = {**filters, **tags}

    monitor, monitor_id, model = _monitor_and_model(look)
    environment = values.text(look("environment")).casefold()
    metric = values.snake(look("metric"))
    threshold, operator = _threshold(look("threshold"), look("operator"))
    value = values.number(look("value"))
    baseline = values.number(look("baseline"))
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
        or _first_version(look("model_versions")),
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
        # A monitor has one set of filters, so its id implies them: a later, shorter message about the monitor, without
        # its filters, must have the same fingerprint.
        identity=(
            monitor or model,
            monitor_id,
            model,
            environment,
            *(f"{key}={item}" for key, item in sorted((stated_segment or ({} if monitor_id else filters)).items())),
        ),
        raw=dict(body),
    )


def _monitor_and_model(look: "_Lookup") -> tuple[str, str, str]:
    """The monitor's name and id, and the model's name. Raises AlertError if the body names neither."""
    monitor_id = values.text(look("monitor_id"))
    monitor = values.text(look("monitor")) or monitor_id
    model = values.text(look("model"))
    if not monitor and not model:
        raise AlertError(
            "no monitor was found: looked for " + ", ".join(FIELD_NAMES["monitor"] + FIELD_NAMES["monitor_id"]),
            "no model was found: looked for " + ", ".join(FIELD_NAMES["model"]),
            "looked at the top level and inside " + ", ".join(NESTED_KEYS),
        )
    return monitor, monitor_id, model


def _first_version(versions: Any) -> str:
    return values.text(cast("list[Any]", versions)[0]) if isinstance(versions, list) and versions else ""


class _Lookup:
    """Finds a field by any of its names, first at the top level, then inside NESTED_KEYS."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._levels: list[Mapping[str, Any]] = [body]
        for level in self._levels:
            for nest in NESTED_KEYS:
                inner = level.get(nest)
                if isinstance(inner, Mapping) and len(self._levels) < 8:
                    self._levels.append(cast("Mapping[str, Any]", inner))
        # The "id" or "type" at the top of an envelope is the envelope's own; the monitor's is inside.
        self._enveloped = len(self._levels) > 1

    def __call__(self, field: str) -> Any:
        for index, level in enumerate(self._levels):
            for name in FIELD_NAMES[field]:
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
    """The name of ``{"id": …, "name": …}``; any other value unchanged."""
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
    """The threshold's number and operator. A range or a dynamic threshold has no single number."""
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
    """A tag ``kind`` takes precedence: Arize has no cost, business or evaluation monitors, so teams tag them."""
    if event.startswith("online_task."):
        return "evaluation"  # the evaluation itself stopped
    kind = values.snake(tag) or values.snake(stated)
    kind = _KINDS.get(kind, kind)
    return kind or ("drift" if metric in _DRIFT_METRICS else "")


def _status(stated: Any, event: str) -> Status:
    """An unknown status counts as triggered: in doubt, somebody is notified."""
    for candidate in (values.text(stated), event.rpartition(".")[2]):
        status = _STATUS.get(values.snake(candidate).replace("_", ""))
        if status:
            return status
    return "triggered"
