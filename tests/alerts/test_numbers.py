"""Numbers as people and programs write them."""

import sys
from typing import Any

import pytest

from alerts import normalise
from tests.alerts.bodies import flat


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (0.31, 0.31),
        ("0.31", 0.31),
        (" 0.31 ", 0.31),
        ("31 %", 0.31),
        ("31%", 0.31),
        ("1,250", 1250.0),
        ("1,250.5", 1250.5),
        ("-2e-3", -0.002),
        (7, 7.0),
        ("", None),
        (None, None),
        ("many", None),
        (True, None),
        ([], None),
        ("1,2", 1.2),
        ("0,310", 0.31),
        ("0,012", 0.012),
        (",5", 0.5),
        ("12,3456", 12.3456),
        ("1,310", 1310.0),
        ("1,00,000", 100_000.0),
        ("1.250,5", 1250.5),
        ("1.234.567", 1_234_567.0),
        ("1\u202f250,5", 1250.5),
        ("1'250", 1250.0),
        ("\u22120.4", -0.4),
        ("\u2212 0.4", -0.4),
        ("6200 ms", 6200.0),
        ("$1,250.50", 1250.5),
        ("-5 \u20ac", -5.0),
        ("USD 5", 5.0),
        ("12k", 12_000.0),
        ("5 tokens/s", 5.0),
        ("31\u00a0%", 0.31),
        ("31 percent", 0.31),
        ("\uff13\uff11\u066a", 0.31),
        ("\u0663\u066b\u0665", 3.5),
        ("0.31\u200b", 0.31),
        ("1e999", sys.float_info.max),
        ("-Infinity", -sys.float_info.max),
        ("0x10", None),
        ("nan", None),
        ("10 of 20", None),
        ("10:30", None),
        ("1,234,5", None),
        ("2026-11-25", None),
    ],
)
def test_numbers_are_parsed(written: Any, value: float | None) -> None:
    assert normalise(flat(metric_value=written)).value == value


@pytest.mark.parametrize(
    ("metric", "written", "value"),
    [
        ({"metric": "p95_latency_ms"}, "6.2 s", 6200.0),
        ({"metric": "p95_latency_ms"}, "6200 ms", 6200.0),
        ({"metric": "AVG", "dimension_name": "latency_ms"}, "0.5 min", 30_000.0),
        ({"metric": "P95", "dimension_name": "latency_s"}, "6200 ms", 6.2),
        ({"metric": "time_to_first_token"}, "900\u00b5s", 0.9),
        ({"metric": "orders"}, "6.2 s", 6.2),
        ({"metric": "PERCENT_EMPTY"}, "31 %", 31.0),
    ],
)
def test_units_are_those_of_the_metric(metric: dict[str, str], written: str, value: float) -> None:
    alert = normalise({"monitor_name": "m", **metric, "metric_value": written, "threshold": written})
    assert (alert.value, alert.threshold) == (pytest.approx(value), pytest.approx(value))


@pytest.mark.parametrize(
    ("other", "value"),
    [
        ({"threshold": "0,05"}, 1.31),
        ({"threshold": 0.05}, 1310.0),
        ({"threshold": 2, "operator": "LESS_THAN"}, 1.31),
        ({"threshold": 5000, "operator": "LESS_THAN"}, 1310.0),
        ({"threshold": 2, "operator": "GREATER_THAN"}, 1310.0),
        ({"baseline": "1.250,5"}, 1.31),
    ],
)
def test_ambiguous_comma_is_decided_by_the_body(other: dict[str, Any], value: float) -> None:
    assert normalise({"monitor_name": "m", "metric_value": "1,310", **other}).value == value
