"""The policy's decision about an alert. It is stored in workflow histories, so its fields keep their meaning."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from policy.durations import Seconds

Tier = Literal["critical", "high", "low"]
TIERS: tuple[Tier, ...] = ("low", "high", "critical")
"""In ascending order of urgency."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Target(_Frozen):
    """A destination as an incident uses it: its name, its type and what that type does."""

    name: str
    type: str
    kind: Literal["page", "post", "ticket", "console"]


class Step(_Frozen):
    """One rung of an escalation: the destinations to notify, and when, counted from the first step."""

    after: Seconds = 0.0
    notify: tuple[Target, ...] = ()


class OnAckTimeout(_Frozen):
    """What changes when nobody acknowledges an incident within ``respond_within``: the next tier and its escalation."""

    tier: Tier
    steps: tuple[Step, ...]
    fallback: tuple[Target, ...] = ()
    remind: Seconds | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one rule matched, and why.

    A dataclass, because Pydantic models are slower to create: a decision by the last of 500 rules creates 500.
    """

    rule: str
    matched: bool
    reason: str = ""


class Decision(_Frozen):
    """The tier, the destinations and their times, who may close the incident, and which rule decided this and why.

    Durations are in seconds. ``steps`` is flat: a step with ``repeat`` is listed once for each repetition.
    """

    rule: str
    reason: str
    tier: Tier
    priority: str = ""
    tags: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    fallback: tuple[Target, ...] = ()
    digest: tuple[Target, ...] = ()
    tickets: tuple[Target, ...] = ()
    hold: Seconds | None = None
    respond_within: Seconds | None = None
    on_ack_timeout: OnAckTimeout | None = None
    remind: Seconds | None = None
    regulated: bool = False
    closed_by: str = ""
    """The only role that may close the incident; empty if it may close by itself."""
    team: str = ""
    owner: str = ""
    service: str = ""
    runbook: str = ""
    links: dict[str, str] = {}
    trace: tuple[Verdict, ...] = ()
    policy: str = ""
    """The digest of the policy that decided."""

    def louder_than(self, tier: Tier) -> bool:
        return TIERS.index(self.tier) > TIERS.index(tier)


class IncidentFacts(_Frozen):
    """What conditions know of the incident (``incident.*``)."""

    alerts: int = Field(default=0, description="The number of alerts so far, including this one.")
    age: Seconds = Field(default=0.0, description="Seconds since the first alert; 0 for the first.")
    tier: str = Field(default="", description="critical, high or low; empty before the first decision.")
