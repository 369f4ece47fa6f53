"""Durations: parsing and formatting."""

from typing import Any

import pytest

from policy.durations import format_duration, parse_duration


@pytest.mark.parametrize(
    ("written", "seconds"), [("30s", 30), ("15m", 900), ("24h", 86400), ("7d", 604800), ("8w", 4838400)]
)
def test_parse_and_format(written: str, seconds: float) -> None:
    assert parse_duration(written) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("written", [15, "15", "", "m", "1.5h", "-5m", "15 minutes", None, "99999999d"])
def test_other_values_are_rejected(written: Any) -> None:
    with pytest.raises(ValueError, match="with its unit"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("seconds", "written"), [(90, "90s"), (3600, "1h"), (86400, "1d"), (0.25, "0.25s"), (5400, "90m")]
)
def test_format_is_shortest_exact(seconds: float, written: str) -> None:
    assert format_duration(seconds) == written
