"""The alerts that a monitor would send if it triggered now, with values just beyond its threshold.

"Just beyond" is 1 % past the limit; past a limit of 0, it is 0.01. A range has two limits, and so two alerts. Of a
dynamic threshold, the limit of the last evaluation counts, as Arize's metric history shows it. If that is not known,
a monitor that is triggered now has its latest value, and any other monitor has no value: the policy then decides in
doubt, as it would about an alert without one.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from alerts import Alert, Description
from alerts.values import number, snake

BEYOND = 0.01
"""The share of a limit that a value is past it; and the distance from a limit of 0."""
Side = Literal["", "upper", "lower"]
_LIVE = ("status", "latest_computed_value", "evaluated_at")


def hypothetical_alerts(description: Description) -> tuple[tuple[Side, Alert], ...]:
    """Each alert, and the side of a range that its value is past; empty for a threshold with one limit."""
    monitor = {name: value for name, value in description.monitor.items() if name not in _LIVE}
    quiet = description.model_copy(update={"monitor": {**monitor, "status": "TRIGGERED"}})
    undescribed = "; ".join(description.missing)
    return tuple(
        (side, quiet.as_alert(value).model_copy(update={"undescribed": undescribed}))
        for side, value in _values(description)
    )


def _values(description: Description) -> Iterator[tuple[Side, float | None]]:
    threshold = description.monitor.get("threshold")
    parts = cast("Mapping[str, Any]", threshold) if isinstance(threshold, Mapping) else {"value": threshold}
    kind = snake(parts.get("type"))
    if kind.startswith("dynamic"):
        yield _dynamic(description, parts)
        return
    limits = {side: number(_part(parts, side).get("value")) for side in ("upper", "lower")}
    if limits["upper"] is None and limits["lower"] is None:
        limit = number(parts.get("value"))
        yield "", None if limit is None else beyond(limit, snake(parts.get("operator")))
        return
    if limits["upper"] is not None:
        yield "upper", beyond(limits["upper"], "greater_than")
    if limits["lower"] is not None:
        yield "lower", beyond(limits["lower"], "less_than")


def _dynamic(description: Description, parts: Mapping[str, Any]) -> tuple[Side, float | None]:
    limit = description.threshold
    if limit is None:
        triggered = str(description.monitor.get("status")).upper() == "TRIGGERED"
        return "", number(description.monitor.get("latest_computed_value")) if triggered else None
    operator = snake(parts.get("operator"))
    if not operator:  # a range: the limit is the one that is on its side of the baseline
        below = description.baseline is not None and limit < description.baseline
        operator = "less_than" if below else "greater_than"
    return "", beyond(limit, operator)


def _part(parts: Mapping[str, Any], side: str) -> Mapping[str, Any]:
    found = parts.get(side)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def beyond(limit: float, operator: str) -> float:
    """A value that a comparison with the limit holds for: past it by 1 %, or equal to it."""
    if operator == "equals":
        return limit
    distance = abs(limit) * BEYOND or BEYOND
    return float(f"{limit - distance if operator.startswith('less') else limit + distance:.12g}")
