"""What a metric always is at this hour of the period: a band from earlier values, robust to what was unusual."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from math import isfinite, sqrt
from statistics import NormalDist, median

from policy.decision import Seasonal

MIN_PERIODS = 4
"""With values in fewer periods, nothing is known of what is usual."""
NEAR = timedelta(minutes=90)
"""An earlier value counts for this hour if it is so near to it: daylight saving moves an hour by 60 minutes."""
_NORMAL_MAD = 1.4826
"""A normal distribution's standard deviation, in median absolute deviations."""
_MOST_WIDTH = 0.35
"""Of the predicted value, to either side: what is known badly is not expected."""
_LEAST_SPREAD = 0.02
"""Of the predicted value: a few equal values do not prove that the next one is equal, too."""


@dataclass(frozen=True)
class Band:
    """What is expected, from the values of so many periods."""

    low: float
    high: float
    values: tuple[float, ...]
    """One for each period, the newest first."""

    def holds(self, value: float) -> bool:
        """Whether a value is expected."""
        return self.low <= value <= self.high

    def text(self, value: float, period: str) -> str:
        """``930,000 is within 900,000 to 1,100,000, by 6 earlier periods of 7d (▃▅▆▂▃▇)``"""
        expected = f"{_amount(self.low)} to {_amount(self.high)}"
        return (
            f"{_amount(value)} is within {expected}, by {len(self.values)} earlier periods of {period} ({self.chart})"
        )

    @property
    def chart(self) -> str:
        """The values as bars, the oldest first."""
        least, most = min(self.values), max(self.values)
        span = most - least or 1.0
        return "".join(_BARS[round((one - least) / span * (len(_BARS) - 1))] for one in reversed(self.values))


_BARS = "▁▂▃▄▅▆▇█"


def expected_band(earlier: Iterable[tuple[datetime, float]], at: datetime, seasonal: Seasonal) -> Band | None:
    """The band for a time; None if too little is known.

    Each earlier period counts once, by the median of its values near to this hour, so that a period without any is
    left out. The trend is the median of the slopes between all pairs of periods, and the spread comes from the median
    distance to it: one holiday or one incident among them moves neither much.

    Args:
        earlier: times and values of the same metric, in any order.
        at: the time of the value that is to be judged.
        seasonal: the period, how far back it counts, and which share of what is usual the band holds.
    """
    period = timedelta(seconds=seasonal.period)
    slots: dict[int, list[float]] = {}
    for when, value in earlier:
        count = round((at - when) / period)
        is_near = abs(at - when - count * period) <= NEAR
        if is_near and 1 <= count <= seasonal.history / seasonal.period and isfinite(value):
            slots.setdefault(count, []).append(value)
    if len(slots) < MIN_PERIODS:
        return None
    points = [(float(-count), median(values)) for count, values in sorted(slots.items())]
    slope = median((one[1] - two[1]) / (one[0] - two[0]) for one, two in combinations(points, 2))
    level = median(value - slope * when for when, value in points)
    distance = median(abs(value - slope * when - level) for when, value in points)
    spread = max(distance * _NORMAL_MAD, abs(level) * _LEAST_SPREAD)
    width = min(spread * _factor(float(seasonal.expected), len(points)), abs(level) * _MOST_WIDTH)
    return Band(level - width, level + width, tuple(value for _, value in points))


def _factor(share: float, count: int) -> float:
    """How many standard deviations hold a share of further values, if these are known by so few.

    Two degrees of freedom go into the trend and the level. The quantile is Student's, by the expansion of Cornish and
    Fisher.
    """
    free = count - 2
    z = NormalDist().inv_cdf((1 + share) / 2)
    quantile = z + (z**3 + z) / (4 * free) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * free**2)
    return quantile * sqrt(count / free) * sqrt(1 + 1 / count)


def _amount(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
