"""The meaning of the Temporal client's errors: unavailable, busy with one workflow, or refusing for good.

RESOURCE_EXHAUSTED has three meanings. Temporal limits its rate; one workflow takes nothing now; or gRPC refuses a
message over 4 MB, which is no better at the next attempt (https://docs.temporal.io/troubleshooting/blob-size-limit-error).
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio.api.enums.v1 import ResourceExhaustedCause
from temporalio.api.errordetails.v1 import ResourceExhaustedFailure
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


_TOO_LARGE = "larger than max"
"""gRPC's words, in all versions: "received message larger than max (5242880 vs. 4194304)"."""
_SIGNALS_LIMIT = "limit for signal events"
"""Of one run: it accepts signals again when it has continued as new."""
_BUSY_CAUSES = {
    ResourceExhaustedCause.RESOURCE_EXHAUSTED_CAUSE_BUSY_WORKFLOW,
}


def is_temporal_unavailable(error: Exception) -> bool:
    """Whether Temporal did not process the request, as opposed to refusing it."""
    if isinstance(error, RPCError):
        return error.status in _UNAVAILABLE and not is_refused(error) and not is_busy(error)
    return isinstance(error, TimeoutError) or _never_connected(error)


def is_refused(error: Exception) -> bool:
    """Whether Temporal will never accept this request as it is: it is too large, or has a part that is not valid."""
    if not isinstance(error, RPCError):
        return False
    if error.status == RPCStatusCode.RESOURCE_EXHAUSTED:
        return _TOO_LARGE in error.message
    return error.status == RPCStatusCode.INVALID_ARGUMENT and not is_busy(error)


def is_busy(error: Exception) -> bool:
    """Whether this one workflow accepts nothing now: it continues as new, or its run has all signals that fit."""
    if not isinstance(error, RPCError):
        return False
    if error.status == RPCStatusCode.INVALID_ARGUMENT:
        return _SIGNALS_LIMIT in error.message
    return error.status == RPCStatusCode.RESOURCE_EXHAUSTED and _cause(error) in _BUSY_CAUSES


def _cause(error: RPCError) -> "ResourceExhaustedCause.ValueType | None":
    failure = ResourceExhaustedFailure()
    for detail in error.grpc_status.details:
        if detail.Unpack(failure):
            return failure.cause
    return None


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
