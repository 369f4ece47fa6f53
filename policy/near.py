"""The nearest known name: what was probably meant."""

import difflib
from collections.abc import Iterable

_SHOWN = 30


def nearest(name: str, known: Iterable[str], cutoff: float = 0.55) -> str:
    """The known name that is most like it, or nothing."""
    return next(iter(difflib.get_close_matches(name, tuple(known), 1, cutoff)), "")


def near(name: str, known: Iterable[str]) -> str:
    """``: did you mean steps?``, or what is allowed."""
    known = tuple(known)
    close = nearest(name, known)
    if close:
        return f": did you mean {close}?"
    return f"; allowed are {', '.join(sorted(known)[:_SHOWN])}" if known else ""
