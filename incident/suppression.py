"""Why notifications about a problem wait: maintenance, a silence, an inhibition, or a page budget."""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from alerts import Alert
from policy import Decision, Policy, Tier, format_duration
from policy.decision import Inhibits, MaintenanceSpan
from policy.inhibition import is_inhibited_by
from policy.seasonal import expected_band


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Suppression(_Frozen):
    """What keeps a problem quiet, and until when."""

    kind: Literal["maintenance", "silence", "inhibition", "budget", "seasonal"]
    reason: str
    until: datetime | None = None
    """None: until what suppresses it is over."""
    source: str = ""
    """The id of the silence, or of the incident that lists it."""

    @property
    def is_external(self) -> bool:
        """Whether only a worker can check if it is over."""
        return self.kind not in {"maintenance", "seasonal"}

    @property
    def is_for_new_fires(self) -> bool:
        """Whether it keeps only what begins quiet: who was paged before goes on being paged."""
        return self.kind in {"inhibition", "seasonal"}

    @property
    def word(self) -> str:
        """``silenced``"""
        return _WORDS[self.kind]

    def text(self, now: datetime) -> str:
        """``in maintenance for 1h: weekly re-index``"""
        left = f" for {format_duration(round((self.until - now).total_seconds()))}" if self.until else ""
        return f"{self.word}{left}: {self.reason}"


_WORDS = {
    "maintenance": "in maintenance",
    "silence": "silenced",
    "inhibition": "inhibited",
    "budget": "beyond the page budget",
    "seasonal": "expected",
}


class Silence(_Frozen):
    """What a person silenced for a time. Times are in UTC."""

    id: str
    matcher: str = Field(description="A condition in CEL: which problems.")
    reason: str
    by: str = Field(description="Who created it.")
    source: str = Field(default="api", description="Where: api, slack, cli, console.")
    created_at: datetime
    starts_at: datetime
    ends_at: datetime
    ended_at: datetime | None = Field(default=None, description="When it was expired early.")
    ended_by: str = ""

    def is_active(self, now: datetime) -> bool:
        return self.starts_at <= now < self.until

    @property
    def until(self) -> datetime:
        """When it ends, or ended."""
        return self.ends_at if self.ended_at is None else min(self.ends_at, self.ended_at)


class Inhibitor(_Frozen):
    """A problem that is open, and inhibits lesser incidents."""

    incident: str
    problem: str
    monitor: str
    rule: str
    inhibits: tuple[Inhibits, ...]


class ListedIncident(_Frozen):
    """An incident that notifies nobody because of another one, as that one lists it."""

    incident: str
    monitor: str
    model: str = ""
    tier: Tier
    kind: Literal["inhibition", "budget"]


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


def silenced(policy: Policy, alert: Alert, now: datetime, silences: Iterable[Silence]) -> Suppression | None:
    """The active silence of an interpreted alert that ends last."""
    found = [one for one in silences if one.is_active(now) and policy.matchers.matches(one.matcher, alert, now)]
    last = max(found, key=lambda one: one.until, default=None)
    if last is None:
        return None
    return Suppression(kind="silence", reason=f"{last.reason} ({last.by})", until=last.until, source=last.id)


def judged_at(alert: Alert, now: datetime) -> datetime:
    """When an alert's value was measured, as far as that is known."""
    return alert.occurred_at if alert.occurred_at and not alert.local_time else now


def expected(
    alert: Alert, decision: Decision, now: datetime, earlier: Iterable[tuple[datetime, float]]
) -> Suppression | None:
    """Whether an alert's value is what its metric always is at this hour, by earlier values of its monitor."""
    seasonal, value = decision.seasonal, alert.value
    if seasonal is None or value is None or alert.drill:
        return None
    band = expected_band(earlier, judged_at(alert, now), seasonal)
    if band is None or not band.holds(value):
        return None
    return Suppression(kind="seasonal", reason=band.text(value, format_duration(seasonal.period)))


def inhibited(decision: Decision, incident: str, inhibitors: Iterable[Inhibitor]) -> Suppression | None:
    """The first other incident that inhibits this one."""
    for one in inhibitors:
        if one.incident != incident and is_inhibited_by(decision.labels, decision.tier, one.inhibits):
            return Suppression(kind="inhibition", reason=f"{one.monitor} ({one.rule})", source=one.incident)
    return None
