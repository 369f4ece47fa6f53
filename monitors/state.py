"""A monitor's configuration, comparable: what a declaration asks for, or what the tenant has.

It is read from and written as a monitor object of Arize's REST API v2. What that API does not show (the data's
environment, a prediction class, a top-k percentile) is kept in the monitor's notes, see ``monitors.ownership``.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict

from monitors.vocabulary import DAYS, DEFAULT_TRACING_WINDOW, DEFAULT_WINDOW, Kind, Phase

DIGEST_CHARS = 12


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Dimension(_Frozen):
    category: str
    name: str = ""


class Limit(_Frozen):
    """An operator with a number, or with a multiplier of a dynamic threshold."""

    operator: str
    number: float


class Threshold(_Frozen):
    """One limit, or two of a range. ``calculation`` is empty for a fixed threshold."""

    limits: tuple[Limit, ...]
    calculation: str = ""

    @property
    def is_range(self) -> bool:
        return len(self.limits) == 2


class Filter(_Frozen):
    category: str
    name: str = ""
    operator: str = "equals"
    values: tuple[str, ...] = ()


class Schedule(_Frozen):
    cadence: int
    """Seconds."""
    days: tuple[int, ...] = ()
    """0 is Sunday; empty means every day."""


class Downtime(_Frozen):
    start: datetime
    duration: int
    """Seconds."""
    every: int
    """Seconds."""


class Contact(_Frozen):
    type: Literal["email", "integration"]
    address: str
    """The email address, or the integration's id."""


class MonitorState(_Frozen):
    """All that Tocsin manages of a monitor, except its tags."""

    kind: Kind
    name: str
    project: str
    """The project's id."""
    metric: str = ""
    custom_metric: str = ""
    """The custom metric's id."""
    dimension: Dimension | None = None
    threshold: Threshold
    window: int
    """Seconds."""
    delay: int = 0
    """Seconds."""
    schedule: Schedule | None = None
    downtime: Downtime | None = None
    filters: tuple[Filter, ...] = ()
    contacts: tuple[Contact, ...] = ()
    baseline: Literal["model", "unmanaged", ""] = ""
    positive_class: str = ""
    ranking_k: int | None = None
    # The following are kept in the notes.
    notes: str = ""
    owner: str = ""
    runbook: str = ""
    phase: Phase = "page"
    model_environment: str = ""
    """Empty for a kind that has no choice."""
    prediction_class: str = ""
    top_k_percentile: float | None = None

    def digest(self, tags: Sequence[str] | None = None) -> str:
        """Identifies the configuration, with its tags if they are managed."""
        text = self.model_dump_json() + ("" if tags is None else "\0" + "\0".join(sorted(map(str.casefold, tags))))
        return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARS]


def canonical_contacts(contacts: Sequence[Contact]) -> tuple[Contact, ...]:
    """Without duplicates, and in one order: Arize keeps none."""
    return tuple(sorted(dict.fromkeys(contacts), key=lambda contact: (contact.type, contact.address)))


def canonical_filters(filters: Sequence[Filter]) -> tuple[Filter, ...]:
    """In one order. All filters apply together, so theirs has no meaning; nor has that of a filter's values."""
    ordered = [one.model_copy(update={"values": tuple(sorted(dict.fromkeys(one.values)))}) for one in filters]
    return tuple(sorted(ordered, key=lambda one: (one.category, one.name, one.operator, one.values)))


def default_window(kind: str) -> int:
    """Seconds of the evaluation window that Arize gives a new monitor."""
    return DEFAULT_TRACING_WINDOW if kind == "tracing" else DEFAULT_WINDOW


def read_rest(monitor: Mapping[str, Any], described: Mapping[str, Any]) -> MonitorState:
    """The state of a monitor object of the REST API.

    Args:
        monitor: The object.
        described: What its notes say, see ``ownership.read_notes``; it has the names of this state's fields.

    Raises:
        ValueError: The object is not one of a monitor that this version knows.
    """
    kind = _word(monitor.get("type"))
    baseline = _map(monitor.get("baseline_config")).get("type") or ""
    dimension = _map(monitor.get("dimension"))
    has_environment = kind in {"data_quality", "performance", "custom_metric"}
    stated: dict[str, Any] = {"model_environment": "production" if has_environment else "", **described}
    return MonitorState(
        kind=cast("Kind", kind),
        name=str(monitor.get("name") or "").strip(),
        project=str(monitor.get("project_id") or ""),
        metric=_word(monitor.get("metric")) if kind != "custom_metric" else "",
        custom_metric=str(monitor.get("custom_metric_id") or "") if kind == "custom_metric" else "",
        dimension=_dimension(dimension) if dimension else None,
        threshold=_threshold(_map(monitor.get("threshold"))),
        window=_whole(monitor.get("evaluation_window_length_seconds")) or default_window(kind),
        delay=_whole(monitor.get("delay_seconds")) or 0,
        schedule=_schedule(_map(monitor.get("scheduled_runtime"))),
        downtime=_downtime(_map(monitor.get("downtime"))),
        filters=canonical_filters([_filter(_map(one)) for one in _list(monitor.get("filters"))]),
        contacts=_contacts(monitor),
        baseline=("model" if _word(baseline) in {"model_baseline", ""} else "unmanaged") if kind == "drift" else "",
        positive_class=str(monitor.get("positive_class_value") or "") if kind == "performance" else "",
        ranking_k=_whole(monitor.get("metric_at_ranking_k_value")) if kind == "performance" else None,
        **{name: value for name, value in stated.items() if has_environment or name != "model_environment"},
    )


def write_rest(state: MonitorState, notes: str) -> dict[str, Any]:
    """The monitor object that has this state. What the REST API does not show is added under the state's own names."""
    limits = [{"operator": one.operator.upper(), "number": one.number} for one in state.threshold.limits]
    number = "multiplier" if state.threshold.calculation else "value"
    named = [{"operator": one["operator"], number: one["number"]} for one in limits]
    size = "RANGE" if state.threshold.is_range else "SINGLE"
    threshold: dict[str, Any] = {"type": f"{'DYNAMIC' if state.threshold.calculation else 'MANUAL'}_{size}"}
    threshold |= {"lower": named[0], "upper": named[1]} if state.threshold.is_range else named[0]
    if state.threshold.calculation:
        threshold["calculation"] = state.threshold.calculation.upper()
    return {
        "type": state.kind.upper(),
        "name": state.name,
        "project_id": state.project,
        "metric": state.metric.upper(),
        "custom_metric_id": state.custom_metric,
        "dimension": _dimension_object(state.dimension),
        "threshold": threshold,
        "evaluation_window_length_seconds": state.window,
        "delay_seconds": state.delay,
        "scheduled_runtime": state.schedule
        and {
            "enabled": True,
            "cadence_seconds": state.schedule.cadence,
            "days_of_week": list(state.schedule.days) or list(range(len(DAYS))),
        },
        "downtime": state.downtime
        and {
            "start": state.downtime.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "duration_seconds": state.downtime.duration,
            "frequency_days": state.downtime.every // 86_400,
        },
        "filters": [
            {
                "dimension": _dimension_object(Dimension(category=one.category, name=one.name)),
                "operator": one.operator.upper(),
                "values": list(one.values),
            }
            for one in state.filters
        ],
        "notification_configs": [
            {"type": "EMAIL", "email_address": one.address}
            if one.type == "email"
            else {"type": "INTEGRATION", "integration_id": one.address}
            for one in state.contacts
        ],
        "baseline_config": {"type": "MODEL_BASELINE"} if state.baseline == "model" else None,
        "positive_class_value": state.positive_class,
        "metric_at_ranking_k_value": state.ranking_k,
        "notes": notes,
        "model_environment": state.model_environment,
        "prediction_class": state.prediction_class,
        "top_k_percentile": state.top_k_percentile,
    }


REST_FIELDS = {
    "name": "name",
    "metric": "metric",
    "custom_metric": "custom_metric_id",
    "threshold": "threshold",
    "window": "evaluation_window_length_seconds",
    "delay": "delay_seconds",
    "filters": "filters",
    "contacts": "notification_configs",
    **dict.fromkeys(("notes", "owner", "runbook", "phase"), "notes"),
}
"""The fields of a state that can be changed in place (Arize's patch inputs), by their names in the monitor object."""


def changed_rest_fields(before: MonitorState, after: MonitorState) -> frozenset[str]:
    """The fields of the monitor object that an update changes."""
    return frozenset(rest for name, rest in REST_FIELDS.items() if getattr(before, name) != getattr(after, name))


def webhooks_of(monitor: Mapping[str, Any]) -> tuple[str, ...]:
    """The URLs of the webhooks that a monitor object notifies."""
    configs = map(_map, _list(monitor.get("notification_configs")))
    return tuple(sorted(str(one.get("url") or one.get("id")) for one in configs if _word(one.get("type")) == "webhook"))


def _dimension(value: Mapping[str, Any]) -> Dimension:
    return Dimension(category=_word(value.get("category")), name=str(value.get("name") or ""))


def _dimension_object(dimension: Dimension | None) -> dict[str, Any] | None:
    if dimension is None:
        return None
    return {"category": dimension.category.upper(), **({"name": dimension.name} if dimension.name else {})}


def _threshold(value: Mapping[str, Any]) -> Threshold:
    kind = _word(value.get("type"))
    number = "multiplier" if kind.startswith("dynamic") else "value"
    sides = [_map(value.get("lower")), _map(value.get("upper"))] if kind.endswith("range") else [value]
    limits = tuple(Limit(operator=_word(one.get("operator")), number=float(one.get(number) or 0.0)) for one in sides)
    return Threshold(limits=limits, calculation=_word(value.get("calculation") or "stdev") if number != "value" else "")


def _schedule(value: Mapping[str, Any]) -> Schedule | None:
    cadence = _whole(value.get("cadence_seconds"))
    if not value.get("enabled") or not cadence:
        return None
    days = tuple(sorted({int(day) for day in _list(value.get("days_of_week"))}))
    return Schedule(cadence=cadence, days=() if len(days) == len(DAYS) else days)


def _downtime(value: Mapping[str, Any]) -> Downtime | None:
    duration, every = _whole(value.get("duration_seconds")), _whole(value.get("frequency_days"))
    if not value.get("start") or not duration:
        return None
    start = datetime.fromisoformat(str(value["start"]))
    start = start if start.tzinfo else start.replace(tzinfo=UTC)
    return Downtime(start=start.astimezone(UTC).replace(microsecond=0), duration=duration, every=(every or 0) * 86_400)


def _filter(value: Mapping[str, Any]) -> Filter:
    dimension = _dimension(_map(value.get("dimension")))
    return Filter(
        category=dimension.category,
        name=dimension.name,
        operator=_word(value.get("operator")),
        values=tuple(str(one) for one in _list(value.get("values"))),
    )


def _contacts(monitor: Mapping[str, Any]) -> tuple[Contact, ...]:
    found: list[Contact] = []
    for one in map(_map, _list(monitor.get("notification_configs"))):
        if _word(one.get("type")) == "email":
            found.append(Contact(type="email", address=str(one.get("email_address") or "")))
        elif _word(one.get("type")) == "integration":
            found.append(Contact(type="integration", address=str(one.get("integration_id") or "")))
    return canonical_contacts(found)


def _word(value: Any) -> str:
    return str(value or "").strip().casefold()


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _map(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
