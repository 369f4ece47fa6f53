"""The fingerprint: two alerts with the same one are about the same problem."""

import hashlib
import json
import re
import unicodedata

from alerts.model import Alert

_SLUG_CHARS = 48


def fingerprint(alert: Alert) -> str:
    """Forty hexadecimal digits over the alert's identity: monitor, model, environment and segment."""
    basis = json.dumps(list(alert.identity or (alert.monitor, alert.monitor_id)), ensure_ascii=True)
    return hashlib.sha256(basis.encode()).hexdigest()[:40]


def incident_id(alert: Alert) -> str:
    """The workflow id of the alert's incident: ``incident-support-chatbot-3f9a2c71d0``."""
    return f"incident-{slug(alert.model or alert.monitor)}-{fingerprint(alert)[:12]}"


def slug(text: str) -> str:
    """The text as lower-case letters, digits and single dashes, for ids, URLs and file names."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_text.casefold()).strip("-")[:_SLUG_CHARS].strip("-") or "unnamed"
