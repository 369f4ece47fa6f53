"""Which opening of an incident people saw in this gateway last.

While Temporal does not answer, an action says by it which opening it is for: the incident may close and open again
before the action arrives. What was seen long ago says nothing about what a person acts on now.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

LIFETIME = 900.0  # seconds
SIZE = 10_000  # incidents


class KnownRuns:
    """The first runs of incidents that were open when they were read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is in seconds."""
        self._clock = clock
        self._runs: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def note(self, incident: str, first_run_id: str, *, is_open: bool) -> None:
        """It was read now. A closed one is forgotten: an action is for what opens after it."""
        if not is_open:
            if self._runs.get(incident, ("", 0.0))[0] == first_run_id:
                del self._runs[incident]
            return
        if not first_run_id:
            return
        self._runs[incident] = (first_run_id, self._clock())
        self._runs.move_to_end(incident)
        while len(self._runs) > SIZE:
            self._runs.popitem(last=False)

    def find(self, incident: str) -> str:
        """The first run, or an empty string."""
        first_run_id, at = self._runs.get(incident, ("", 0.0))
        return first_run_id if self._clock() - at < LIFETIME else ""
