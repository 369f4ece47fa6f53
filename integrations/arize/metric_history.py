"""The numbers of a dynamic threshold, from the metric's history: REST has none."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, cast

from alerts.values import moment

HISTORY = timedelta(days=14)
"""How much of a metric's history is read. Arize's own automatic thresholds look at two weeks, too."""
QUERY = """query MetricHistory($id: ID!, $start: DateTime!, $end: DateTime!) {
  node(id: $id) { ... on Monitor {
    metricHistory(startTime: $start, endTime: $end, timeZone: "utc", timeSeriesDataGranularity: hour) {
      ... on TimeSeriesWithThresholdDataType { key dataPoints { x y } thresholdDataPoints { x y } }
    }
  } }
}"""


@dataclass(frozen=True)
class Numbers:
    """``threshold`` is the limit of the last evaluation, ``baseline`` the median before the failing window."""

    threshold: float | None = None
    baseline: float | None = None


@dataclass(frozen=True)
class Window:
    """The failing window of a monitor's last evaluation."""

    start: datetime
    end: datetime

    @property
    def history(self) -> tuple[datetime, datetime]:
        """From when to when the metric's history is read."""
        return self.start - HISTORY, self.end


def failing_window(monitor: Mapping[str, Any], now: datetime) -> Window:
    """``[evaluated_at - delay - window, evaluated_at - delay]``; a monitor that was never evaluated ends now."""
    end = (moment(monitor.get("evaluated_at")) or now) - timedelta(seconds=_seconds(monitor.get("delay_seconds")))
    return Window(end - timedelta(seconds=_seconds(monitor.get("evaluation_window_length_seconds"))), end)


def read_numbers(node: Any, window: Window) -> Numbers:
    """The numbers of ``node { metricHistory }``. Points of another shape are left out."""
    history = cast("Mapping[str, Any]", node).get("metricHistory") if isinstance(node, Mapping) else None
    if not isinstance(history, Mapping):
        return Numbers()
    series = cast("Mapping[str, Any]", history)
    values = [y for x, y in _points(series.get("dataPoints")) if x < window.start]
    limits = [y for x, y in sorted(_points(series.get("thresholdDataPoints"))) if x <= window.end]
    return Numbers(limits[-1] if limits else None, median(values) if values else None)


def _points(stated: Any) -> list[tuple[datetime, float]]:
    found: list[tuple[datetime, float]] = []
    for point in cast("list[Any]", stated) if isinstance(stated, list) else ():
        if isinstance(point, Mapping):
            one = cast("Mapping[str, Any]", point)
            at, value = moment(one.get("x")), one.get("y")
            if at is not None and isinstance(value, int | float) and not isinstance(value, bool):
                found.append((at, float(value)))
    return found


def _seconds(stated: Any) -> float:
    return float(stated) if isinstance(stated, int | float) and 0 <= stated < 10**9 else 0.0
