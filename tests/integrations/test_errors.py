"""The error of each HTTP status, and Retry-After."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import aiosmtplib
import httpx
import pytest
import requests

from activities.errors import PERMANENT, TEMPORARY, to_application_error
from activities.metrics import failure_reason
from integrations.base.errors import (
    MAX_RETRY_AFTER,
    IntegrationError,
    PermanentError,
    TemporaryError,
    VendorTimeoutError,
    from_http_status,
    retry_after,
    unreachable,
)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_retryable_statuses_are_temporary(status: int) -> None:
    error = to_application_error(from_http_status("Vendor", status, {}, "busy"))
    assert (error.type, error.non_retryable) == (TEMPORARY, False)


@pytest.mark.parametrize("status", [300, 400, 401, 403, 404, 410, 413, 422])
def test_other_statuses_are_permanent_with_remedy(status: int) -> None:
    error = to_application_error(from_http_status("Vendor", status, {}, "no", "check the key"))
    assert (error.type, error.non_retryable) == (PERMANENT, True)
    assert error.message == f"Vendor answered {status}: no; check the key"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("17", 17), (" 2.5 ", 2.5), ("-3", 0), ("soon", None), ("", None), ("Mon, 01 Jan 2001 00:00:00 GMT", 0)],
)
def test_retry_after_as_number(header: str, seconds: float | None) -> None:
    assert retry_after({"retry-AFTER": header}) == seconds


def test_retry_after_as_date() -> None:
    later = datetime.now(UTC) + timedelta(seconds=60)
    found = retry_after({"Retry-After": format_datetime(later, usegmt=True)})
    assert found is not None
    assert 50 < found <= 60


def test_retry_after_is_bounded() -> None:
    def delay(error: IntegrationError) -> timedelta | None:
        return to_application_error(error).next_retry_delay

    assert delay(TemporaryError("x", 9)) == timedelta(seconds=9)
    assert delay(TemporaryError("x", 10**9)) == timedelta(seconds=MAX_RETRY_AFTER)
    assert delay(TemporaryError("x")) is None
    assert delay(PermanentError("x")) is None


@pytest.mark.parametrize(
    ("error", "is_timeout"),
    [
        (httpx.ReadTimeout(""), True),
        (requests.ConnectTimeout(), True),
        (aiohttp.ServerTimeoutError(), True),
        (aiosmtplib.SMTPConnectTimeoutError(""), True),
        (TimeoutError(), True),
        (httpx.ConnectError("https://user:secret@host"), False),
        (requests.ConnectionError(), False),
        (OSError(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_timeouts_of_every_library_are_recognised(error: Exception, is_timeout: bool) -> None:
    found = unreachable("Vendor", error)
    assert isinstance(found, VendorTimeoutError) is is_timeout
    assert failure_reason(found) == ("timeout" if is_timeout else "temporary")
    assert found.message == f"Vendor could not be reached: {type(error).__name__}"
