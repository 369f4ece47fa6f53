"""Durations as a policy states them, ``30s``, ``15m``, ``24h``, ``7d``, ``8w``; stored in seconds."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
PATTERN = r"^\d{1,6}[smhdw]$"
LONGEST = 3650 * 86_400.0
"""Ten years: a longer duration is a slip, and ends after the last date that a computer can write."""


class SecondsMark:
    """Marks a field that holds seconds, so that scaling and formatting are derived from its type."""


SECONDS = SecondsMark()
Seconds = Annotated[float, SECONDS]
"""Seconds in a decision. A field with this type is scaled by ``Policy.scaled`` and shown as a duration."""


def parse_duration(value: Any) -> float:
    """The seconds of a text such as ``15m``. Raises ValueError for anything else, including numbers without a unit."""
    if isinstance(value, str) and re.fullmatch(PATTERN, value.strip()):
        text = value.strip()
        seconds = float(int(text[:-1]) * _UNITS[text[-1]])
        if seconds > LONGEST:
            raise ValueError(f"found {text!r}; a duration is at most {format_duration(LONGEST)}")
        return seconds
    raise ValueError(f"found {_shown(value)}; a duration is a whole number with its unit, such as 30s, 15m, 24h or 7d")


def _shown(value: Any) -> str:
    return repr(value[:40]) if isinstance(value, str) else str(value)[:40]


def format_duration(seconds: float) -> str:
    """The shortest exact form in days or smaller units: ``15m``; fractions in seconds, ``0.25s``."""
    if seconds == int(seconds) and seconds > 0:
        for unit in ("d", "h", "m"):
            if seconds % _UNITS[unit] == 0:
                return f"{int(seconds) // _UNITS[unit]}{unit}"
    return f"{seconds:g}s"


Duration = Annotated[
    float, SECONDS, BeforeValidator(parse_duration, json_schema_input_type=Annotated[str, Field(pattern=PATTERN)])
]
"""A duration in a policy file: stated with its unit, stored in seconds."""


def _parse_interval(value: Any) -> float:
    seconds = parse_duration(value)
    if seconds < 1:
        raise ValueError(f"found {_shown(value)}; at least 1s is needed: leave the key out for none")
    return seconds


Interval = Annotated[
    float, SECONDS, BeforeValidator(_parse_interval, json_schema_input_type=Annotated[str, Field(pattern=PATTERN)])
]
"""A duration that something happens in or after, again and again: never zero."""
