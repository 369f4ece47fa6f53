"""A figure beside its bound."""

from dataclasses import dataclass


@dataclass
class Figure:
    """``bound`` is a ratio or a count, which fails the run where it does not hold; a ``goal`` is only shown."""

    what: str
    got: str
    bound: str = ""
    holds: bool = True
    goal: str = ""
