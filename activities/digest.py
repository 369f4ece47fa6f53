"""The activities of digests: ``digest`` gathers an incident, ``issue_digest`` sends what was gathered.

What is gathered lies in a ledger beside the audit log. An issue is claimed there before it is sent and marked after,
so whatever crashes, nothing is lost, and what is known to be out is not sent again. A crash in the instant between the
vendor's taking it and the mark repeats it under the same key: a mail's ``Message-ID``, a message's metadata.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim
from temporalio import activity

from activities.contracts import (
    Brief,
    Delivered,
    DigestDelivery,
    DigestIssue,
    DigestOutcome,
    DigestSending,
    ModelTrend,
    Noisy,
    Receipt,
    Trend,
)
from activities.destinations import Destination
from activities.failures import permanent
from activities.record import Recorder
from activities.sorting import sorted_failures
from audit import AuditLog, DigestLedger
from audit.digests import Entry
from audit.figures import KINDS, by_model, incident_figures
from policy import DestinationConfig, Policy

PERIODS = 8
"""So many periods are compared: this one, and those before it."""
NOISY = 5
_ENDS = ("resolved", "cleared")
_BURNS_AGAIN = ("reopened", "burning_again")
LONG = timedelta(days=6)
"""A digest of that long a period reports the trend, unless its destination says otherwise."""


class Digester:
    def __init__(
        self,
        policy: Callable[[], Policy],
        destinations: Mapping[str, Destination],
        log: AuditLog,
        recorder: Recorder,
        speed: float = 1.0,
        page: Callable[[str], str] = lambda opening: "",
    ) -> None:
        """``policy`` gives the one that is in force at the moment; ``page`` the address of an incident's page."""
        self._policy = policy
        self._destinations = destinations
        self._log = log
        self._ledger = DigestLedger(log.database)
        self._recorder = recorder
        self._speed = speed
        self._page = page

    @activity.defn(name="digest")
    async def digest(self, delivery: DigestDelivery) -> Delivered:
        """Put an incident into the next issue. Idempotent by the entry's key."""
        entry = delivery.entry
        if entry.target.name not in self._policy().destinations:
            raise permanent(f"the policy in force has no destination named {entry.target.name}")
        now = datetime.now(UTC)
        url = self._page(f"{delivery.record.incident}.{delivery.record.opening[:8]}")
        brief = entry.brief.model_copy(update={"page": url})
        kept = Entry(entry.key, brief.incident, now, brief.model_dump_json(), brief.drill)
        await asyncio.to_thread(self._ledger.add, entry.target.name, kept)
        name, kind = entry.target.name, entry.target.type
        receipt = Receipt(destination=name, type=kind, id=f"digest-{name}", at=now, key=entry.key)
        return Delivered(
            receipt=receipt, recorded=await self._recorder.by_the_way(delivery.record, delivery.told(receipt))
        )

    @activity.defn(name="issue_digest")
    async def issue_digest(self, sending: DigestSending) -> DigestOutcome:
        """Send what was gathered, once."""
        destination = self._destinations.get(sending.destination)
        config = self._policy().destinations.get(sending.destination)
        if destination is None or config is None:
            raise permanent(f"the policy in force has no destination named {sending.destination}")
        now = datetime.now(UTC)
        claimed = await asyncio.to_thread(self._ledger.claim, sending.destination, sending.key, now)
        if claimed.receipt:
            return DigestOutcome(entries=len(claimed.entries), receipt=Receipt.model_validate_json(claimed.receipt))
        issue = await asyncio.to_thread(self._issue, sending, config, claimed.entries, now)
        if not issue.briefs and issue.trend is None and config.when_empty == "skip":
            receipt = destination.receipt(sending.key, "nothing to send")
        else:
            receipt = await sorted_failures(destination, destination.send_digest(issue, activity.info().attempt))
        await asyncio.to_thread(self._ledger.sent, sending.key, receipt.model_dump_json(), receipt.at)
        return DigestOutcome(entries=len(claimed.entries), receipt=receipt)

    def _issue(
        self, sending: DigestSending, config: DestinationConfig, entries: tuple[Entry, ...], now: datetime
    ) -> DigestIssue:
        edges = periods(config.schedule, config.timezone, now, self._speed)
        briefs = self._as_they_are_now(entries)
        counts = self._ledger.counts(sending.destination, edges)
        monitors = Counter((brief.component, brief.model) for brief in briefs if not brief.drill)
        reports = config.trend if config.trend is not None else (edges[-1] - edges[-2]) * self._speed >= LONG
        return DigestIssue(
            key=sending.key,
            destination=sending.destination,
            briefs=briefs,
            since=min([edges[-2], *(entry.at for entry in entries)]),
            until=now,
            periods=tuple(_day(edge, config.timezone) for edge in edges[:-1]),
            counts=(*counts[:-1], sum(not brief.drill for brief in briefs)),
            noisy=tuple(
                Noisy(monitor=monitor, model=model, times=times)
                for (monitor, model), times in monitors.most_common(NOISY)
                if times > 1
            ),
            trend=self._trend(edges, config.timezone) if reports else None,
        )

    def _as_they_are_now(self, entries: tuple[Entry, ...]) -> tuple[Brief, ...]:
        """What was gathered at night may be well by the morning."""
        since = min((entry.at for entry in entries), default=None)
        turns = self._log.read(kinds=(*_ENDS, *_BURNS_AGAIN), since=since) if since else ()
        well: set[str] = set()
        for record in turns:
            opening = f"{record.incident}.{record.opening[:8]}"
            (well.add if record.what in _ENDS else well.discard)(opening)
        briefs = [(Brief.model_validate_json(entry.brief), entry.key.partition(":")[0]) for entry in entries]
        return tuple(
            brief.model_copy(update={"state": "Resolved"}) if opening in well else brief for brief, opening in briefs
        )

    def _trend(self, edges: list[datetime], timezone: str) -> Trend:
        policy = self._policy()
        figures = incident_figures(self._log.read(kinds=KINDS, since=edges[0], until=edges[-1]))
        spans = list(pairwise(edges))
        split = [[one for one in figures if begin <= one.at < end] for begin, end in spans]
        now, before = by_model(split[-1]), by_model(split[-2])
        models = [
            ModelTrend(
                model=name,
                team=policy.model(name).team,
                tiers=now[name].tiers if name in now else {},
                before=before[name].total if name in before else 0,
                answered_after=now[name].answered_after if name in now else None,
            )
            for name in {**now, **before}
        ]
        return Trend(
            models=tuple(sorted(models, key=lambda one: (-one.total, -one.before, one.model))),
            periods=tuple(_day(begin, timezone) for begin, _ in spans),
            tiers={
                tier: tuple(sum(one.tier == tier for one in period) for period in split)
                for tier in ("critical", "high", "low")
            },
        )


def periods(schedule: str, timezone: str, now: datetime, speed: float = 1.0) -> list[datetime]:
    """The times at which the last issues were due, and now as the last one: the edges of what is compared."""
    firings = CronSim(schedule, now.astimezone(ZoneInfo(timezone)), reverse=True)
    past = [next(firings).astimezone(UTC) for _ in range(PERIODS + 1)]
    # The newest firing is the one that asks now, give or take a minute; sent by hand, it is a period not yet over.
    edges = past[1:] if now - past[0] < timedelta(minutes=30) else past[:-1]
    return [*(now - (now - edge) / speed for edge in reversed(edges)), now]


def next_issue(schedule: str, timezone: str, now: datetime, speed: float = 1.0) -> datetime:
    """When the schedule fires next after ``now``; ``speed`` divides the wait."""
    due = next(CronSim(schedule, now.astimezone(ZoneInfo(timezone)))).astimezone(UTC)
    return due if speed == 1.0 else now + (due - now) / speed


def _day(at: datetime, timezone: str) -> str:
    return f"{at.astimezone(ZoneInfo(timezone)):%d %b}"
