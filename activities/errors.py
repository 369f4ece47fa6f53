"""Converts the errors of integrations into Temporal's."""

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import ClassVar

from temporalio.exceptions import ApplicationError

from integrations.base.errors import IntegrationError

PERMANENT = "Permanent"
"""Error type: a retry cannot succeed, so the tier's fallback is notified at once."""
TEMPORARY = "Temporary"
"""Error type: the vendor is busy or unavailable. Temporal retries, after the vendor's Retry-After if it sent one."""


class UnknownDestinationError(IntegrationError):
    """The policy in force has no destination with this name."""

    code: ClassVar[str] = "unknown_destination"

    def __init__(self, name: str, *, permanent: bool) -> None:
        super().__init__(f"the policy in force has no destination named {name}")
        self.permanent = permanent


def to_application_error(error: IntegrationError) -> ApplicationError:
    """The same error for Temporal, with its retry delay."""
    if error.permanent:
        return ApplicationError(error.message, type=PERMANENT, non_retryable=True)
    delay = None if error.retry_after is None else timedelta(seconds=error.retry_after)
    return ApplicationError(error.message, type=TEMPORARY, next_retry_delay=delay)


@contextmanager
def integration_errors() -> Generator[None]:
    """Raises ApplicationError for every IntegrationError inside."""
    try:
        yield
    except IntegrationError as error:
        raise to_application_error(error) from None
