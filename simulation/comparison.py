"""Compares the decisions of two policies about recorded alerts."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from alerts import Alert
from policy.decide import Policy
from policy.decision import TIERS, Decision, Tier
from simulation.difference import Kind, difference, paged_by
from simulation.policy_keys import KeyChange, changed_keys
from simulation.policy_losses import Loss, LossKind, losses

if TYPE_CHECKING:
    from simulation.sent_difference import SentDifference

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
class RecordedAlert:
    """An alert of the history: its time, its incident and its place in the history."""

    alert: Alert
    at: datetime | None
    incident: str
    place: str


@dataclass(frozen=True)
class Change:
    """One alert that the two policies decide differently, and the most severe consequence."""

    kind: Kind
    recorded: RecordedAlert
    old: Decision
    new: Decision
    moment: datetime
    """The time of the decision: the alert's own, or that of the comparison."""

    @property
    def group(self) -> tuple[str, ...]:
        """Changes of the same group are shown by one example."""
        alert = self.recorded.alert
        return (self.kind, self.old.rule, self.new.rule, alert.model.casefold(), alert.environment)


@dataclass
class Incident:
    """An incident under each policy: its highest tier, its team, and the destinations that were paged."""

    tiers: tuple[Tier, Tier]
    teams: tuple[str, str]
    paged: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())


@dataclass
class Comparison:
    """The result for the whole history."""

    alerts: int = 0
    changed: int = 0
    first: datetime | None = None
    last: datetime | None = None
    incidents: dict[str, Incident] = field(default_factory=dict[str, Incident])
    lost_pages: list[Change] = field(default_factory=list[Change])
    """All alerts that stop paging."""
    no_longer_regulated: int = 0
    """The number of alerts that are regulated under the old policy only."""
    kinds: Counter[Kind] = field(default_factory=Counter[Kind])
    group_sizes: Counter[tuple[str, ...]] = field(default_factory=Counter[tuple[str, ...]])
    examples: dict[tuple[str, ...], Change] = field(default_factory=dict[tuple[str, ...], Change])
    keys: tuple[KeyChange, ...] = ()
    """The keys in which the policies differ."""
    sent: "SentDifference | None" = None
    """What a replay by each policy sends."""
    losses: tuple[Loss, ...] = ()
    """What is lost by the new policy, whatever the history holds."""

    def loses(self, kind: LossKind) -> list[Loss]:
        return [loss for loss in self.losses if loss.kind == kind]

    @property
    def weeks(self) -> float | None:
        """The length of the history; None if it is shorter than a day or has no times."""
        if self.first is None or self.last is None or self.last - self.first < timedelta(days=1):
            return None
        return (self.last - self.first) / _WEEK

    def tier_changes(self) -> Counter[tuple[Tier, Tier]]:
        """The number of incidents by their tier before and after, if the two differ."""
        return Counter(incident.tiers for incident in self.incidents.values() if incident.tiers[0] != incident.tiers[1])

    def pages(self, by: Literal["team", "destination"]) -> dict[str, tuple[int, int]]:
        """By team or destination: how many incidents page it, before and after."""
        before: Counter[str] = Counter()
        after: Counter[str] = Counter()
        for incident in self.incidents.values():
            for side, count in enumerate((before, after)):
                if by == "destination":
                    count.update(incident.paged[side])
                elif incident.paged[side]:
                    count[incident.teams[side]] += 1
        return {name: (before[name], after[name]) for name in sorted({*before, *after})}

    def top_examples(self, most: int = 10) -> list[tuple[Change, int]]:
        """The most severe examples, each with the number of alerts in its group."""
        ranked = sorted(
            self.examples.items(), key=lambda item: (-WEIGHT[item[1].kind], -self.group_sizes[item[0]], item[0])
        )
        return [(change, self.group_sizes[key]) for key, change in ranked[:most]]


def kept_in(kept: list[RecordedAlert], history: Iterable[RecordedAlert]) -> Iterator[RecordedAlert]:
    """The history, each alert of which is also added to a list as it is read."""
    for one in history:
        kept.append(one)
        yield one


def compare(old: Policy, new: Policy, history: Iterable[RecordedAlert], now: datetime) -> Comparison:
    """Compare the policies' keys, and decide about every alert by both. ``now`` is the time for alerts without one."""
    found = Comparison(keys=changed_keys(old, new), losses=losses(old, new))
    for recorded in history:
        _add(found, old, new, recorded, now)
    return found


def _add(found: Comparison, old: Policy, new: Policy, recorded: RecordedAlert, now: datetime) -> None:
    found.alerts += 1
    if recorded.at is not None:
        found.first = min(found.first or recorded.at, recorded.at)
        found.last = max(found.last or recorded.at, recorded.at)
    if recorded.alert.status == "cleared":
        return  # a clear is not decided by the policy
    moment = recorded.at or now
    before, after = old.decide(recorded.alert, moment), new.decide(recorded.alert, moment)
    _add_incident(found, recorded.incident, before, after)
    kind = difference(before, after)
    if kind is None:
        return
    change = Change(kind, recorded, _without_trace(before), _without_trace(after), moment)
    found.changed += 1
    found.kinds[kind] += 1
    found.no_longer_regulated += before.regulated and not after.regulated
    found.group_sizes[change.group] += 1
    found.examples.setdefault(change.group, change)
    if kind == "stops paging":
        found.lost_pages.append(change)


def _add_incident(found: Comparison, incident: str, before: Decision, after: Decision) -> None:
    paged = (paged_by(before), paged_by(after))
    known = found.incidents.get(incident)
    if known is None:
        found.incidents[incident] = Incident((before.tier, after.tier), (before.team, after.team), paged)
        return
    known.tiers = (_louder(known.tiers[0], before.tier), _louder(known.tiers[1], after.tier))
    known.paged = (known.paged[0] | paged[0], known.paged[1] | paged[1])


def _louder(first: Tier, second: Tier) -> Tier:
    return first if TIERS.index(first) >= TIERS.index(second) else second


def _without_trace(decision: Decision) -> Decision:
    return decision.model_copy(update={"trace": ()})  # many examples are kept; the rule and the reason are enough


class IncidentGrouper:
    """Assigns incidents to alerts of a history that contains none: one until a clear, or 24 hours without an alert."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, datetime | None]] = {}

    def incident_of(self, incident: str, alert: Alert, at: datetime | None) -> str:
        """The incident's id, numbered by how often it was opened."""
        number, before = self._open.get(incident, (1, at))
        if at is not None and before is not None and at - before > _QUIET:
            number += 1
        self._open[incident] = (number + 1 if alert.status == "cleared" else number, at or before)
        return f"{incident}#{number}"
