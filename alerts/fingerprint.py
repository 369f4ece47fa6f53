"""The fingerprint: two alerts with the same one are about the same problem."""

import hashlib
import json
import re
import unicodedata

from alerts.identity import MONITOR, NAMES
from alerts.model import Alert

_SLUG_CHARS = 48
FINGERPRINT_DIGITS = 24
"""With 48 bits, two of some million problems share an id; with 96, nobody finds two that do."""


def fingerprint(alert: Alert) -> str:
    """Forty hexadecimal digits over the alert's identity; see ``alerts.identity``."""
    basis = json.dumps(list(alert.identity or (alert.monitor, alert.monitor_id)), ensure_ascii=True)
    return hashlib.sha256(basis.encode()).hexdigest()[:40]


def incident_id(alert: Alert) -> str:
    """The alert's problem, ``incident-monitor-61000-3f9a2c71d0…``, with 96 bits of the fingerprint.

    It is also the workflow id of the problem's incident, unless the policy groups alerts. It depends on the identity
    alone, so that every message about a monitor has the same, whatever else it states.
    """
    # Temporal stores the id readably: it names no part of a body that nothing could read.
    name = "unreadable-deliveries" if alert.quarantined else _readable(alert)
    return f"incident-{slug(name)}-{fingerprint(alert)[:FINGERPRINT_DIGITS]}"


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
