"""Numbers in a policy: finite, and never true, false or text."""

import math
import re
from typing import Annotated, Any

from pydantic import BeforeValidator

LARGEST = 1e15
"""Larger numbers are a slip, and lose digits in CEL."""


def parse_number(value: Any) -> float:
    """The number that YAML read. Raises ValueError for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"found {_shown(value)}; a number is needed{_meant(value)}")
    if not math.isfinite(value) or abs(value) > LARGEST:
        raise ValueError(f"found {value}; a number of at most {LARGEST:g} is needed")
    return float(value)


def parse_whole(value: Any) -> int:
    """The whole number that YAML read. Raises ValueError for everything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"found {_shown(value)}; a whole number is needed{_meant(value)}")
    return value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a map" if isinstance(value, dict) else "a list"
    return repr(value[:40]) if isinstance(value, str) else str(value)[:40]


def _meant(value: Any) -> str:
    """The number that a text probably means."""
    text = value.strip() if isinstance(value, str) else ""
    if share := re.fullmatch(r"(-?\d{1,9}(?:\.\d{1,9})?) ?%", text):
        return f": write {float(share[1]) / 100:g} for {share[0]}"
    if comma := re.fullmatch(r"(-?\d{1,9}),(\d{1,9})", text):
        return f": write {comma[1]}.{comma[2]}"
    return f": write {text} without quotes" if re.fullmatch(r"-?\d{1,9}(?:\.\d{1,9})?", text) else ""


Number = Annotated[float, BeforeValidator(parse_number)]
Whole = Annotated[int, BeforeValidator(parse_whole)]
