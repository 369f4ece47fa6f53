"""Retries without a limit, with stamina's backoff and a log line for each failed attempt."""

from collections.abc import AsyncIterable
from typing import Any

import stamina
import stamina.instrumentation
import structlog

stamina.instrumentation.set_on_retry_hooks(())  # ``retry_forever`` logs retries itself, with Tocsin's event names

_log = structlog.get_logger()


def retry_forever(
    event: str,
    *errors: type[Exception],
    wait_initial: float = 1.0,
    wait_max: float = 60.0,
    quiet_attempts: int = 0,
    traceback: bool = False,
    **fields: Any,
) -> AsyncIterable[stamina.Attempt]:
    """Attempts of an ``async for``, each entered with ``with``, until one ends without one of the errors.

    Args:
        event: the log event of a failed attempt; ``fields`` are logged with it.
        wait_initial: seconds before the second attempt; doubled for each further one, up to ``wait_max``.
        quiet_attempts: how many failed attempts are not logged, because they are expected at a start.
        traceback: whether to log the traceback, for errors that nobody expects.
    """
    failed = 0

    def is_retried(error: Exception) -> bool:
        nonlocal failed
        if not isinstance(error, errors):
            return False
        failed += 1
        if failed > quiet_attempts:
            description = f"{type(error).__name__}: {error}"[:300]
            _log.warning(event, error=description, attempt=failed, exc_info=error if traceback else None, **fields)
        return True

    return stamina.retry_context(
        on=is_retried,
        attempts=None,
        timeout=None,
        wait_initial=wait_initial,
        wait_max=wait_max,
        wait_jitter=wait_initial / 2,
    )
