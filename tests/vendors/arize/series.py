"""The history of a monitor's metric, its thresholds over time, and what an evaluation finds."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from statistics import fmean, median, pstdev
from typing import Any

from tests.vendors.arize.ids import timestamp
from tests.vendors.arize.state import Row

Point = tuple[datetime, float | None]
_COMPARISONS = {
    "GREATER_THAN": lambda value, bound: value > bound,
    "GREATER_THAN_OR_EQUAL": lambda value, bound: value >= bound,
    "LESS_THAN": lambda value, bound: value < bound,
    "LESS_THAN_OR_EQUAL": lambda value, bound: value <= bound,
    "EQUALS": lambda value, bound: value == bound,
    "NOT_EQUALS": lambda value, bound: value != bound,
}


def _spread(values: Sequence[float], calculation: str) -> tuple[float, float]:
    """The centre of values, and the unit of a dynamic threshold's multiplier."""
    if calculation == "MAD":
        centre = median(values)
        return centre, median(abs(one - centre) for one in values)
    return fmean(values), pstdev(values)


def threshold_value(threshold: Row, before: Sequence[float]) -> float | None:
    """The number of a threshold, or of the lower bound of a range; a dynamic one by the values before."""
    kind = threshold["type"]
    if kind == "MANUAL_SINGLE":
        return threshold["value"]
    if kind == "MANUAL_RANGE":
        return threshold["lower"]["value"]
    if not before:
        return None
    centre, unit = _spread(before, threshold.get("calculation", "STDEV"))
    if kind == "DYNAMIC_RANGE":
        return centre - threshold["lower"]["multiplier"] * unit
    sign = -1 if threshold["operator"].startswith("LESS") else 1
    return centre + sign * threshold["multiplier"] * unit


def is_triggered(threshold: Row, value: float, before: Sequence[float]) -> bool:
    """Whether a value triggers: past a single threshold, or outside a range, whose operators describe what is well."""
    bound = threshold_value(threshold, before)
    if bound is None:
        return False
    if not threshold["type"].endswith("RANGE"):
        return _COMPARISONS[threshold["operator"]](value, bound)
    lower, upper = threshold["lower"], threshold["upper"]
    if threshold["type"] == "MANUAL_RANGE":
        top = upper["value"]
    else:
        centre, unit = _spread(before, threshold.get("calculation", "STDEV"))
        top = centre + upper["multiplier"] * unit
    return not (_COMPARISONS[lower["operator"]](value, bound) and _COMPARISONS[upper["operator"]](value, top))


def _bucket(at: datetime, granularity: str) -> datetime:
    start = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if granularity == "hour":
        return start
    start = start.replace(hour=0)
    if granularity == "week":
        return start - timedelta(days=start.weekday())
    return start.replace(day=1) if granularity == "month" else start


def buckets(points: Sequence[Point], begin: datetime, end: datetime, granularity: str) -> list[Point]:
    """The mean of each hour, day, week or month in which there are points of the time from begin to end."""
    inside = sorted((point for point in points if begin <= point[0] <= end), key=lambda point: point[0])
    found: list[Point] = []
    for start, group in groupby(inside, key=lambda point: _bucket(point[0], granularity)):
        values = [value for _, value in group if value is not None]
        found.append((start, fmean(values) if values else None))
    return found


def with_thresholds(points: Sequence[Point], threshold: Row | None) -> tuple[list[Row], list[Row] | None]:
    """The data points and the threshold's points, as GraphQL gives them."""
    data = [{"x": timestamp(at), "y": value} for at, value in points]
    if threshold is None:
        return data, None
    values = [value for _, value in points]
    bounds: list[Any] = [
        threshold_value(threshold, [one for one in values[:place] if one is not None]) for place in range(len(values))
    ]
    return data, [{"x": timestamp(at), "y": bound} for (at, _), bound in zip(points, bounds, strict=True)]
