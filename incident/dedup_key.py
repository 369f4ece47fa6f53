"""The key that every vendor knows an incident by: its id, and eight digits of its first run's id.

Temporal's run ids are UUIDs of version 7 (RFC 9562). They begin with a time, whose first eight digits change once in
65 seconds, and end with random digits. The key has the last eight: two incidents of one id never share a key.
"""

import re

_DIGITS = 8
_DEDUP_KEY = re.compile(r"(incident-[a-z0-9-]{1,100})\.([0-9a-f]{8})(/.{1,200})?")


def incident_dedup_key(incident: str, first_run_id: str) -> str:
    """``incident-support-chatbot-4b629acc8409.9f4c01b7``"""
    return f"{incident}.{first_run_id[-_DIGITS:]}"


def earlier_dedup_key(incident: str, first_run_id: str) -> str:
    """The key of an incident that 1.0 opened, by which its vendors know it until it closes."""
    return f"{incident}.{first_run_id[:_DIGITS]}"


def parse_dedup_key(key: str) -> tuple[str, str] | None:
    """The incident's id and the digits of its first run's id; None for a key that Tocsin did not make."""
    found = _DEDUP_KEY.fullmatch(key)
    return (found[1], found[2]) if found else None


def is_run(first_run_id: str, part: str) -> bool:
    """Whether a key, a link or a person names this run: by its whole id, its end, or, as 1.0 did, its beginning."""
    return first_run_id.startswith(part) or first_run_id.endswith(part)
