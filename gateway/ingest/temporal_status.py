"""Whether Temporal is available, as the gateway last saw it."""

import structlog

from gateway.ingest.log_fields import workflow_field
from gateway.temporal_errors import describe_error, is_temporal_unavailable

_log = structlog.get_logger()


class TemporalStatus:
    """Shared by everything that sends to Temporal: after one failure nothing else waits for a timeout.

    Only a delivery proves a recovery. An answer to a probe does not: what Temporal answers readily may be all that it
    answers, and the log would say "unavailable" and "recovered" in turn.
    """

    def __init__(self) -> None:
        self.unavailable = False

    def record_failure(self, error: Exception, target: str) -> None:
        """Log why Temporal did not accept something for ``target``; its sender puts it into the spool."""
        if not is_temporal_unavailable(error):
            _log.error("temporal_refused", error=describe_error(error), **workflow_field(target))
            return
        if not self.unavailable:
            _log.warning("temporal_unavailable", error=describe_error(error))
        self.unavailable = True

    def record_answer(self, spooled: int) -> None:
        """Temporal took or refused something. Logs a recovery, with the number of items to deliver."""
        if self.unavailable:
            _log.warning("temporal_recovered", spooled=spooled)
        self.unavailable = False
