"""What a policy says of the watchdog: who is told that Tocsin itself is not well, and how that is noticed elsewhere."""

from dataclasses import dataclass, replace

from policy.decision import Target
from policy.destinations import SecretRef


@dataclass(frozen=True)
class Heartbeat:
    """A dead man's switch: ``url`` is asked every so many seconds; whoever listens there alarms when it is not."""

    url: SecretRef
    every: float


@dataclass(frozen=True)
class Drill:
    """A fire drill of ``rule`` every so many seconds, which has to come out at the other end ``within`` so many."""

    rule: str
    every: float
    within: float


@dataclass(frozen=True)
class Watchdog:
    """``after`` is for how many seconds something must be wrong before anybody is told."""

    notify: tuple[Target, ...]
    after: float
    heartbeat: Heartbeat | None = None
    drill: Drill | None = None

    def sped_up(self, factor: float) -> "Watchdog":
        heartbeat, drill = self.heartbeat, self.drill
        return replace(
            self,
            after=self.after / factor,
            heartbeat=heartbeat and replace(heartbeat, every=heartbeat.every / factor),
            drill=drill and replace(drill, every=drill.every / factor, within=drill.within / factor),
        )
