"""The metrics of notifications. The worker serves them beside those of Temporal's SDK.

A metric counts attempts: Temporal retries a temporary failure, and each retry counts.
"""

from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal

from temporalio import activity

from activities.errors import UnknownDestinationError
from integrations.base.errors import IntegrationError, VendorTimeoutError
from policy import Target

DURATION = "tocsin_notification_duration_seconds"
DURATION_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0)
"""Upper bounds in seconds. The SDK's own buckets are for milliseconds."""

Reason = Literal["permanent", "temporary", "timeout", "unknown_destination"]


def failure_reason(error: IntegrationError) -> Reason:
    """The ``reason`` of a failed notification, in metrics and log lines."""
    if isinstance(error, UnknownDestinationError):
        return "unknown_destination"
    if isinstance(error, VendorTimeoutError):
        return "timeout"
    return "permanent" if error.permanent else "temporary"


@contextmanager
def measured(target: Target, verb: str) -> Generator[None]:
    """Counts one attempt to notify a destination, its duration, and its failure if it raises IntegrationError."""
    meter = activity.metric_meter()
    attempts = meter.create_counter("tocsin_notifications_total", "Attempts to send a notification.")
    attempts.add(1, {"destination": target.name, "type": target.type, "verb": verb})
    start = perf_counter()
    try:
        yield
    except IntegrationError as error:
        failures = meter.create_counter("tocsin_notifications_failed_total", "Attempts that failed, by reason.")
        failures.add(1, {"destination": target.name, "type": target.type, "reason": failure_reason(error)})
        raise
    finally:
        duration = meter.create_histogram_float(DURATION, "Seconds of one attempt, failed ones included.", "s")
        duration.record(perf_counter() - start, {"type": target.type})
