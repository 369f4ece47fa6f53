"""Amounts in messages: the unit decides."""

import pytest

from alerts import Alert
from incident.amounts import amount_of, format_amount


@pytest.mark.parametrize(
    ("unit", "metric", "value", "text"),
    [
        ("ratio", "x", 0.31, "31 %"),
        ("ratio", "x", 22, "22"),
        ("percent", "percent_empty", 12.5, "12.5 %"),
        ("ms", "p95_latency_ms", 6200.4, "6,200 ms"),
        ("s", "x", 6.2, "6.2 s"),
        ("usd", "llm_cost", 1250, "1,250 USD"),
        ("tokens", "token_usage", 9e6, "9,000,000 tokens"),
        ("distance", "embedding_drift", 0.19, "0.19"),
        ("", "error_rate", 0.31, "31 %"),
        ("", "p95_latency_ms", 900, "900 ms"),
        ("", "anything", 0.31, "0.31"),
        ("ms", "x", None, ""),
    ],
)
def test_amount_has_its_unit(unit: str, metric: str, value: float | None, text: str) -> None:
    assert format_amount(Alert(monitor="m", unit=unit, metric=metric), value) == text


def test_later_alert_is_shown_in_the_unit_of_the_first() -> None:
    first = Alert(monitor="m", metric="p95_latency_ms", unit="ms", interpreted="abc", value=9000.0)
    assert amount_of(Alert(monitor="m", metric="p95", value=900.0), first) == "900 ms"


def test_later_alert_of_a_converted_metric_is_shown_as_it_was_sent() -> None:
    first = Alert(monitor="m", metric="error_rate", unit="ratio", interpreted="abc", value=0.22, stated={"value": 22.0})
    assert amount_of(Alert(monitor="m", metric="error_rate_pct", value=2.0), first) == "2"
    interpreted = Alert(monitor="m", metric="error_rate", unit="ratio", interpreted="abc", value=0.02)
    assert amount_of(interpreted, first) == "2 %"
