"""Makes an Alert of a parsed body.

Arize does not publish the bodies of its webhooks. The reader therefore knows the fields of the monitor object (Arize's
REST API v2, ``GET /v2/monitors/{id}``) and the flat names of users' templates, alone or combined, nested or not. The
whole body is kept in ``raw``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast
from urllib.parse import unquote

from alerts import values
from alerts.amounts import is_dynamic, read_amounts
from alerts.body import read_body
from alerts.errors import AlertError
from alerts.filters import read_filters, read_segment, with_short_names
from alerts.identity import exact, exact_event_id, identity_of
from alerts.lookup import FIELD_NAMES, NESTED_KEYS, Lookup
from alerts.metric_fields import DRIFT_METRICS, metric_fields
from alerts.model import Alert, Status
from alerts.status import read_status
from alerts.words import with_usual_keys, words_of

_MONITOR_LINK = re.compile(r"^https?://[^\s?#]+/monitors/([A-Za-z0-9+_=%-]+)(?:[/?#]|$)")
_NUMBERS = ("value", "threshold", "baseline")
UNREAD_CHARS = 60
_TESTS = frozenset({"webhook.test", "webhook.ping"})
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
        event: the event's dotted name from the request's headers, such as ``monitor.triggered``; the body takes
            precedence over it.

    Raises:
        BodyError: the body is not valid JSON.
        AlertError: the body contains no alert.
    """
    return normalise(read_body(body), event_id, event)


def is_change(event: str, body: Mapping[str, Any] | None = None) -> bool:
    """Whether an event, by its dotted name, reports a change or a test of the webhook, and no alert.

    Arize does not publish its names of monitors' events: ``webhook.…`` about a monitor is one, unless it is a test.
    """
    if event.startswith("webhook.") and event not in _TESTS and body is not None and _global_ids(body):
        return False
    return event.startswith(("prompt.version.", "evaluator.version.", "webhook."))


def normalise(body: Mapping[str, Any], event_id: str = "", event: str = "") -> Alert:
    """The alert of a parsed body. ``normalise(alert.raw)`` is the same alert.

    Raises:
        AlertError: the body names neither a monitor nor a model.
    """
    look = Lookup(body)
    events = (values.text(body.get("event")), event)
    filters = read_filters(look("filters"))
    stated_segment = read_segment(look("segment"))
    notes = values.text(look("notes"), values.TEXT_CHARS)
    tags = {**words_of(notes), **with_usual_keys(values.labels(look("tags")))}
    context = {**with_usual_keys(with_short_names(filters.segment)), **tags}

    names = _names(look, body)
    model, project = values.text(names.model), values.text(names.project)
    metric = metric_fields(look)
    amounts = read_amounts(look, metric, tags.get("baseline"))
    status, stated_status = read_status(look.levels, events)
    stated_time = _stated_time(look, status)
    occurred_at = values.instant(stated_time)
    alert = Alert(
        event_id=exact_event_id(event_id) or exact_event_id(look("event_id")),
        monitor=values.text(names.monitor) or values.text(names.monitor_id) or model or project,
        monitor_id=values.text(names.monitor_id),
        kind=_kind(look("kind"), context.get("kind", ""), metric["aggregation"] or metric["metric"], events),
        **metric,
        value=amounts.value,
        threshold=amounts.threshold,
        dynamic_threshold=is_dynamic(look),
        operator=amounts.operator,
        baseline=amounts.baseline,
        change=values.number(look("change")),
        severity=values.text(look("severity")).casefold(),
        model=model or tags.get("model", "") or filters.segment.get("model", "") or project,
        project=project,
        project_id=values.text(look("project_id")),
        model_version=values.text(look("model_version"))
        or context.get("model_version", "")
        or _first_version(look("model_versions")),
        prompt_version=values.text(look("prompt_version")) or context.get("prompt_version", ""),
        environment=values.text(look("environment")).casefold() or context.get("environment", "").casefold(),
        region=values.text(look("region")) or context.get("region", ""),
        segment=stated_segment or filters.segment,
        excluded=filters.excluded,
        tags=tags,
        status=status,
        stated_status=stated_status,
        url=values.web_address(look("url")),
        notes=notes,
        occurred_at=occurred_at,
        local_time=occurred_at is not None and values.is_local(stated_time),
        window_seconds=values.seconds(look("window_seconds")),
        delay_seconds=values.seconds(look("delay_seconds")),
        cadence_seconds=_cadence(look),
        unread={
            name: text
            for name in _NUMBERS
            if getattr(amounts, name) is None and (text := values.text(look(name), UNREAD_CHARS))
        },
        identity=identity_of(look, names.monitor_id, (names.monitor, names.model, names.project)),
        raw=dict(body),
    )
    return alert if alert.change is not None else alert.model_copy(update={"change": relative_change(alert)})


def _stated_time(look: Lookup, status: Status) -> Any:
    """When it happened. A clear's own time comes first: it may state as well when its monitor was triggered.

    A time with a time zone, or an epoch, comes before one without.
    """
    names = ("cleared_at", "occurred_at", "triggered_at") if status == "cleared" else ("triggered_at", "occurred_at")
    stated = [value for value in map(look, names) if values.instant(value)]
    return next((value for value in stated if not values.is_local(value)), next(iter(stated), None))


def relative_change(alert: Alert) -> float | None:
    """The value's change relative to the baseline, or to the threshold of an alert without one."""
    reference = alert.baseline if alert.baseline is not None else alert.threshold
    if alert.value is None or not reference:
        return None
    change = (alert.value - reference) / abs(reference)
    return round(change, 6) if abs(change) < float("inf") else None


class _Names(NamedTuple):
    """As they were sent; the id in full, as text."""

    monitor: Any
    monitor_id: str
    model: Any
    project: Any


def _names(look: Lookup, body: Mapping[str, Any]) -> _Names:
    """What the body is about. Raises AlertError if it names neither a monitor nor a model or project."""
    monitor, model, project = (
        value if values.text(value) else "" for value in map(look, ("monitor", "model", "project"))
    )
    stated = look("monitor_id")
    monitor_id = exact(stated).strip() if values.text(stated) else _found_id(look, body, is_named=bool(monitor))
    if not (monitor or monitor_id or model or project):
        raise AlertError(
            "no monitor was found: looked for "
            + ", ".join((*FIELD_NAMES["monitor"], *FIELD_NAMES["monitor_id"], "id")),
            "no model was found: looked for " + ", ".join(FIELD_NAMES["model"] + FIELD_NAMES["project"]),
            "looked at the top level and inside " + ", ".join(NESTED_KEYS),
        )
    return _Names(monitor, monitor_id, model, project)


def _found_id(look: Lookup, body: Mapping[str, Any], *, is_named: bool) -> str:
    """The monitor's id where no key is called so: a global id under whatever key, or in a link; else a plain ``id``.

    Raises AlertError if there are several: an alert is about one monitor, and the others would be lost.
    """
    own = look.own_id(or_of_alert=not is_named)
    plain, found = exact(own).strip() if values.text(own) else "", _global_ids(body)
    if plain in found or (plain and len(found) > 1):
        return plain
    if len(found) > 1:
        raise AlertError(f"the body names {len(found)} monitors, and an alert is about one: {', '.join(found[:5])}")
    return found[0] if found else plain


def _global_ids(value: Any, depth: int = 0) -> list[str]:
    if isinstance(value, str):
        link = _MONITOR_LINK.search(value)
        name = unquote(link[1]) if link else value
        return [name] if values.global_id(name)[:1] == ("Monitor",) else []
    if depth > 8:
        return []
    items: list[Any] = []
    if isinstance(value, Mapping):
        items = list(cast("Mapping[str, Any]", value).values())
    elif isinstance(value, list):
        items = cast("list[Any]", value)[:100]
    return list(dict.fromkeys(one for item in items for one in _global_ids(item, depth + 1)))


def _first_version(versions: Any) -> str:
    return values.text(cast("list[Any]", versions)[0]) if isinstance(versions, list) and versions else ""


def _cadence(look: Lookup) -> int | None:
    schedule = look("scheduled_runtime")
    stated = cast("Mapping[str, Any]", schedule).get("cadence_seconds") if isinstance(schedule, Mapping) else None
    return values.seconds(stated) or values.seconds(look("cadence_seconds"))


def _kind(stated: Any, tag: str, metric: str, events: Sequence[str]) -> str:
    """A tag ``kind`` takes precedence: Arize has no cost, business or evaluation monitors, so teams tag them."""
    if any(event.startswith("online_task.") for event in events):
        return "evaluation"  # the evaluation itself stopped
    kind = values.snake(tag) or values.snake(stated)
    kind = _KINDS.get(kind, kind)
    return kind or ("drift" if metric in DRIFT_METRICS or metric == "embedding_drift" else "")
