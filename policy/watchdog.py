"""The policy's settings for the watchdog: the destinations for problems of Tocsin itself."""

from dataclasses import dataclass

from policy.decision import Target
from policy.destinations import SecretRef
from policy.durations import Seconds


@dataclass(frozen=True)
class Heartbeat:
    """A dead man's switch: an outside service alarms when ``url`` is not requested ``every`` so many seconds."""

    url: SecretRef
    every: Seconds


@dataclass(frozen=True)
class Drill:
    """A fire drill of ``rule``: started ``every`` so many seconds, it must notify ``within`` so many."""

    rule: str
    every: Seconds
    within: Seconds


@dataclass(frozen=True)
class Watchdog:
    """``after`` is how many seconds a problem must last before ``notify`` is notified."""

    notify: tuple[Target, ...]
    after: Seconds
    heartbeat: Heartbeat | None = None
    drill: Drill | None = None
