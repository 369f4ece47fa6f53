"""How a setting in effect is shown: secrets, and passwords in addresses, are masked."""

import re
from typing import Any, NamedTuple

from pydantic import SecretStr

MASK = "****"


class EffectiveSetting(NamedTuple):
    """One setting as it is in effect; a secret's value is masked."""

    name: str
    value: str
    is_default: bool
    description: str


def display(name: str, value: Any) -> str:
    """The value of a field as text."""
    if isinstance(value, SecretStr | tuple):
        return MASK if value else ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "reconcile_interval":
        from policy.durations import format_duration

        return format_duration(value) if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    text = "" if value is None else str(value)
    return re.sub(r"(://[^/\s:@]*:)\S*@|(password=)[^&\s]*", _masked, text)  # a password may contain / and @


def _masked(match: re.Match[str]) -> str:
    return f"{match[1]}{MASK}@" if match[1] else f"{match[2]}{MASK}"
