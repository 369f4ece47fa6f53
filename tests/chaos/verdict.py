"""The checker: what was accepted beside what people saw, and what is on record of it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from audit import AuditLog, Record, check
from tests.chaos.field import Field
from tests.chaos.stream import Fire
from tests.chaos.wrecks import Wreck
from tests.vendors.policy import SECRETS

AT_ONCE = 10.0
"""Seconds after it is due within which a page counts as on time where nothing was broken."""
RECOVERY = 45.0
"""The same after something was mended: one attempt that nobody heard the end of (15 s) and the longest pause between
two (30 s), by ``workflows.calls``."""
HANDED_OVER = 2.0
"""Seconds within which a gateway has handed over what it kept, where Temporal answers."""
_PAGING = {"unanswered", "acknowledged", "repeated", "cleared"}
_NAMES = {SECRETS[name.upper()]: name for name in ("primary", "secondary", "managers")}


KINDS = ("lost", "doubled", "late", "early", "disobeyed", "audit", "broken", "other")


@dataclass
class Verdict:
    """Each list holds what is wrong, in words; all are empty where Tocsin keeps its word."""

    lost: list[str] = field(default_factory=list[str])
    doubled: list[str] = field(default_factory=list[str])
    late: list[str] = field(default_factory=list[str])
    early: list[str] = field(default_factory=list[str])
    disobeyed: list[str] = field(default_factory=list[str])
    audit: list[str] = field(default_factory=list[str])
    broken: list[str] = field(default_factory=list[str])
    """Histories that a worker could not do over, as it must after the next crash."""
    other: list[str] = field(default_factory=list[str])
    lateness: list[float] = field(default_factory=list[float])
    """Of each page, in seconds after it was due, or after what kept it was mended."""
    pages: int = 0
    records: int = 0

    @property
    def holds(self) -> bool:
        return not any(getattr(self, kind) for kind in KINDS)


def judge(ground: Field, fires: Sequence[Fire], wrecks: Sequence[Wreck], log: AuditLog) -> Verdict:
    """Everything that is wrong, once every fire has come to its end."""
    verdict = Verdict(other=list(ground.violations))
    records = list(log.read())
    verdict.records = len(records)
    verdict.audit = [f"{one.incident} record {one.number}: {one.fault}" for one in check(records)]
    by_incident: dict[str, list[Record]] = {}
    for record in records:
        by_incident.setdefault(record.incident, []).append(record)
    posts = Counter(_key(one).partition(".")[0] for one in ground.slack.messages if not one["thread_ts"])
    for fire in fires:
        if fire.fault:
            verdict.lost.append(f"{_name(fire)}: {fire.fault}")
        if not fire.view:
            continue
        _count_alerts(verdict, fire)
        if fire.fate in _PAGING:
            _count_pages(verdict, ground, fire, wrecks)
        elif posts[fire.incident] != 1:
            kind = verdict.doubled if posts[fire.incident] else verdict.lost
            kind.append(f"{_name(fire)}: {posts[fire.incident]} posts")
        _compare_record(verdict, ground, fire, by_incident.get(fire.incident, []))
    regulated = [fire for fire in fires if fire.fate == "regulated" and fire.incident]
    if len(ground.jira.issues) != len(regulated):
        verdict.lost.append(f"{len(ground.jira.issues)} tickets for {len(regulated)} regulated incidents")
    if ground.pager.open:
        verdict.other.append(f"{len(ground.pager.open)} pages were never resolved: {sorted(ground.pager.open)[:3]}")
    return verdict


def _count_alerts(verdict: Verdict, fire: Fire) -> None:
    known, sent = fire.view["alerts"], len(fire.event_ids)
    if known != sent:
        kind = verdict.lost if known < sent else verdict.doubled
        kind.append(f"{_name(fire)}: {sent} alerts were taken, the incident knows of {known}")


def _count_pages(verdict: Verdict, ground: Field, fire: Fire, wrecks: Sequence[Wreck]) -> None:
    rang = ground.pager.rang(fire.incident)
    verdict.pages += len(rang)
    keys = Counter((one.body["routing_key"], one.body["dedup_key"]) for one in rang)
    verdict.doubled += [f"{_name(fire)}: {count} pages under {key}" for key, count in keys.items() if count > 1]
    over, spooled = _over(fire, wrecks)
    due = _due(fire.view)
    for routing_key, name in _NAMES.items():
        heard = [one.at for one in rang if one.body["routing_key"] == routing_key]
        expected = due[name]
        if len(heard) > len(expected):
            verdict.doubled.append(f"{_name(fire)}: {len(heard)} pages for {name}, of {len(expected)} steps")
        for at, when in zip(heard, expected, strict=False):
            if at < when - 0.5:
                verdict.early.append(f"{_name(fire)}: {name} {when - at:.1f} s before it was due")
            if when > over + 1 and not (spooled and _handing_over(when, over, wrecks)):
                verdict.disobeyed.append(f"{_name(fire)}: {name} at {at:.1f}, answered at {over:.1f}, due {when:.1f}")
                continue
            verdict.lateness.append(late := _late(at, when, wrecks))
            if late > (RECOVERY if _disturbed(when, wrecks) else AT_ONCE):
                verdict.late.append(f"{_name(fire)}: {name} {late:.1f} s late")


def _over(fire: Fire, wrecks: Sequence[Wreck]) -> tuple[float, bool]:
    """From when on nobody may be paged any more, and whether that lay in a spool: what is answered 202 counts."""
    said = ((fire.acknowledged_at, fire.acknowledgement_spooled), (fire.cleared_at, fire.clear_spooled))
    known = [(_known(at, wrecks) if spooled else at, spooled) for at, spooled in said if at]
    return min(known, default=(float("inf"), False))


def _known(spooled_at: float, wrecks: Iterable[Wreck]) -> float:
    """Where the gateway was killed that had it in its spool, nobody could know of it before that one was back."""
    return max([spooled_at, *(one.ended for one in wrecks if one.kills and _may_be_kept(spooled_at, one))])


def _handing_over(when: float, over: float, wrecks: Iterable[Wreck]) -> bool:
    """Whether a step fell due in the very moment in which gateways hand over what they took while Temporal was away.

    What fell due before that waits for them; ``workflows.incident`` says so.
    """
    return any(_may_be_kept(over, one) and one.freed - 0.5 <= when <= one.freed + HANDED_OVER for one in wrecks)


def _may_be_kept(over: float, one: Wreck) -> bool:
    """Whether what went to the spool then may have met this in there."""
    return one.began - HANDED_OVER <= over <= one.ended


def _due(view: Mapping[str, Any]) -> dict[str, list[float]]:
    """When each is to be paged, by the incident's own decision, from the moment on that it was made."""
    began = next(one["at"] for one in view["timeline"] if one["what"] == "classified")
    begin = datetime.fromisoformat(began).timestamp()
    due: dict[str, list[float]] = {name: [] for name in _NAMES.values()}
    for step in view["decision"]["steps"]:
        for target in step["notify"]:
            due[target["name"]].append(begin + step["after"])
    return due


def _disturbed(when: float, wrecks: Iterable[Wreck]) -> bool:
    return any(one.began - 1 <= when + AT_ONCE and when <= one.ended + RECOVERY for one in wrecks)


def _late(at: float, when: float, wrecks: Iterable[Wreck]) -> float:
    """Seconds after it was due, or after everything was mended that was broken then, one thing after another."""
    for one in sorted(wrecks, key=lambda wreck: wreck.began):
        if one.began - 1 <= when + RECOVERY and one.ended > when and one.began <= at:
            when = one.ended
    return max(at - when, 0.0)


def _compare_record(verdict: Verdict, ground: Field, fire: Fire, records: Sequence[Record]) -> None:
    """Everything that the incident says of itself, and every page that rang, is on record."""
    there = Counter((one.what, one.by, one.text[:500]) for one in records)
    said = Counter((one["what"], one["by"], one["text"]) for one in fire.view["timeline"])
    verdict.audit += [f"{_name(fire)}: {what} is not on record" for what in said - there]
    verdict.audit += [f"{_name(fire)}: {what} is on record, and never was" for what in there - said]
    told = Counter(one.data["destination"] for one in records if one.what == "notified")
    rang = Counter(_NAMES[one.body["routing_key"]] for one in ground.pager.rang(fire.incident))
    verdict.audit += [f"{_name(fire)}: a page to {name} is not on record" for name in rang - told]


def _key(message: Mapping[str, Any]) -> str:
    return str(message.get("metadata", {}).get("event_payload", {}).get("key", ""))


def _name(fire: Fire) -> str:
    return f"fire {fire.number} ({fire.fate}, {fire.incident or 'never taken'})"
