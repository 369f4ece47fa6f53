"""The policy's decision about an alert. It is stored in workflow histories, so its fields keep their meaning."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from alerts.bounded import cut_text
from policy.durations import Seconds

Tier = Literal["critical", "high", "low"]
TIERS: tuple[Tier, ...] = ("low", "high", "critical")
"""In ascending order of urgency."""
Phase = Literal["observe", "warn", "page"]
PHASES: tuple[Phase, ...] = ("observe", "warn", "page")
"""In ascending order of what is live."""
Role = Literal["viewer", "responder", "compliance", "admin"]
ROLES: tuple[Role, ...] = ("viewer", "responder", "compliance", "admin")
"""Each role includes the rights of the roles before it. ``governance.closed_by`` names one."""
GROUP_WINDOW = 15 * 60.0
"""Seconds after an incident's last page in which a further problem belongs to the same fire."""
REFIRE_AFTER = 30 * 60.0
"""Seconds. Arize sends a webhook when a monitor starts to be triggered, so a later one than this means that the monitor
had cleared in between. Within this time it may also be a repeat by a sender that knows no edges."""


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


class MaintenanceSpan(_Frozen):
    """One maintenance window: what is triggered in it is notified when it ends."""

    since: datetime
    until: datetime
    reason: str = ""


class Flapping(_Frozen):
    """When a problem that is triggered and clears again and again is notified of once, and for how long."""

    changes: int
    within: Seconds
    until_stable: Seconds


class Inhibits(_Frozen):
    """While it is open, incidents of these tiers with the same values notify nobody."""

    values: dict[str, str]
    """By the field's path, such as ``alert.model``."""
    tiers: tuple[Tier, ...]


class Budget(_Frozen):
    """How many pages a team, or whatever else shares them, gets within a time."""

    scope: str
    """Such as ``model.team = support-ai``."""
    pages: int
    within: Seconds


class Seasonal(_Frozen):
    """How an alert is compared with what its metric always is at this hour of a period."""

    period: Seconds
    history: Seconds
    expected: Decimal
    """The share of usual values that counts as expected, below 1."""
    digest: tuple[Target, ...] = ()
    """Where what is expected is listed."""


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
    refire_after: Seconds = REFIRE_AFTER
    """An alert this long after the last one of its problem starts a new escalation."""
    group_window: Seconds = Field(default=GROUP_WINDOW, exclude_if=lambda value: value == GROUP_WINDOW)
    """A problem that begins this long after the incident's last page pages again."""
    reopen_within: Seconds | None = Field(default=None, exclude_if=lambda value: value is None)
    """What fires again so soon after the incident closed reopens it; None: nothing does."""
    maintenance: tuple[MaintenanceSpan, ...] = Field(default=(), exclude_if=lambda value: not value)
    """The windows that are for this alert, and have not ended when the decision is made."""
    inhibits: tuple[Inhibits, ...] = Field(default=(), exclude_if=lambda value: not value)
    labels: dict[str, str] = Field(default={}, exclude_if=lambda value: not value)
    """The values by which another incident may inhibit this one, by the field's path."""
    budget: Budget | None = Field(default=None, exclude_if=lambda value: value is None)
    seasonal: Seasonal | None = Field(default=None, exclude_if=lambda value: value is None)
    """What its first page counts for; None if it is not limited."""
    phase: Phase = Field(default="page", exclude_if=lambda value: value == "page")
    """The rollout phase, which the other fields take into account."""
    withheld: tuple[Target, ...] = Field(default=(), exclude_if=lambda value: not value)
    """Who would be notified in the phase ``page``, and is not."""
    flapping: Flapping | None = Field(default=None, exclude_if=lambda value: value is None)
    """When its problem counts as flapping."""

    @property
    def first_targets(self) -> tuple[Target, ...]:
        """The destinations that are notified first."""
        return self.steps[0].notify if self.steps else ()

    def louder_than(self, tier: Tier) -> bool:
        return TIERS.index(self.tier) > TIERS.index(tier)

    def with_obligations(self, other: "Decision") -> "Decision":
        """This decision, and what another one about the same incident demands: nothing of it is lost or lowered.

        Regulation, the role that may close, and the tickets are added; team, owner and their links fill what this
        decision does not say.
        """
        if other is self:
            return self
        closed_by = max((one.closed_by for one in (self, other) if one.regulated), key=_rank, default=self.closed_by)
        adopted = {
            **{name: getattr(self, name) or getattr(other, name) for name in ("team", "owner", "service", "runbook")},
            "regulated": self.regulated or other.regulated,
            "closed_by": closed_by,
            "tickets": tuple(dict.fromkeys((*self.tickets, *other.tickets))),
            "links": {**other.links, **self.links},
        }
        changed = {name: value for name, value in adopted.items() if value != getattr(self, name)}
        return self.model_copy(update=changed) if changed else self


def loudest_tier(tiers: Iterable[Tier]) -> Tier:
    """The most urgent; low if there is none."""
    found: Tier = "low"
    for tier in tiers:
        found = tier if TIERS.index(tier) > TIERS.index(found) else found
    return found


def loudest(decisions: Iterable[Decision]) -> Decision:
    """The decision of the highest tier, the first of equals, with the obligations of all of them.

    Raises:
        ValueError: there is none.
    """
    found = list(decisions)
    chosen = max(found, key=lambda one: TIERS.index(one.tier))
    for one in found:
        chosen = chosen.with_obligations(one)
    return chosen


def distinct(decisions: Sequence[Decision]) -> tuple[tuple[Decision, ...], tuple[int, ...]]:
    """Each decision once, without its trace, and for each of ``decisions`` the index of its own.

    Empty if all are equal: then the loudest is that of each.
    """
    found: list[Decision] = []
    index_of: list[int] = []
    for decision in decisions:
        bare = decision.model_copy(update={"trace": ()})
        if bare not in found:
            found.append(bare)
        index_of.append(found.index(bare))
    return (tuple(found), tuple(index_of)) if len(found) > 1 else ((), ())


def _rank(role: str) -> int:
    return ROLES.index(role) if role in ROLES else -1


def bounded_decision(decision: Decision, limit: int) -> Decision:
    """The decision in about ``limit`` bytes of JSON: of a longer trace, the rules that matched and the first others.

    A reason may quote texts of the alert, each of which is bounded by its reader only.

    A policy of hundreds of rules names the alert's values once for each of them. What is left out is counted.
    """
    if len(to_json(decision)) <= limit:
        return decision
    trace = tuple(Verdict(one.rule, one.matched, cut_text(one.reason, limit // 16)) for one in decision.trace)
    decision = decision.model_copy(update={"reason": cut_text(decision.reason, limit // 8), "trace": trace})
    if len(to_json(decision)) <= limit:
        return decision
    room = limit - len(to_json(decision.model_copy(update={"trace": ()})))
    kept: list[Verdict] = [one for one in decision.trace if one.matched]
    room -= len(to_json(kept))
    others: list[Verdict] = []
    for verdict in decision.trace:
        room -= 0 if verdict.matched else len(to_json(verdict))
        if room < 0:
            break
        others += [] if verdict.matched else [verdict]
    dropped = len(decision.trace) - len(kept) - len(others)
    more = Verdict("…", matched=False, reason=f"and {dropped} more rules that did not match")
    return decision.model_copy(update={"trace": (*others, *([more] if dropped else []), *kept)})


class IncidentFacts(_Frozen):
    """What conditions know of the incident (``incident.*``)."""

    alerts: int = Field(default=0, description="The number of alerts so far, including this one.")
    age: Seconds = Field(default=0.0, description="Seconds since the first alert; 0 for the first.")
    tier: str = Field(default="", description="critical, high or low; empty before the first decision.")
