"""What could not be evaluated lately: each alert was decided nevertheless, and somebody must repair the policy."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

LIFETIME = 600.0
"""Seconds after which a failure that has not come again is no problem any more."""
Listener = Callable[[str, str, bool], None]


@dataclass
class EvaluationFailures:
    """Shared by all copies of a policy. ``listener`` receives the place of each failure, such as ``rules.slow``,
    its reason, and whether it is the first of this place lately."""

    listener: Listener | None = None
    clock: Callable[[], float] = time.monotonic
    _latest: dict[str, tuple[float, str]] = field(default_factory=dict[str, tuple[float, str]])

    def record(self, place: str, reason: str) -> None:
        """Count one failure."""
        is_first = place not in self.problems()
        self._latest[place] = (self.clock(), reason)
        if self.listener is not None:
            self.listener(place, reason, is_first)

    def problems(self) -> dict[str, str]:
        """The reason of the latest failure, by its place, of the last ``LIFETIME`` seconds."""
        since = self.clock() - LIFETIME
        return {place: reason for place, (at, reason) in tuple(self._latest.items()) if at > since}

    def __str__(self) -> str:
        """One sentence for people; empty without a failure."""
        problems = self.problems()
        shown = [f"{place} cannot be evaluated: {reason}" for place, reason in list(problems.items())[:3]]
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        return "; ".join(shown) + more
