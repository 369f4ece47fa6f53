"""What the policy says about an alert. Stored in the incident's history, so it keeps its meaning there."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Tier = Literal["critical", "high", "low"]
TIERS: tuple[Tier, ...] = ("low", "high", "critical")
"""From quiet to loud."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Target(_Frozen):
    """A destination as an incident needs it: its name, its type and what that type does."""

    name: str
    type: str
    kind: Literal["page", "post", "ticket", "console"]


class Step(_Frozen):
    """One rung of an escalation: whom to notify, how many seconds after the first without an answer."""

    after: float = 0.0
    notify: tuple[Target, ...] = ()


class Raise(_Frozen):
    """What an incident that nobody answers in time turns into."""

    tier: Tier
    steps: tuple[Step, ...]
    fallback: tuple[Target, ...] = ()
    remind: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """One rule's part in the decision: whether it matched, and what made it so.

    No Pydantic model: a decision by the last of 500 rules makes 500 of these.
    """

    rule: str
    matched: bool
    why: str = ""


class Decision(_Frozen):
    """How loudly, to whom, how soon, who may close it; and which rule said so and why.

    Durations are seconds. ``steps`` is flat: a step with ``repeat`` stands here once for each time.
    """

    rule: str
    why: str
    tier: Tier
    priority: str = ""
    tags: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    fallback: tuple[Target, ...] = ()
    digest: tuple[Target, ...] = ()
    tickets: tuple[Target, ...] = ()
    hold: float | None = None
    respond_within: float | None = None
    unanswered: Raise | None = None
    remind: float | None = None
    regulated: bool = False
    closed_by: str = ""
    """The role that alone may close it; empty where the machine may."""
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
    """What a condition may ask of the incident (``incident.*``)."""

    alerts: int = Field(default=0, description="How many alerts joined, this one included.")
    age: float = Field(default=0.0, description="Seconds since the first; 0 for the first.")
    tier: str = Field(default="", description="critical, high or low; empty before the first decision.")
