"""Permanent or temporary: the two kinds of failure, and how an HTTP answer is sorted into them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, cast

from temporalio.exceptions import ApplicationError

from activities.contracts import PERMANENT, TEMPORARY

MAX_RETRY_AFTER = 3600.0  # seconds: a vendor that asks for more is treated as away, and the fallback is told


def permanent(message: str) -> ApplicationError:
    """Trying again cannot help. ``message`` names the vendor, what it said, and the remedy."""
    return ApplicationError(message, type=PERMANENT, non_retryable=True)


def temporary(message: str, retry_after: float | None = None) -> ApplicationError:
    """Worth another attempt, not before ``retry_after`` seconds where the vendor named a time."""
    delay = None if retry_after is None else timedelta(seconds=min(max(retry_after, 0.1), MAX_RETRY_AFTER))
    return ApplicationError(message, type=TEMPORARY, next_retry_delay=delay)


def redirected(vendor: str) -> ApplicationError:
    """No vendor's API redirects: whoever does is not the vendor, and gets nothing of what was meant for it."""
    return permanent(f"{vendor} answered with a redirect, which is not followed; check the destination's base_url")


def by_status(vendor: str, status: int, headers: Mapping[str, str], said: str, remedy: str = "") -> ApplicationError:
    """Sort an HTTP answer that is not a success. 408, 425, 429 and 5xx pass; everything else stays wrong."""
    text = f"{vendor} answered {status}: {said[:300] or 'nothing more'}"
    if status in {408, 425, 429} or status >= 500:
        return temporary(text, retry_after(headers))
    return permanent(f"{text}; {remedy}" if remedy else text)


def json_object(vendor: str, status: int, said: str) -> dict[str, Any]:
    """The body of an answer. Raises ``temporary`` where it is no JSON object: a proxy spoke, and not the vendor."""
    try:
        found = json.loads(said)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise temporary(f"{vendor} answered {status} with a body that is no JSON object")
    return cast("dict[str, Any]", found)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date (RFC 9110, section 10.2.3)."""
    value = next((item for key, item in headers.items() if key.lower() == "retry-after"), "").strip()
    if not value:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
