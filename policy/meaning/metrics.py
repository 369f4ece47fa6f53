"""The policy's ``metrics``: they add names to the built-in ones, and win over them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from alerts import Alert
from alerts.values import is_percentage, snake
from policy.cel.conditions import Condition, Facts
from policy.decision import IncidentFacts
from policy.meaning.built_in import COUNTS, Meaning
from policy.meaning.known import Better, fold, known

_PRESENCE = frozenset({"percent_empty", "cardinality", "new_values", "missing_values", "count"})
"""Aggregations that do not measure what their dimension is named after."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEW_INCIDENT = IncidentFacts()


@dataclass(frozen=True)
class NamedMetric:
    """An entry of ``metrics``. ``names`` are folded; ``match`` is a condition on the alert alone."""

    name: str
    names: frozenset[str]
    match: Condition | None = None
    kind: str = ""
    unit: str = ""
    better: Better = ""

    def meaning(self, built_in: Meaning, by: str, said: str) -> Meaning:
        """The built-in meaning with what the policy states instead."""
        entry = known(self.name)
        unit = self.unit or (entry.unit if entry else "") or built_in.unit
        same = built_in.metric == self.name
        factor = built_in.factor if same else 1.0
        if unit == "ratio" and not (same and entry) and (is_percentage(said) or built_in.unit == "percent"):
            factor = 0.01
        return replace(
            built_in,
            metric=self.name,
            by=by,
            mapped=True,
            kind=self.kind or (entry.kind if entry else "") or built_in.kind,
            unit=unit,
            better=self.better or (entry.better if entry else "") or built_in.better,
            factor=factor,
        )


class NamedMetrics:
    """All entries of ``metrics``, in the order of the policy."""

    def __init__(self, metrics: Sequence[NamedMetric] = ()) -> None:
        self.metrics = tuple(metrics)
        self._by_name = {name: metric for metric in reversed(self.metrics) for name in metric.names}
        self._matching = tuple(metric for metric in self.metrics if metric.match is not None)

    def apply(self, alert: Alert, built_in: Meaning) -> Meaning:
        """The meaning of an alert that has not been interpreted yet, given its built-in meaning."""
        for said in _names_of(alert, built_in):
            metric = self._by_name.get(fold(said))
            share_of_count = alert.aggregation in COUNTS and metric is not None and _unit(metric) == "ratio"
            if metric is not None and not share_of_count:
                knew_it = built_in.mapped and said == built_in.metric and not metric.kind
                by = built_in.by if knew_it else f"metrics.{metric.name}"
                return metric.meaning(built_in, by, said)
        if self._matching:
            candidate = alert.model_copy(
                update={"metric": built_in.metric, "kind": built_in.kind or alert.kind, "mapped": built_in.mapped}
            )
            facts = Facts(candidate, {}, _NEW_INCIDENT, _EPOCH)
            for metric in self._matching:
                assert metric.match is not None
                if metric.match.holds(facts):
                    return metric.meaning(built_in, f"metrics.{metric.name}.match", "")
        return built_in

    def failures(self, alert: Alert) -> dict[str, str]:
        """Why a ``match`` cannot be evaluated for an interpreted alert, by its place. Most alerts lack most fields."""
        if not self._matching:
            return {}
        facts = Facts(alert, {}, _NEW_INCIDENT, _EPOCH)
        outcomes = {one.name: one.match.matches(facts) for one in self._matching if one.match is not None}
        return {
            f"metrics.{name}.match": outcome.reason.removeprefix("skipped: ")
            for name, outcome in outcomes.items()
            if outcome.failed
        }


def _unit(metric: NamedMetric) -> str:
    entry = known(metric.name)
    return metric.unit or (entry.unit if entry else "")


def _names_of(alert: Alert, built_in: Meaning) -> list[str]:
    """The names that an alert gives its metric, the most specific first."""
    found = [alert.custom_metric, alert.custom_metric_id]
    if not alert.aggregation:
        found.append(alert.metric)
    elif alert.dimension:
        found.append(snake(f"{alert.aggregation} {alert.dimension}"))
        if alert.aggregation not in _PRESENCE:
            found.append(alert.dimension)
    found.append(built_in.metric)
    return [name for name in found if name]
