"""Whether Temporal is available, as the gateway last saw it."""

import structlog

from gateway.ingest.log_fields import workflow_field
from gateway.temporal_errors import describe_error, is_temporal_unavailable

_log = structlog.get_logger()


class TemporalStatus:
    """Shared by everything that sends to Temporal: after one failure nothing else waits for a timeout."""

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

    def record_recovery(self, spooled: int) -> None:
        """Log that Temporal is available again, with the number of items to deliver."""
        _log.warning("temporal_recovered", spooled=spooled)
        self.unavailable = False
