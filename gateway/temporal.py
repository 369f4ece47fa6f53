"""What Temporal's answers mean to a caller of the gateway."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio.service import RPCError, RPCStatusCode

from gateway.problems import Problem

_LATER = {"Retry-After": "5"}


@asynccontextmanager
async def asking_temporal(not_found: Problem | None = None) -> AsyncGenerator[None]:
    """Turn Temporal's errors into problems: 400 for what it cannot take, 503 where it is away."""
    try:
        yield
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND and not_found is not None:
            raise not_found from None
        if error.status == RPCStatusCode.INVALID_ARGUMENT:
            raise Problem(400, f"Temporal does not take this: {error.message[:200]}") from None
        raise Problem(503, f"Temporal does not answer: {error.message[:200]}", headers=_LATER) from None
    except RuntimeError as error:  # what the client raises while it has never reached the server
        if "client connect" not in str(error):
            raise
        raise Problem(503, "Temporal has not been reached since the gateway started", headers=_LATER) from None
