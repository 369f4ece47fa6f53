"""What is usual at this hour of the week: the band, and when there is none."""

import math
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import normalise
from policy.decision import Seasonal
from policy.seasonal import MIN_PERIODS, expected_band
from tests.policy.policies import BASE, load

WEEK = timedelta(days=7)
AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
SEASONAL = Seasonal(period=WEEK.total_seconds(), history=8 * WEEK.total_seconds(), expected=Decimal("0.99"))


def weeks(*values: float | None, shift: timedelta = timedelta(0)) -> list[tuple[datetime, float]]:
    """The values of the weeks before, the last one first."""
    return [(AT - (k + 1) * WEEK + shift, value) for k, value in enumerate(values) if value is not None]


USUAL = (100.0, 104.0, 97.0, 101.0, 99.0, 103.0)


@pytest.mark.parametrize(
    ("value", "is_expected"), [(100, True), (108, True), (93, True), (130, False), (70, False), (200, False)]
)
def test_value_within_what_it_always_was(value: float, is_expected: bool) -> None:
    band = expected_band(weeks(*USUAL), AT, SEASONAL)
    assert band is not None
    assert band.holds(value) is is_expected, band


@pytest.mark.parametrize(
    ("what", "earlier"),
    [
        ("three weeks", weeks(100, 101, 99)),
        ("other hours", weeks(*USUAL, shift=timedelta(hours=5))),
        ("long ago", [(at - 10 * WEEK, value) for at, value in weeks(*USUAL)]),
        ("this week only", [(AT - timedelta(minutes=5 * k), 100.0) for k in range(20)]),
        ("no numbers", weeks(*[math.nan] * 6)),
        ("nothing", []),
    ],
)
def test_without_four_periods_nothing_is_expected(what: str, earlier: list[tuple[datetime, float]]) -> None:
    assert expected_band(earlier, AT, SEASONAL) is None, what


def test_weeks_that_are_missing_are_left_out() -> None:
    band = expected_band(weeks(100, None, 97, None, 99, 103), AT, SEASONAL)
    assert band is not None
    assert band.holds(100)
    assert len(band.values) == MIN_PERIODS


@pytest.mark.parametrize("hours", [-1, 1])
def test_daylight_saving_moves_an_hour(hours: int) -> None:
    assert expected_band(weeks(*USUAL, shift=timedelta(hours=hours)), AT, SEASONAL) is not None


def test_trend_goes_on() -> None:
    band = expected_band(weeks(170, 160, 150, 140, 130, 120), AT, SEASONAL)
    assert band is not None
    assert band.holds(180)
    assert not band.holds(145)


@pytest.mark.parametrize("holiday", [5.0, 1000.0])
def test_one_unusual_week_changes_little(holiday: float) -> None:
    usual = expected_band(weeks(*USUAL), AT, SEASONAL)
    band = expected_band(weeks(100, 104, holiday, 101, 99, 103), AT, SEASONAL)
    assert usual is not None
    assert band is not None
    assert band.holds(101)
    assert not band.holds(150)


@given(
    st.lists(st.floats(1, 1e6), min_size=4, max_size=8),
    st.floats(1e-3, 1e3),
)
def test_band_scales_with_its_values(values: list[float], factor: float) -> None:
    band, scaled = (expected_band(weeks(*[one * by for one in values]), AT, SEASONAL) for by in (1.0, factor))
    assert band is not None
    assert scaled is not None
    assert math.isclose(scaled.low, band.low * factor, rel_tol=1e-6, abs_tol=1e-6 * factor * max(values))
    assert math.isclose(scaled.high, band.high * factor, rel_tol=1e-6, abs_tol=1e-6 * factor * max(values))


def test_false_alarms_and_misses_of_simulated_series() -> None:
    """Of usual values, most are expected; of values that are 60 % higher, hardly any is."""
    source = random.Random(15)

    def usual() -> float:
        return source.gauss(100, 5)

    kept = missed = 0
    for _ in range(500):
        band = expected_band(weeks(*[usual() for _ in range(8)]), AT, SEASONAL)
        assert band is not None
        kept += band.holds(usual())
        missed += band.holds(1.6 * usual())
    assert kept > 450
    assert missed < 10


NOISE = """
noise: {seasonal: [{when: 'alert.metric == "token_usage"', period: 7d, history: 8w, expected: 0.99}]}
"""


def body(model: str = "chatbot", metric: str = "token_usage") -> dict[str, object]:
    return {"monitor": "tokens", "model": model, "metric": metric, "value": 5.0, "status": "TRIGGERED"}


@pytest.mark.parametrize(
    ("changes", "more", "is_compared"),
    [
        ({}, "", True),
        ({"metric": "error_rate"}, "", False),
        ({}, "models: {chatbot: {slo: {token_usage: 3}}}\n", False),
        ({}, "models: {chatbot: {regulated: true}}\ngovernance: {regulated: model.regulated}\n", False),
    ],
)
def test_objectives_and_regulated_models_are_never_compared(
    tmp_path: Path, changes: dict[str, str], more: str, is_compared: bool
) -> None:
    policy = load(tmp_path, BASE + NOISE + more)
    alert = policy.interpret(normalise({**body(), **changes}))
    assert (policy.decide(alert, AT).seasonal is not None) is is_compared
