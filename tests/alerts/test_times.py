"""Which stated times identify and order an alert, and which do not."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from alerts.times import plausible_time

RECEIVED = datetime(2026, 11, 26, 10, 4, 40, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stated", "plausible"),
    [
        (RECEIVED, True),
        (RECEIVED - timedelta(seconds=30), True),
        (RECEIVED + timedelta(minutes=4), True),
        (RECEIVED - timedelta(days=6), True),
        (RECEIVED.astimezone(timezone(timedelta(hours=9))), True),
        (RECEIVED.replace(tzinfo=None), True),
        (None, False),
        (datetime(1, 1, 1, tzinfo=UTC), False),
        (datetime(1970, 1, 1, tzinfo=UTC), False),
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), False),
        (RECEIVED - timedelta(days=8), False),
        (RECEIVED + timedelta(hours=1), False),
        (datetime(2026, 11, 26, tzinfo=UTC), False),
        (datetime(2026, 11, 26, 0, 0, 1, tzinfo=UTC), True),
    ],
)
def test_stated_time_is_plausible(stated: datetime | None, plausible: bool) -> None:
    assert plausible_time(stated, RECEIVED) is plausible


def test_evaluation_at_midnight_is_plausible_when_sent() -> None:
    midnight = datetime(2026, 11, 26, tzinfo=UTC)
    assert plausible_time(midnight, midnight + timedelta(minutes=3))
