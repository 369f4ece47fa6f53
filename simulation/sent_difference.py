"""What two policies would have sent about the same recorded alerts, and the fires that the new one no longer pages."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from policy import Policy
from simulation.comparison import RecordedAlert
from simulation.replay import Replay, TimedAlert, counts, is_page, is_post, is_ticket, prepare, replay, week_of
from simulation.simulator import SentNotification, SimulatedIncident

KINDS: Mapping[str, Callable[[SentNotification], bool]] = {"pages": is_page, "posts": is_post, "tickets": is_ticket}
_LATER = timedelta(hours=1)
"""A page that comes so much later is one for the same fire: a hold, or a budget."""
Pair = tuple[int, int]


@dataclass(frozen=True)
class LostFire:
    """A fire that the old policy pages and the new one does not."""

    at: datetime
    monitor: str
    incident: str
    model: str
    team: str
    tier: str
    why: str
    """What the new policy does about it."""


@dataclass(frozen=True)
class SentDifference:
    """A replay by each policy."""

    before: Replay
    after: Replay
    lost: tuple[LostFire, ...]

    @property
    def totals(self) -> dict[str, Pair]:
        """The number of each kind, before and after."""
        before, after = counts(self.before.notifications), counts(self.after.notifications)
        return {kind: (before[kind], after[kind]) for kind in KINDS}

    def by(self, name_of: Callable[[Replay, SentNotification], str]) -> dict[str, dict[str, Pair]]:
        """By a name: the number of each kind, before and after."""
        found = [
            {
                kind: Counter(name_of(one, sent) for sent in one.notifications if is_kind(sent))
                for kind, is_kind in KINDS.items()
            }
            for one in (self.before, self.after)
        ]
        names = sorted({name for side in found for counter in side.values() for name in counter})
        return {name: {kind: (found[0][kind][name], found[1][kind][name]) for kind in KINDS} for name in names}

    def by_team(self) -> dict[str, dict[str, Pair]]:
        return self.by(lambda _, sent: sent.team)

    def by_week(self) -> dict[str, dict[str, Pair]]:
        return self.by(lambda one, sent: week_of(one.at(sent)))

    def by_hour(self) -> dict[str, dict[str, Pair]]:
        """Of the day, in UTC."""
        return self.by(lambda one, sent: f"{one.at(sent):%H}")


def compare_sent(old: Policy, new: Policy, history: Sequence[RecordedAlert]) -> SentDifference | None:
    """Replay a history by both policies; None if none of its alerts has a time."""
    if not any(one.at for one in history):
        return None
    before, after = (replay(policy, _timed(policy, history)) for policy in (old, new))
    return SentDifference(before, after, tuple(_lost(before, after)))


def _timed(policy: Policy, history: Iterable[RecordedAlert]) -> Iterable[TimedAlert]:
    at: datetime | None = None
    for one in history:
        at = one.at or at
        if at is not None:
            yield prepare(policy, one.alert, at)


def _lost(before: Replay, after: Replay) -> Iterable[LostFire]:
    """The pages of the old policy about problems that are in no incident which the new policy pages at that time."""
    runs: dict[str, list[SimulatedIncident]] = {}
    for one in after.simulated:
        for problem in one.state.problems:
            runs.setdefault(problem, []).append(one)
    paged = {id(one): any(is_page(sent) for sent in one.sent) for one in after.simulated}
    seen = set[tuple[str, datetime]]()
    for sent in before.notifications:
        at = before.at(sent)
        if not is_page(sent) or not sent.problem or (sent.problem, at) in seen:
            continue
        seen.add((sent.problem, at))
        held = [
            one
            for one in runs.get(sent.problem, ())
            if one.state.opened_at <= at + _LATER and (one.closed_at is None or one.closed_at >= at)
        ]
        if not any(paged[id(one)] for one in held):
            state = held[-1].state if held else None
            why = f"{state.tier} by rule {state.decision.rule}" if state and state.decision else "in no incident"
            if state is not None and state.state == "suppressed":
                why += ", suppressed"
            yield LostFire(
                at,
                sent.monitor,
                sent.incident,
                sent.model,
                sent.team,
                sent.tier,
                why,
            )


def sent_json(found: SentDifference) -> dict[str, Any]:
    """All figures, and every fire that is no longer paged."""

    def pairs(stated: Mapping[str, Pair]) -> dict[str, dict[str, int]]:
        return {kind: {"before": before, "after": after} for kind, (before, after) in stated.items()}

    def tables(stated: Mapping[str, Mapping[str, Pair]]) -> dict[str, dict[str, dict[str, int]]]:
        return {name: pairs(one) for name, one in stated.items()}

    return {
        "total": pairs(found.totals),
        "by_team": tables(found.by_team()),
        "by_week": tables(found.by_week()),
        "by_hour": tables(found.by_hour()),
        "fires_no_longer_paged": [
            {
                "at": one.at.isoformat(),
                "monitor": one.monitor,
                "incident": one.incident,
                "model": one.model,
                "team": one.team,
                "tier": one.tier,
                "now": one.why,
            }
            for one in found.lost
        ],
    }


def sent_rows(found: SentDifference) -> list[tuple[str, str, str, str]]:
    """In total, by team and by week: a name and, for each kind, ``before → after``."""
    groups = {"total": {"total": found.totals}, "team": found.by_team(), "week": found.by_week()}
    rows: list[tuple[str, str, str, str]] = []
    for title, group in groups.items():
        for name, of_kind in group.items():
            pages, posts, tickets = (_pair(of_kind[kind]) for kind in KINDS)
            label = name if title == "total" else f"{title} {name}" if name else "no team"
            rows.append((label, pages, posts, tickets))
    return rows


def _pair(pair: Pair) -> str:
    before, after = pair
    return f"{before:,} → {after:,}" if before or after else "·"


def lost_rows(found: SentDifference) -> list[tuple[str, ...]]:
    """A line for each fire that is no longer paged."""
    return [
        (f"{one.at:%Y-%m-%d %H:%M}", f"{one.tier} {one.model} {one.monitor}", one.team, one.why) for one in found.lost
    ]
