"""Why notifications about a problem wait."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from policy import Decision, format_duration
from policy.decision import MaintenanceSpan


class Suppression(BaseModel):
    """What keeps a problem quiet, and until when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["maintenance", "silence", "inhibition"]
    reason: str
    until: datetime | None = None
    """None: until what suppresses it is over."""

    def text(self, now: datetime) -> str:
        """``in maintenance for 1h: weekly re-index``"""
        left = f" for {format_duration(round((self.until - now).total_seconds()))}" if self.until else ""
        return f"{_WORDS[self.kind]}{left}: {self.reason}"


_WORDS = {"maintenance": "in maintenance", "silence": "silenced", "inhibition": "inhibited"}


def in_maintenance(spans: tuple[MaintenanceSpan, ...], now: datetime) -> Suppression | None:
    """The windows that are open now, and those that begin before these have ended: they are one."""
    until, reasons = now, list[str]()
    for span in sorted(spans, key=lambda one: one.since):
        if span.since <= until and span.until > until:
            until = span.until
            reasons.append(span.reason)
    if until == now:
        return None
    return Suppression(kind="maintenance", reason=", ".join(dict.fromkeys(reasons)), until=until)


def without_maintenance(decision: Decision) -> Decision:
    """The decision as it is compared with others: its windows depend on when it was made."""
    return decision.model_copy(update={"maintenance": ()}) if decision.maintenance else decision
