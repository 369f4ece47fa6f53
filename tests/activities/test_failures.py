"""Permanent or temporary, and when to come again."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from activities.contracts import PERMANENT, TEMPORARY
from activities.failures import MAX_RETRY_AFTER, by_status, permanent, retry_after, temporary


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_passes(status: int) -> None:
    error = by_status("Vendor", status, {}, "busy")
    assert (error.type, error.non_retryable) == (TEMPORARY, False)


@pytest.mark.parametrize("status", [300, 400, 401, 403, 404, 410, 413, 422])
def test_what_stays_wrong_names_its_remedy(status: int) -> None:
    error = by_status("Vendor", status, {}, "no", "check the key")
    assert (error.type, error.non_retryable) == (PERMANENT, True)
    assert error.message == f"Vendor answered {status}: no; check the key"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("17", 17), (" 2.5 ", 2.5), ("-3", 0), ("soon", None), ("", None), ("Mon, 01 Jan 2001 00:00:00 GMT", 0)],
)
def test_retry_after_as_a_number(header: str, seconds: float | None) -> None:
    assert retry_after({"retry-AFTER": header}) == seconds


def test_retry_after_as_a_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=60)
    found = retry_after({"Retry-After": format_datetime(later, usegmt=True)})
    assert found is not None
    assert 50 < found <= 60


def test_the_vendors_time_is_kept_within_reason() -> None:
    assert temporary("x", 9).next_retry_delay == timedelta(seconds=9)
    assert temporary("x", 10**9).next_retry_delay == timedelta(seconds=MAX_RETRY_AFTER)
    assert temporary("x").next_retry_delay is None
    assert permanent("x").next_retry_delay is None
