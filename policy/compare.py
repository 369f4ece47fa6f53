"""What a change of policy changes, on alerts that were really sent."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from alerts import Alert
from policy.decide import Policy
from policy.decision import TIERS, Decision, Step, Tier

Kind = Literal["stops paging", "no longer regulated", "pages later", "starts paging", "quieter", "louder", "other"]
WEIGHT: dict[Kind, int] = {
    "stops paging": 6,
    "no longer regulated": 5,
    "pages later": 4,
    "starts paging": 3,
    "quieter": 2,
    "louder": 1,
    "other": 0,
}
_WEEK = timedelta(days=7)
_QUIET = timedelta(hours=24)


@dataclass(frozen=True)
class Recorded:
    """An alert of the history: when it came, which incident it belonged to, and where in the history it stands."""

    alert: Alert
    at: datetime | None
    incident: str
    place: str


@dataclass(frozen=True)
class Change:
    """One alert that the two policies decide differently, and the gravest thing that this means."""

    kind: Kind
    recorded: Recorded
    old: Decision
    new: Decision
    moment: datetime
    """When it was decided about: its own time, or the time of the comparison."""

    @property
    def alike(self) -> tuple[str, ...]:
        """What is the same for changes of which one example is enough."""
        alert = self.recorded.alert
        return (self.kind, self.old.rule, self.new.rule, alert.model.casefold(), alert.environment)


@dataclass
class Incident:
    """What an incident came to under each policy."""

    tiers: tuple[Tier, Tier]
    teams: tuple[str, str]
    paged: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())


@dataclass
class Comparison:
    """What the whole history says."""

    alerts: int = 0
    changed: int = 0
    first: datetime | None = None
    last: datetime | None = None
    incidents: dict[str, Incident] = field(default_factory=dict[str, Incident])
    lost: list[Change] = field(default_factory=list[Change])
    """Every alert that would stop paging, without exception."""
    deregulated: int = 0
    """Alerts that a person need not close any more, whatever else changes about them."""
    kinds: Counter[Kind] = field(default_factory=Counter[Kind])
    alike: Counter[tuple[str, ...]] = field(default_factory=Counter[tuple[str, ...]])
    examples: dict[tuple[str, ...], Change] = field(default_factory=dict[tuple[str, ...], Change])

    @property
    def weeks(self) -> float | None:
        """How long the history is; None where it is shorter than a day, or says no times."""
        if self.first is None or self.last is None or self.last - self.first < timedelta(days=1):
            return None
        return (self.last - self.first) / _WEEK

    def tier_changes(self) -> Counter[tuple[Tier, Tier]]:
        """Incidents by the tier that they came to, before and after, where the two differ."""
        return Counter(one.tiers for one in self.incidents.values() if one.tiers[0] != one.tiers[1])

    def pages(self, by: Literal["team", "destination"]) -> dict[str, tuple[int, int]]:
        """By team or destination: how many incidents paged it, before and after."""
        before: Counter[str] = Counter()
        after: Counter[str] = Counter()
        for one in self.incidents.values():
            for side, count in enumerate((before, after)):
                if by == "destination":
                    count.update(one.paged[side])
                elif one.paged[side]:
                    count[one.teams[side]] += 1
        return {name: (before[name], after[name]) for name in sorted({*before, *after})}

    def foremost(self, most: int = 10) -> list[tuple[Change, int]]:
        """The examples that matter most, with how many alerts each stands for."""
        ranked = sorted(self.examples.items(), key=lambda item: (-WEIGHT[item[1].kind], -self.alike[item[0]], item[0]))
        return [(change, self.alike[key]) for key, change in ranked[:most]]


def compare(old: Policy, new: Policy, history: Iterable[Recorded], now: datetime) -> Comparison:
    """Decide every alert by both policies. ``now`` is the time of alerts that say none."""
    found = Comparison()
    for recorded in history:
        _take(found, old, new, recorded, now)
    return found


def _take(found: Comparison, old: Policy, new: Policy, recorded: Recorded, now: datetime) -> None:
    found.alerts += 1
    if recorded.at is not None:
        found.first = min(found.first or recorded.at, recorded.at)
        found.last = max(found.last or recorded.at, recorded.at)
    if recorded.alert.status == "cleared":
        return  # it opens nothing, under any policy
    moment = recorded.at or now
    before, after = old.decide(recorded.alert, moment), new.decide(recorded.alert, moment)
    _note_incident(found, recorded.incident, before, after)
    kind = difference(before, after)
    if kind is None:
        return
    change = Change(kind, recorded, _without_trace(before), _without_trace(after), moment)
    found.changed += 1
    found.kinds[kind] += 1
    found.deregulated += before.regulated and not after.regulated
    found.alike[change.alike] += 1
    found.examples.setdefault(change.alike, change)
    if kind == "stops paging":
        found.lost.append(change)


def _note_incident(found: Comparison, incident: str, before: Decision, after: Decision) -> None:
    paged = (paged_by(before), paged_by(after))
    one = found.incidents.get(incident)
    if one is None:
        found.incidents[incident] = Incident((before.tier, after.tier), (before.team, after.team), paged)
        return
    one.tiers = (_louder(one.tiers[0], before.tier), _louder(one.tiers[1], after.tier))
    one.paged = (one.paged[0] | paged[0], one.paged[1] | paged[1])


def _louder(one: Tier, other: Tier) -> Tier:
    return one if TIERS.index(one) >= TIERS.index(other) else other


def paged_by(decision: Decision) -> frozenset[str]:
    """The destinations that a decision pages in its first step that pages any."""
    for step in decision.steps:
        if names := _paged(step, decision.tier):
            return names
    return frozenset()


def _paged(step: Step, tier: Tier) -> frozenset[str]:
    # The console pages where somebody has chosen it to.
    kinds = {"page", "console"} if tier == "critical" else {"page"}
    return frozenset(target.name for target in step.notify if target.kind in kinds)


def _paged_after(decision: Decision) -> float | None:
    first = next((step.after for step in decision.steps if _paged(step, decision.tier)), None)
    return None if first is None else first + (decision.hold or 0.0)


def difference(old: Decision, new: Decision) -> Kind | None:
    """The gravest thing that is different, or None where both come to the same."""
    was, is_now = _paged_after(old), _paged_after(new)
    checks: tuple[tuple[Kind, bool], ...] = (
        ("stops paging", was is not None and is_now is None),
        ("no longer regulated", old.regulated and not new.regulated),
        ("pages later", was is not None and is_now is not None and is_now > was),
        ("starts paging", was is None and is_now is not None),
        ("quieter", TIERS.index(new.tier) < TIERS.index(old.tier)),
        ("louder", TIERS.index(new.tier) > TIERS.index(old.tier)),
        ("other", _meaning(old) != _meaning(new)),
    )
    return next((kind for kind, is_so in checks if is_so), None)


def _meaning(decision: Decision) -> Decision:
    """The decision without what says only how it came about."""
    return decision.model_copy(update={"rule": "", "why": "", "trace": (), "policy": ""})


def _without_trace(decision: Decision) -> Decision:
    return decision.model_copy(update={"trace": ()})  # many are kept, and the rule and why say enough


class Openings:
    """Tells incidents apart in a history that does not name them: by what they are about, until they clear or rest."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, datetime | None]] = {}

    def of(self, incident: str, alert: Alert, at: datetime | None) -> str:
        """The incident's name, with the number of its opening."""
        number, before = self._open.get(incident, (1, at))
        if at is not None and before is not None and at - before > _QUIET:
            number += 1
        self._open[incident] = (number + 1 if alert.status == "cleared" else number, at or before)
        return f"{incident}#{number}"
