"""The key that every vendor knows an incident by: its id, and the first eight digits of its first run's id."""

import re

_DEDUP_KEY = re.compile(r"(incident-[a-z0-9-]{1,100})\.([0-9a-f]{8})(/.{1,200})?")


def incident_dedup_key(incident: str, first_run_id: str) -> str:
    """``incident-support-chatbot-4b629acc8409.01a20e59``"""
    return f"{incident}.{first_run_id[:8]}"


def parse_dedup_key(key: str) -> tuple[str, str] | None:
    """The incident's id and the beginning of its first run's id; None for a key that Tocsin did not make."""
    found = _DEDUP_KEY.fullmatch(key)
    return (found[1], found[2]) if found else None
