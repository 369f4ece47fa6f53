"""A figure and its bound."""

from dataclasses import dataclass


@dataclass
class Figure:
    """``bound`` is a ratio or a count, and fails the run if it does not hold; a ``goal`` is only shown."""

    what: str
    got: str
    bound: str = ""
    holds: bool = True
    goal: str = ""
