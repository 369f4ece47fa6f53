"""Writes declarations of monitors that exist: ``tocsin arize import``. Planned again, they change nothing."""
# ruamel.yaml is untyped: only its writer is used here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import io
import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from ruamel.yaml import YAML

from monitors.load import catalogue_projects
from monitors.schema import KINDS
from monitors.state import MonitorState, Threshold, default_window
from monitors.tenant import Observed, Tenant
from monitors.vocabulary import DAYS
from policy import Policy, format_duration

_MAX_KEY_CHARS = 63


class Export(NamedTuple):
    """A monitors file, and the monitors that are not in it, each with the reason."""

    text: str
    size: int
    left_out: tuple[str, ...]


def export(tenant: Tenant, policy: Policy, namespace: str = "", projects: Collection[str] = ()) -> Export:
    """A monitors file of a tenant's monitors.

    A monitor with a mark of the namespace keeps its key. One without a mark gets a key from its name, and is bound by
    its id. Monitors that another namespace manages, copies, and what a declaration cannot say, are left out.

    Args:
        tenant: The tenant, with the tags of all monitors.
        policy: Its catalogue names the models.
        namespace: The namespace of the file; empty for none.
        projects: The names or ids of the projects whose monitors are written; empty for all.
    """
    entries: dict[str, Any] = {}
    left_out = [f"{one}: {unreadable.reason}" for one, unreadable in sorted(tenant.unreadable.items())]
    for one in sorted(tenant.monitors, key=lambda one: (one.mark is None, one.state.name, one.id)):
        if projects and not {one.state.project, tenant.project_name(one.state.project)} & set(projects):
            continue
        if one.mark and (one.mark.namespace != namespace or one.mark.key in entries):
            left_out.append(f"{one.id} ({one.state.name}): it has the mark {one.mark}")
            continue
        key = one.mark.key if one.mark else _free_key(one.state.name, entries)
        entry = _entry(one, key, tenant, policy, bound=one.mark is None)
        try:
            KINDS[one.state.kind].model_validate(entry)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            left_out.append(f"{one.id} ({one.state.name}): {place} {first['msg']}".replace("Value error, ", ""))
            continue
        entries[key] = entry
    content = {"version": 1, **({"namespace": namespace} if namespace else {}), "monitors": entries}
    text = io.StringIO()
    writer = YAML()
    writer.width = 120
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.dump(content, text)
    return Export(text.getvalue(), len(entries), tuple(left_out))


def _entry(one: Observed, key: str, tenant: Tenant, policy: Policy, *, bound: bool) -> dict[str, Any]:
    state = one.state
    schedule = state.schedule
    entry: dict[str, Any] = {
        "kind": state.kind,
        "id": one.id if bound else "",
        "name": state.name if state.name != key else "",
        **_place(state, tenant, policy),
        "metric": state.metric,
        "custom_metric": tenant.custom_metric_name(state.project, state.custom_metric),
        "dimension": state.dimension and _without_empty(state.dimension.model_dump()),
        "model_environment": state.model_environment if state.model_environment != "production" else "",
        "positive_class": state.positive_class,
        "prediction_class": state.prediction_class if state.kind == "performance" else "",
        "ranking_k": state.ranking_k,
        "top_k_percentile": state.top_k_percentile if state.kind == "performance" else None,
        "threshold": _threshold(state.threshold),
        "baseline": "unmanaged" if state.baseline == "unmanaged" else "",
        "window": format_duration(state.window) if state.window != default_window(state.kind) else "",
        "delay": format_duration(state.delay) if state.delay else "",
        "cadence": format_duration(schedule.cadence) if schedule else "",
        "days": [DAYS[day] for day in schedule.days] if schedule else [],
        "filters": [
            _without_empty(filter_.model_dump(mode="json") | {"values": list(filter_.values)})
            for filter_ in state.filters
        ],
        "downtime": state.downtime
        and {
            "start": f"{state.downtime.start:%Y-%m-%dT%H:%M:%SZ}",
            "duration": format_duration(state.downtime.duration),
            "every": format_duration(state.downtime.every),
        },
        "tags": list(one.tags),
        "phase": state.phase if state.phase != "page" else "",
        "contacts": [
            {"email": contact.address}
            if contact.type == "email"
            else {"integration": _integration(contact.address, tenant)}
            for contact in state.contacts
        ]
        + [{"webhook": url} for url in one.webhooks if state.phase != "observe"],
        "owner": state.owner,
        "runbook": state.runbook,
        "notes": state.notes,
    }
    return _without_empty(entry)


def _place(state: MonitorState, tenant: Tenant, policy: Policy) -> Mapping[str, str]:
    """``model`` if a model of the catalogue has just this project in the tenant, else ``project``."""
    for model, entry in policy.models.items():
        if tenant.find_projects(catalogue_projects(entry, model)) == {state.project}:
            return {"model": model}
    name = tenant.project_name(state.project)
    return {"project": name if tenant.find_projects([name]) == {state.project} else state.project}


def _integration(integration_id: str, tenant: Tenant) -> str:
    name = tenant.integration_name(integration_id)
    return name if sum(one.name == name for one in tenant.integrations) == 1 else integration_id


def _threshold(threshold: Threshold) -> dict[str, Any]:
    number = "multiplier" if threshold.calculation else "value"
    sides = [{"operator": one.operator, number: _short(one.number)} for one in threshold.limits]
    calculation = {"calculation": threshold.calculation} if threshold.calculation == "mad" else {}
    if threshold.is_range:
        return {"lower": sides[0], "upper": sides[1], **calculation}
    return {**sides[0], **calculation}


def _short(number: float) -> int | float:
    return int(number) if number.is_integer() and abs(number) < 1e15 else number


def _without_empty(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if value is not None and value not in ("", [])}


def _free_key(name: str, taken: Collection[str]) -> str:
    """A key from a monitor's name that is not taken."""
    base = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:_MAX_KEY_CHARS] or "monitor"
    key, number = base, 2
    while key in taken:
        suffix = f"-{number}"
        key, number = base[: _MAX_KEY_CHARS - len(suffix)] + suffix, number + 1
    return key
