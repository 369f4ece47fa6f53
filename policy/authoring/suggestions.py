"""Suggestions for misspelt names."""

import difflib
from collections.abc import Iterable

_MOST_NAMES = 30


def closest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The most similar known name; empty if none is similar enough."""
    return next(iter(difflib.get_close_matches(name, tuple(known), 1, cutoff)), "")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message: ``: did you mean steps?``, or the list of allowed names."""
    known = tuple(known)
    similar = closest(name, known)
    if similar:
        return f": did you mean {similar}?"
    return f"; allowed are {', '.join(sorted(known)[:_MOST_NAMES])}" if known else ""
