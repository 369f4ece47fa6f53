"""The fingerprint: two alerts with the same one are about the same problem."""

import hashlib
import json
import re
import unicodedata
from functools import lru_cache

from alerts.identity import MONITOR, NAMES
from alerts.model import Alert

_SLUG_CHARS = 48
_CACHE_SIZE = 4096  # ids; a tenant has some hundred monitors
FINGERPRINT_DIGITS = 24
"""With 48 bits, two of some million problems share an id; with 96, nobody finds two that do."""


def fingerprint(alert: Alert) -> str:
    """Forty hexadecimal digits over the alert's identity; see ``alerts.identity``."""
    return _fingerprint(alert.identity or (alert.monitor, alert.monitor_id))


@lru_cache(maxsize=_CACHE_SIZE)
def _fingerprint(identity: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps(list(identity), ensure_ascii=True).encode()).hexdigest()[:40]


def incident_id(alert: Alert) -> str:
    """The alert's problem, ``incident-monitor-61000-3f9a2c71d0…``, with 96 bits of the fingerprint.

    It is also the workflow id of the problem's incident, unless the policy groups alerts. It depends on the identity
    alone, so that every message about a monitor has the same, whatever else it states.
    """
    # Temporal stores the id readably: it names no part of a body that nothing could read.
    name = "unreadable-deliveries" if alert.quarantined else _readable(alert)
    return workflow_id(name, fingerprint(alert))


@lru_cache(maxsize=_CACHE_SIZE)
def workflow_id(readable: str, digest: str) -> str:
    """``incident-``, what a person recognises, and 96 bits of a digest."""
    return f"incident-{slug(readable)}-{digest[:FINGERPRINT_DIGITS]}"


def _readable(alert: Alert) -> str:
    """What a person recognises in the id: the monitor's number in Arize, or its model's name."""
    kind, name = (*alert.identity, "", "")[:2]
    if kind == MONITOR:
        parts = name.split(":")
        return f"{parts[0]}-{parts[1]}" if len(parts) in (2, 3) and parts[1].isdigit() else name
    return name if kind == NAMES else alert.model or alert.monitor


def slug(text: str) -> str:
    """The text as lower-case letters, digits and single dashes, for ids, URLs and file names."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.casefold()).strip("-")[:_SLUG_CHARS].strip("-") or "unnamed"
