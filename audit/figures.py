"""What happened to incidents in a time, counted from the records. Fire drills are never counted."""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from audit.chain import Record

KINDS = ("received", "classified", "acknowledged", "silenced")
_LOUDER = ("low", "high", "critical")


@dataclass
class IncidentFigure:
    """One incident: its loudest tier, and how long it waited for a person."""

    incident: str
    at: datetime
    model: str = ""
    monitor: str = ""
    tier: str = "low"
    drill: bool = False
    answered_after: float | None = None
    """Seconds from the first alert to the first acknowledgement."""


def incident_figures(records: Iterable[Record]) -> list[IncidentFigure]:
    """One for each incident that began within the records, in their order; drills are left out."""
    found: dict[tuple[str, str], IncidentFigure] = {}
    for record in records:
        key = (record.incident, record.opening)
        if record.what == "received":
            alert: Any = record.data.get("alert")
            named = cast("dict[str, Any]", alert) if isinstance(alert, dict) else {}
            found.setdefault(
                key,
                IncidentFigure(
                    record.incident,
                    record.at,
                    model=str(named.get("model", "")),
                    monitor=str(named.get("monitor", "")) or record.text,
                    drill=bool(named.get("drill")),
                ),
            )
            continue
        figure = found.get(key)
        if figure is None:
            continue
        if record.what == "classified":
            tier = str(record.data.get("tier", "low"))
            if tier in _LOUDER and _LOUDER.index(tier) > _LOUDER.index(figure.tier):
                figure.tier = tier
        elif figure.answered_after is None:
            figure.answered_after = max((record.at - figure.at).total_seconds(), 0.0)
    return [figure for figure in found.values() if not figure.drill]


@dataclass(frozen=True)
class ModelFigures:
    """A model over a time: incidents by tier, and the median wait for an answer in seconds."""

    model: str
    tiers: dict[str, int] = field(default_factory=dict[str, int])
    answered_after: float | None = None

    @property
    def total(self) -> int:
        return sum(self.tiers.values())


def by_model(figures: Iterable[IncidentFigure]) -> dict[str, ModelFigures]:
    """Of each model that had an incident."""
    groups: dict[str, list[IncidentFigure]] = {}
    for figure in figures:
        groups.setdefault(figure.model or "(no model)", []).append(figure)
    return {
        model: ModelFigures(
            model,
            {tier: sum(one.tier == tier for one in group) for tier in reversed(_LOUDER)},
            statistics.median(waits)
            if (waits := [one.answered_after for one in group if one.answered_after is not None])
            else None,
        )
        for model, group in groups.items()
    }
