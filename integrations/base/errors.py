"""The errors of integrations, and the one mapping from a vendor's response to them."""

import copy
import json
import traceback
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import structlog

from alerts import BodyError, TocsinError
from alerts.body import replace_surrogates
from incident.receipt import Receipt

if TYPE_CHECKING:
    from integrations.base.destination import Destination

MAX_RETRY_AFTER = 3600.0
"""Seconds. A vendor that asks for more counts as unavailable, and the fallback is notified."""
_TEMPORARY_STATUSES = frozenset({408, 425, 429})

_log = structlog.get_logger()


class IntegrationError(TocsinError):
    """A vendor did not do what it was asked. ``message`` names the vendor, its response and the remedy."""

    code: ClassVar[str] = "integration_failed"
    permanent: bool = False
    """A retry cannot succeed."""
    retry_after: float | None = None
    """Seconds before which a retry cannot succeed, if the vendor named them."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def with_message(self, message: str) -> Self:
        """The same error with another message."""
        error = copy.copy(self)
        error.message, error.args = message, (message,)
        return error


class PermanentError(IntegrationError):
    """A retry cannot succeed."""

    code: ClassVar[str] = "integration_refused"
    permanent = True


class TemporaryError(IntegrationError):
    """A retry may succeed, not before ``retry_after`` seconds if the vendor named a time."""

    code: ClassVar[str] = "integration_unavailable"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = None if retry_after is None else min(max(retry_after, 0.1), MAX_RETRY_AFTER)


class PartialDeliveryError(PermanentError):
    """Some recipients have the message, and others never will. ``receipt`` is of those who have it."""

    code: ClassVar[str] = "integration_partial"

    receipt: Receipt

    @classmethod
    def of(cls, message: str, receipt: Receipt) -> Self:
        error = cls(message)
        error.receipt = receipt
        return error


class VendorTimeoutError(TemporaryError):
    """The vendor did not respond in time."""

    code: ClassVar[str] = "integration_timeout"


def unreachable(vendor: str, error: BaseException) -> TemporaryError:
    """The error for a request without a response.

    The message names the exception's type only: its text may contain the URL, and a URL may contain a secret. Not
    every HTTP library derives its timeouts from TimeoutError, but all have the word in their names.
    """
    timed_out = any("timeout" in cls.__name__.casefold() for cls in type(error).__mro__)
    kind = VendorTimeoutError if timed_out else TemporaryError
    return kind(f"{vendor} could not be reached: {type(error).__name__}")


def redirected(vendor: str) -> PermanentError:
    """The error for a redirect. No vendor's API redirects: a proxy does, and it must not receive the secrets."""
    return PermanentError(f"{vendor} answered with a redirect, which is not followed; check the destination's base_url")


def from_http_status(
    vendor: str, status: int, headers: Mapping[str, str], body: str, remedy: str = ""
) -> IntegrationError:
    """The error for an HTTP response that is no success.

    Statuses 408, 425, 429 and 5xx are temporary, all others permanent.

    Args:
        vendor: the vendor's name, for the message.
        status: the HTTP status.
        headers: the response's headers; Retry-After counts.
        body: the response's body; its first 300 characters become part of the message.
        remedy: what to do about a permanent error.
    """
    text = f"{vendor} answered {status}: {body[:300] or 'empty body'}"
    if status in _TEMPORARY_STATUSES or status >= 500:
        return TemporaryError(text, retry_after(headers))
    return PermanentError(f"{text}; {remedy}" if remedy else text)


def json_object(vendor: str, status: int, body: str) -> dict[str, Any]:
    """The parsed body of a response, with U+FFFD for each lone surrogate, which nothing could store or send.

    Raises TemporaryError if it is no JSON object: then a proxy answered.
    """
    try:
        parsed = json.loads(body)
        if "\\ud" in body.casefold():
            parsed = replace_surrogates(parsed)
    except (ValueError, BodyError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        raise TemporaryError(f"{vendor} answered {status} with a body that is no JSON object")
    return cast("dict[str, Any]", parsed)


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


async def normalize(destination: "Destination", sending: Awaitable[Receipt]) -> Receipt:
    """The receipt of a delivery.

    Raises:
        IntegrationError: without any of the destination's secrets. An unexpected exception becomes a TemporaryError.
    """
    try:
        return await sending
    except IntegrationError as error:
        raise destination.redacted(error) from None
    except Exception as error:  # noqa: BLE001  # a bug in Tocsin or in a vendor's library; its text may contain a secret
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind = type(error).__name__
        _log.error("unexpected_error", destination=destination.name, error=kind, at=f"{frame.name}:{frame.lineno}")
        raise TemporaryError(f"{destination.name}: unexpected {kind}") from None
