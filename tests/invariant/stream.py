"""Streams: monitors, what Arize delivers about them, what responders do, and what breaks meanwhile.

A stream is plain data: its ``repr`` is a program that plays it again (``python -m tests.invariant 'Stream(…)'``).
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from hypothesis import HealthCheck
from hypothesis import strategies as st

Naming = Literal["id", "name"]
Clock = Literal["stated", "local", "missing", "constant", "zero", "date"]
"""How a monitor's deliveries state their time: plausibly, as that of New York without its time zone, not at all, always
as the same moment of 2020, always as the beginning of year 1, as a date."""
Ids = Literal["none", "own", "episode", "shared", "long"]
"""The events' ids: none, one of its own for each, one for all its triggers and none for its clears, one that all
monitors and both statuses share, or 206 characters."""
Size = Literal["small", "labels", "large"]
"""About 300 bytes; 64 labels of 250 four-byte characters (65 kB); 180 kB of fields that nobody reads."""
Action = Literal["acknowledge", "unacknowledge", "take over", "resolve", "resolve without role"]

ALIKE_BY_NAME = (
    "float",
    "integer",
    "nested",
    "long value",
    "hundredth key",
    "comparison",
    "excluded",
    "equals sign",
    "list",
    "model",
    "environment",
    "name",
    "long name",
)
ALIKE_BY_ID = ("segment", "letter case", "long id")


@dataclass(frozen=True)
class Monitor:
    """A problem, in truth. ``twin`` monitors differ from the stream's first monitor in one detail, ``alike``."""

    naming: Naming = "id"
    alike: str = "segment"
    twin: bool = False
    critical: bool = True
    regulated: bool = False
    clock: Clock = "stated"
    ids: Ids = "own"
    emoji: bool = False
    steady: bool = False
    """Whether all its deliveries state the same value: without an id and a time, they are the same bytes."""


@dataclass(frozen=True)
class Deliver:
    """``count`` deliveries at once, of different values. ``late`` is in minutes; ``equal`` repeats the last time."""

    monitor: int = 0
    status: Literal["TRIGGERED", "CLEARED"] = "TRIGGERED"
    late: int = 0
    equal: bool = False
    spelling: int = 0
    size: Size = "small"
    count: int = 1


@dataclass(frozen=True)
class Again:
    """A redelivery: the same bytes and headers as one of the last deliveries, signed again."""

    back: int = 1


@dataclass(frozen=True)
class Act:
    """What a responder does about a monitor's incident."""

    monitor: int = 0
    action: Action = "acknowledge"


@dataclass(frozen=True)
class Wait:
    """Time passes."""

    minutes: int = 1


@dataclass(frozen=True)
class Break:
    """Temporal becomes unavailable to the gateway, or all workers stop; until ``Recover``."""

    what: Literal["Temporal", "workers"] = "Temporal"


@dataclass(frozen=True)
class Recover:
    """Everything runs again."""


@dataclass(frozen=True)
class Unreadable:
    """An authentic body that nothing can read."""

    shape: int = 0


Step = Deliver | Again | Act | Wait | Break | Recover | Unreadable


@dataclass(frozen=True)
class Stream:
    """Monitors, and the steps in their order."""

    monitors: tuple[Monitor, ...] = (Monitor(),)
    steps: tuple[Step, ...] = field(default=())


SUPPRESSED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
"""Streams are large, and take tenths of a second to play."""

# ── Generating ──────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def _monitors(draw: st.DrawFn) -> tuple[Monitor, ...]:
    naming = draw(st.sampled_from(("id", "name")))
    alike = draw(st.sampled_from(ALIKE_BY_ID if naming == "id" else ALIKE_BY_NAME))
    first = Monitor(
        naming=naming,
        alike=alike,
        critical=draw(st.sampled_from((True, True, False))),
        regulated=draw(st.sampled_from((False, False, True))),
        clock=draw(st.sampled_from(("stated",) * 4 + ("local", "missing", "constant", "zero", "date"))),
        ids=draw(st.sampled_from(("own", "none", "episode", "shared", "long"))),
        emoji=draw(st.sampled_from((False, False, False, True))),
        steady=draw(st.sampled_from((False, False, True))),
    )
    if not draw(st.sampled_from((True, True, False))):
        return (first,)
    clock = draw(st.sampled_from(("stated", first.clock)))
    return first, replace(first, twin=True, clock=clock)


def _deliveries(monitors: int, *, sizes: tuple[Size, ...], counts: tuple[int, ...]) -> st.SearchStrategy[Deliver]:
    # Late ones are as frequent as others: the order of arrival is what senders do not keep.
    return st.builds(
        Deliver,
        st.integers(0, monitors - 1),
        st.sampled_from(("TRIGGERED", "TRIGGERED", "CLEARED")),
        st.sampled_from((0, 0, 0, 1, 3, 6)),
        st.sampled_from((False, False, False, False, True)),
        st.integers(0, 15),
        st.sampled_from(sizes),
        st.sampled_from(counts),
    )


_KINDS = (
    ("deliver",) * 12 + ("again",) * 2 + ("act",) * 3 + ("wait",) * 3 + ("break", "recover", "recover", "unreadable")
)
_ACTIONS = (
    "acknowledge",
    "acknowledge",
    "acknowledge",
    "unacknowledge",
    "take over",
    "resolve",
    "resolve without role",
)


@st.composite
def _steps(draw: st.DrawFn, monitors: int, *, sizes: tuple[Size, ...], counts: tuple[int, ...]) -> Step:
    match draw(st.sampled_from(_KINDS)):  # ``one_of`` would give each kind the same weight
        case "deliver":
            return draw(_deliveries(monitors, sizes=sizes, counts=counts))
        case "again":
            return Again(draw(st.integers(1, 3)))
        case "act":
            return Act(draw(st.integers(0, monitors - 1)), draw(st.sampled_from(_ACTIONS)))
        case "wait":
            return Wait(draw(st.sampled_from((1, 5, 16, 45))))
        case "break":
            return Break(draw(st.sampled_from(("Temporal", "workers"))))
        case "recover":
            return Recover()
        case _:
            return Unreadable(draw(st.integers(0, 2)))


_ENDINGS: tuple[tuple[Step, ...], ...] = (
    (Deliver(), Act(), Wait(45), Deliver()),
    (Deliver(), Act(), Act(0, "unacknowledge")),
)
"""What is seldom drawn: it fires again while somebody works on it, or nobody works on it any more."""


@st.composite
def streams(
    draw: st.DrawFn,
    sizes: tuple[Size, ...] = ("small",),
    counts: tuple[int, ...] = (1, 1, 1, 1, 3),
    max_steps: int = 12,
) -> Stream:
    """Streams of one or two monitors, which are alike but for one detail."""
    monitors = draw(_monitors())
    first = draw(_deliveries(len(monitors), sizes=sizes, counts=counts))
    steps = draw(st.lists(_steps(len(monitors), sizes=sizes, counts=counts), min_size=2, max_size=max_steps))
    ending = draw(st.sampled_from(((),) * 4 + _ENDINGS))
    return Stream(monitors, (first, *steps, *ending))


@st.composite
def large_streams(draw: st.DrawFn) -> Stream:
    """Short streams of many large deliveries, often while something is broken: what has gathered comes at once."""
    stream = draw(streams(("small", "labels", "labels", "large"), (1, 3, 16, 40), max_steps=5))
    broken: tuple[Step, ...] = draw(st.sampled_from(((), (Break("workers"),), (Break("Temporal"),))))
    return Stream(stream.monitors, (*broken, *stream.steps))
