"""Whatever a destination raises becomes a permanent or a temporary failure, in which no secret stands."""

import traceback
from collections.abc import Awaitable

import structlog
from temporalio.exceptions import ApplicationError

from activities.contracts import Receipt
from activities.destinations import Destination
from activities.failures import temporary

_log = structlog.get_logger()


async def sorted_failures(destination: Destination, sending: Awaitable[Receipt]) -> Receipt:
    """Raises nothing but an ApplicationError of type Permanent or Temporary."""
    try:
        return await sending
    except ApplicationError as error:
        raise destination.scrubbed(error) from None
    except Exception as error:  # noqa: BLE001  # a fault of ours or of a vendor's library; its text may hold a secret
        where = traceback.extract_tb(error.__traceback__)[-1]
        kind = type(error).__name__
        _log.error("unexpected", destination=destination.name, error=kind, at=f"{where.name}:{where.lineno}")
        raise temporary(f"{destination.name}: unexpected {kind}") from None
