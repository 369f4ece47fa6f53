"""The meaning of the Temporal client's errors."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio.service import RPCError, RPCStatusCode

from gateway.problems import RETRY_LATER, Problem

_UNAVAILABLE = {
    RPCStatusCode.UNAVAILABLE,
    RPCStatusCode.DEADLINE_EXCEEDED,
    RPCStatusCode.RESOURCE_EXHAUSTED,
    RPCStatusCode.CANCELLED,
    RPCStatusCode.ABORTED,
    RPCStatusCode.UNAUTHENTICATED,
    RPCStatusCode.PERMISSION_DENIED,
}


def is_temporal_unavailable(error: Exception) -> bool:
    """Whether Temporal did not process the request, as opposed to refusing it."""
    if isinstance(error, RPCError):
        return error.status in _UNAVAILABLE
    return isinstance(error, TimeoutError) or _never_connected(error)


def describe_error(error: Exception) -> str:
    """An exception in one line, for logs."""
    return f"{type(error).__name__}: {error}"[:300]


@asynccontextmanager
async def temporal_problems(not_found: Problem | None = None) -> AsyncGenerator[None]:
    """Turn Temporal's errors into problems: 400 for a request that it refuses, 503 if it is unavailable.

    Args:
        not_found: raised if the workflow does not exist.

    Raises:
        Problem: instead of the client's errors.
    """
    try:
        yield
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND and not_found is not None:
            raise not_found from None
        if error.status == RPCStatusCode.INVALID_ARGUMENT:
            raise temporal_refused(error) from None
        detail = f"Temporal is unavailable: {error.message[:200]}"
        raise Problem(503, detail, code="temporal_unavailable", headers=RETRY_LATER) from None
    except RuntimeError as error:
        if not _never_connected(error):
            raise
        detail = "Temporal has been unavailable since the gateway started"
        raise Problem(503, detail, code="temporal_unavailable", headers=RETRY_LATER) from None


def temporal_refused(error: RPCError) -> Problem:
    return Problem(400, f"Temporal refuses this request: {error.message[:200]}")


def _never_connected(error: Exception) -> bool:
    # The client raises a bare RuntimeError until its first connection.
    return isinstance(error, RuntimeError) and "client connect" in str(error)
