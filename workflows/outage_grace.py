"""After an outage, what is overdue waits for the actions that gateways spooled meanwhile."""

from datetime import datetime, timedelta

OUTAGE_THRESHOLD = timedelta(seconds=0.5)
"""A timer that fires this late means that Temporal, or every worker, was unavailable."""
SPOOL_DRAIN_GRACE = timedelta(seconds=5)
"""After an outage, gateways need this long to deliver the actions that they spooled."""
MAX_GRACES = 3
"""A server that is always late must not delay a page for ever."""


class OutageGrace:
    """Decides whether a deadline that is overdue may be acted upon. An acknowledgement from before it stops it."""

    def __init__(self) -> None:
        self.until: datetime | None = None
        """The end of the grace; None without one."""
        self._count = 0

    def waits(self, deadline: datetime | None, now: datetime, *, repeats: bool) -> bool:
        """Whether the deadline must wait, until ``until``.

        Args:
            deadline: the next one.
            now: the time.
            repeats: another outage, which began during the grace, has a grace of its own.
        """
        if deadline is None or now - deadline < OUTAGE_THRESHOLD:
            self.until, self._count = None, 0
            return False
        is_new = self.until is None or (repeats and now - self.until >= OUTAGE_THRESHOLD and self._count < MAX_GRACES)
        if is_new:
            self.until, self._count = now + SPOOL_DRAIN_GRACE, self._count + 1
        assert self.until is not None
        return now < self.until
