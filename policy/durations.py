"""Durations as a policy writes them: ``30s``, ``15m``, ``24h``, ``7d``; held in seconds."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def parse_duration(value: Any) -> float:
    """Seconds of ``15m``. Raises ValueError for anything else, numbers without a unit included."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,6})([smhd])", value.strip())):
        return float(int(match[1]) * _UNITS[match[2]])
    raise ValueError(f"found {_shown(value)}; a duration is a whole number with its unit, such as 30s, 15m, 24h or 7d")


def _shown(value: Any) -> str:
    return repr(value[:40]) if isinstance(value, str) else str(value)[:40]


def format_duration(seconds: float) -> str:
    """The shortest exact way to write it: ``15m``; below a second and for fractions, ``0.25s``."""
    if seconds == int(seconds) and seconds > 0:
        for unit in ("d", "h", "m"):
            if seconds % _UNITS[unit] == 0:
                return f"{int(seconds) // _UNITS[unit]}{unit}"
    return f"{seconds:g}s"


PATTERN = r"^\d{1,6}[smhd]$"
Duration = Annotated[
    float, BeforeValidator(parse_duration, json_schema_input_type=Annotated[str, Field(pattern=PATTERN)])
]
"""A duration in seconds, written with its unit."""
