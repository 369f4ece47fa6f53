"""The numbers of an alert: its value, its threshold and its baseline, in one unit."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from alerts import values
from alerts.lookup import Lookup
from alerts.numbers import Quantity, has_decimal_comma, is_percent, milliseconds, quantity

_SECONDS = re.compile(r"(?:^|_)(?:s|sec|secs|seconds)$")
_TIMES = re.compile(r"(?:^|_)(?:ms|msec|millis|milliseconds|latency|latencies|duration|ttft)(?:_|$)|time_to_")
"""Of metrics that are durations. Arize's own, ``latency_ms``, is in milliseconds."""
_STATED = ("value", "threshold", "threshold_2", "baseline")


class Amounts(NamedTuple):
    """In the metric's own unit; a ratio for ``31 %``, except of a metric whose name says that it is a percentage."""

    value: float | None
    threshold: float | None
    operator: str
    baseline: float | None


def read_amounts(look: Lookup, metric: Mapping[str, str], tagged_baseline: str | None) -> Amounts:
    """Read the numbers of a body.

    Args:
        look: finds a field's value in the body.
        metric: the fields about the metric: the names say whether numbers are percentages or seconds.
        tagged_baseline: the baseline of a tag or of the notes, for a body that states none.
    """
    reader = _Reader(look, metric)
    value = quantity(look("value"))
    threshold, operator = reader.threshold(reader.amount(value))
    return Amounts(
        reader.resolved(value, threshold, operator),
        threshold,
        operator,
        next((found for one in (look("baseline"), tagged_baseline) if (found := reader.number(one)) is not None), None),
    )


def is_dynamic(look: Lookup) -> bool:
    """Whether Arize computes the threshold."""
    threshold = look("threshold")
    kind = cast("Mapping[str, Any]", threshold).get("type") if isinstance(threshold, Mapping) else ""
    return values.snake(kind).startswith("dynamic") or look("automatic") not in (None, False)


class _Reader:
    def __init__(self, look: Lookup, metric: Mapping[str, str]) -> None:
        names = [values.snake(metric[name]) for name in ("metric", "custom_metric", "dimension")]
        self._look = look
        self._percentage = values.is_percentage(" ".join(names))
        self._milliseconds = 1.0 if any(map(_TIMES.search, names)) else None
        if any(map(_SECONDS.search, names)):
            self._milliseconds = 1000.0
        self._decimal_comma = any(has_decimal_comma(look(name)) for name in _STATED)

    def number(self, value: Any) -> float | None:
        return self.amount(quantity(value))

    def amount(self, found: Quantity | None) -> float | None:
        """The number of a quantity in the metric's unit."""
        if found is None:
            return None
        number = found.ambiguous if self._decimal_comma and found.ambiguous is not None else found.number
        if is_percent(found.unit):
            return number if self._percentage else number / 100
        unit = milliseconds(found.unit) if self._milliseconds else None
        return number * unit / self._milliseconds if unit and self._milliseconds else number

    def resolved(self, found: Quantity | None, threshold: float | None, operator: str) -> float | None:
        """The value. Of two readings, the one that is past the threshold; ``1,310`` is 1310 if both are."""
        larger = self.amount(found)
        if found is None or found.ambiguous is None or larger is None or threshold is None or self._decimal_comma:
            return larger
        smaller = self.amount(found._replace(number=found.ambiguous))
        if smaller is not None and operator.startswith("less") and smaller < threshold <= larger:
            return smaller
        return larger

    def threshold(self, value: float | None) -> tuple[float | None, str]:
        """The threshold and its operator. A dynamic one has no number; of a range, the breached limit counts."""
        threshold, operator = self._look("threshold"), values.snake(self._look("operator"))
        if not isinstance(threshold, Mapping):
            if values.snake(self._look("threshold_mode")) == "range":
                return self._breached(
                    {"lower": {"value": threshold}, "upper": {"value": self._look("threshold_2")}}, value
                )
            return self.number(threshold), operator
        parts = cast("Mapping[str, Any]", threshold)
        if not isinstance(parts.get("lower"), Mapping) and not isinstance(parts.get("upper"), Mapping):
            return self.number(parts.get("value")), values.snake(parts.get("operator")) or operator
        return self._breached(parts, value)

    def _breached(self, band: Mapping[str, Any], value: float | None) -> tuple[float | None, str]:
        """The limit of a healthy band that the value is beyond, with the comparison that says so.

        Arize states a range as the band of healthy values: above ``lower`` and below ``upper``.
        """
        limits = {
            side: self.number(cast("Mapping[str, Any]", part).get("value"))
            for side in ("lower", "upper")
            if isinstance(part := band.get(side), Mapping)
        }
        lower, upper = limits.get("lower"), limits.get("upper")
        if value is None:
            return None, ""
        if upper is not None and value >= upper:
            return upper, "greater_than"
        if lower is not None and value <= lower:
            return lower, "less_than"
        return None, ""
