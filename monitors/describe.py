"""States as people read them: a text for each key of a declaration, and the differences of two states."""

from collections.abc import Mapping
from typing import NamedTuple

from monitors.state import Contact, Filter, MonitorState, Threshold
from monitors.tenant import Tenant
from monitors.vocabulary import DAYS
from policy import format_duration

_SYMBOLS = {
    "greater_than": ">",
    "greater_than_or_equal": ">=",
    "less_than": "<",
    "less_than_or_equal": "<=",
    "equals": "=",
    "not_equals": "!=",
}


class Difference(NamedTuple):
    """A key whose value differs. A text is empty if the key is not set."""

    key: str
    before: str
    after: str


def describe(state: MonitorState, tags: tuple[str, ...] | None, tenant: Tenant) -> Mapping[str, str]:
    """The text of each key that is set, in the order of a declaration."""
    dimension = state.dimension
    schedule = state.schedule
    days = " ".join(DAYS[day] for day in schedule.days) if schedule else ""
    downtime = state.downtime
    whole = {
        "kind": state.kind,
        "name": state.name,
        "project": tenant.project_name(state.project),
        "metric": state.metric,
        "custom_metric": tenant.custom_metric_name(state.project, state.custom_metric) if state.custom_metric else "",
        "dimension": " ".join(part for part in (dimension.category, dimension.name) if part) if dimension else "",
        "model_environment": state.model_environment,
        "positive_class": state.positive_class,
        "prediction_class": state.prediction_class,
        "ranking_k": "" if state.ranking_k is None else str(state.ranking_k),
        "top_k_percentile": "" if state.top_k_percentile is None else _number(state.top_k_percentile),
        "threshold": _threshold(state.threshold),
        "baseline": state.baseline,
        "window": format_duration(state.window),
        "delay": format_duration(state.delay) if state.delay else "",
        "cadence": format_duration(schedule.cadence) if schedule else "",
        "days": days,
        "downtime": f"{downtime.start:%Y-%m-%dT%H:%M:%SZ} for {format_duration(downtime.duration)} "
        f"every {format_duration(downtime.every)}"
        if downtime
        else "",
        "filters": " and ".join(map(_filter, state.filters)),
        "tags": ", ".join(sorted(tags or ())),
        "phase": state.phase,
        "contacts": ", ".join(_contact(one, tenant) for one in state.contacts),
        "owner": state.owner,
        "runbook": state.runbook,
        "notes": state.notes.replace("\n", "\\n"),
    }
    return {key: text for key, text in whole.items() if text}


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Difference, ...]:
    """The keys whose texts differ, in the order of the descriptions."""
    keys = dict.fromkeys((*before, *after))
    return tuple(
        Difference(key, before.get(key, ""), after.get(key, ""))
        for key in keys
        if before.get(key, "") != after.get(key, "")
    )


def _threshold(threshold: Threshold) -> str:
    dynamic = f" {threshold.calculation}" if threshold.calculation else ""
    texts = [f"{_SYMBOLS.get(one.operator, one.operator)} {_number(one.number)}{dynamic}" for one in threshold.limits]
    return f"healthy {' and '.join(texts)}" if threshold.is_range else texts[0]


def _number(number: float) -> str:
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


def _filter(one: Filter) -> str:
    field = " ".join(part for part in (one.category, one.name) if part)
    return f"{field} {_SYMBOLS.get(one.operator, one.operator)} {' | '.join(one.values)}"


def _contact(contact: Contact, tenant: Tenant) -> str:
    if contact.type == "email":
        return contact.address
    found = next((one for one in tenant.integrations if one.id == contact.address), None)
    return f"{found.name} ({found.provider})" if found else contact.address
