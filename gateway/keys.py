"""The key that every vendor knows an incident by: its id, and the beginning of its opening."""

import re

_OURS = re.compile(r"(incident-[a-z0-9-]{1,100})\.([0-9a-f]{8})(/.{1,200})?")


def ours(key: str) -> tuple[str, str] | None:
    """The incident and the opening that a key of ours names; None for a key of anybody else's."""
    found = _OURS.fullmatch(key)
    return (found[1], found[2]) if found else None
