"""Statistics of a period's incidents, computed from the audit log. Drills are never counted."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from audit.chain import AuditRecord

EVENTS = ("received", "classified", "acknowledged", "silenced")
"""The events that the figures need; a silence counts as an acknowledgement."""
_TIERS = ("low", "high", "critical")


@dataclass
class IncidentFigure:
    """One incident: its highest tier, and how long it waited for a person."""

    incident: str
    at: datetime
    model: str = ""
    monitor: str = ""
    tier: str = "low"
    drill: bool = False
    time_to_acknowledge: float | None = None
    """Seconds from the first alert to the first acknowledgement."""


def incident_figures(records: Iterable[AuditRecord]) -> list[IncidentFigure]:
    """One figure for each incident that began within the records, in their order, drills left out."""
    found: dict[tuple[str, str], IncidentFigure] = {}
    for record in records:
        key = (record.incident, record.first_run_id)
        if record.event == "received":
            alert: Any = record.data.get("alert")
            fields = cast("dict[str, Any]", alert) if isinstance(alert, dict) else {}
            found.setdefault(
                key,
                IncidentFigure(
                    record.incident,
                    record.at,
                    model=str(fields.get("model", "")),
                    monitor=str(fields.get("monitor", "")) or record.text,
                    drill=bool(fields.get("drill")),
                ),
            )
            continue
        figure = found.get(key)
        if figure is None:
            continue
        if record.event == "classified":
            tier = str(record.data.get("tier", "low"))
            if tier in _TIERS and _TIERS.index(tier) > _TIERS.index(figure.tier):
                figure.tier = tier
        elif figure.time_to_acknowledge is None:
            figure.time_to_acknowledge = max((record.at - figure.at).total_seconds(), 0.0)
    return [figure for figure in found.values() if not figure.drill]


@dataclass(frozen=True)
class ModelFigures:
    """One model in a period: incidents by tier, and the median time to acknowledge in seconds."""

    model: str
    tiers: dict[str, int] = field(default_factory=dict[str, int])
    time_to_acknowledge: float | None = None

    @property
    def total(self) -> int:
        return sum(self.tiers.values())


def by_model(figures: Iterable[IncidentFigure]) -> dict[str, ModelFigures]:
    """The figures of each model that had an incident, by its name."""
    groups: dict[str, list[IncidentFigure]] = {}
    for figure in figures:
        groups.setdefault(figure.model or "(no model)", []).append(figure)
    return {model: _model_figures(model, group) for model, group in groups.items()}


def _model_figures(model: str, figures: list[IncidentFigure]) -> ModelFigures:
    times = [figure.time_to_acknowledge for figure in figures if figure.time_to_acknowledge is not None]
    return ModelFigures(
        model,
        {tier: sum(figure.tier == tier for figure in figures) for tier in reversed(_TIERS)},
        statistics.median(times) if times else None,
    )
