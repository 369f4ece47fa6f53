"""The activities of digests: ``add_to_digest`` gathers an incident, ``send_digest`` sends what was gathered.

Gathered incidents are kept in a ledger beside the audit log. A digest claims them before it is sent and marks them as
sent after, so a crash loses nothing and a digest that is marked is not sent again. A crash between the vendor's
acceptance and the mark sends it again under the same key: an e-mail's ``Message-ID``, a message's metadata.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.audit import AuditRecorder
from activities.contracts import DigestRequest, NotificationResult, SendDigestRequest, SendDigestResult
from activities.errors import UnknownDestinationError, integration_errors, to_application_error
from audit import AuditLog, DigestLedger
from audit.digests import DigestItem
from audit.figures import EVENTS, by_model, incident_figures
from incident.audit_events import notification_event
from incident.dedup_key import incident_dedup_key, is_run, parse_dedup_key
from incident.digest import Digest, ModelTrend, NoisyMonitor, Trend
from incident.message import MessageContent
from incident.receipt import Receipt
from integrations.base.destination import Destination
from integrations.base.errors import PartialDeliveryError, normalize
from integrations.base.threads import OwnThreads
from policy import DestinationConfig, Policy
from policy.decision import TIERS
from policy.digest_times import DigestTimes

PERIODS = 8
"""How many periods a digest compares: the current one and those before it."""
NOISY_MONITORS = 5
TREND_FROM = timedelta(days=6)
"""Digests with at least this period include the trend, unless their destination says otherwise."""
_THREADS = 8
"""Of the database: while it is locked, no page waits for a thread."""
_RESOLVING_EVENTS = ("resolved", "cleared")
_REFIRING_EVENTS = ("reopened", "refired")


class DigestSender:
    """Gathers incidents for digests and sends them."""

    def __init__(
        self,
        policy: Callable[[], Policy],
        destinations: Mapping[str, Destination],
        log: AuditLog,
        recorder: AuditRecorder,
        *,
        speed: float = 1.0,
        incident_url: Callable[[str], str] = lambda incident_key: "",
    ) -> None:
        """``policy`` returns the policy in force; ``incident_url`` the URL of an incident's page, by its dedup key."""
        self._policy = policy
        self._destinations = destinations
        self._log = log
        self._ledger = DigestLedger(log.database)
        self._threads = OwnThreads("digests", _THREADS)
        self._recorder = recorder
        self._speed = speed
        self._incident_url = incident_url

    @activity.defn(name="add_to_digest")
    async def add_to_digest(self, request: DigestRequest) -> NotificationResult:
        """Add an incident to the destination's next digest. Idempotent by the request's key."""
        target, audit = request.target, request.audit
        if target.name not in self._policy().destinations:
            raise _unknown_destination(target.name)
        now = datetime.now(UTC)
        url = self._incident_url(incident_dedup_key(audit.incident, audit.first_run_id))
        content = request.content.model_copy(update={"incident_url": url})
        item = DigestItem(request.key, content.incident, now, content.model_dump_json(), content.drill)
        await self._threads.run(self._ledger.add, target.name, item)
        receipt = Receipt(
            destination=target.name, type=target.type, id=f"digest-{target.name}", at=now, key=request.key
        )
        event = notification_event(request.key, "notify", target, receipt)
        written = await self._recorder.record_best_effort(audit, event)
        return NotificationResult(receipt=receipt, audit_written=written)

    @activity.defn(name="send_digest")
    async def send_digest(self, request: SendDigestRequest) -> SendDigestResult:
        """Send the gathered incidents, once."""
        destination = self._destinations.get(request.destination)
        config = self._policy().destinations.get(request.destination)
        if destination is None or config is None:
            raise _unknown_destination(request.destination)
        now = datetime.now(UTC)
        claimed = await self._threads.run(self._ledger.claim, request.destination, request.key, now)
        if claimed.receipt:
            receipt = Receipt.model_validate_json(claimed.receipt)
            return SendDigestResult(incidents=len(claimed.items), receipt=receipt)
        digest = await self._threads.run(self._digest, request, config, claimed.items, now)
        if not digest.contents and digest.trend is None and config.when_empty == "skip":
            receipt = destination.receipt(request.key, "empty digest, not sent")
        else:
            with integration_errors():
                receipt = await self._send(destination, digest)
        await self._mark_sent(request.key, receipt)
        return SendDigestResult(incidents=len(claimed.items), receipt=receipt)

    async def _send(self, destination: Destination, digest: Digest) -> Receipt:
        """Raises IntegrationError; a digest that some recipients have is not sent to them again."""
        try:
            return await normalize(destination, destination.send_digest(digest, activity.info().attempt))
        except PartialDeliveryError as error:
            await self._mark_sent(digest.key, error.receipt)
            raise

    async def _mark_sent(self, key: str, receipt: Receipt) -> None:
        await self._threads.run(self._ledger.mark_sent, key, receipt.model_dump_json(), receipt.at)

    def _digest(
        self, request: SendDigestRequest, config: DestinationConfig, items: tuple[DigestItem, ...], now: datetime
    ) -> Digest:
        edges = period_edges(config.schedule, config.timezone, now, self._speed)
        contents = self._with_current_states(items)
        counts = self._ledger.counts(request.destination, edges)
        monitors = Counter((content.component, content.model) for content in contents if not content.drill)
        period = (edges[-1] - edges[-2]) * self._speed
        with_trend = config.trend if config.trend is not None else period >= TREND_FROM
        return Digest(
            key=request.key,
            destination=request.destination,
            timezone=config.timezone,
            contents=contents,
            since=min([edges[-2], *(item.at for item in items)]),
            until=now,
            periods=tuple(_day(edge, config.timezone) for edge in edges[:-1]),
            counts=(*counts[:-1], sum(not content.drill for content in contents)),
            noisy=tuple(
                NoisyMonitor(monitor=monitor, model=model, incidents=count)
                for (monitor, model), count in monitors.most_common(NOISY_MONITORS)
                if count > 1
            ),
            trend=self._trend(edges, config.timezone) if with_trend else None,
        )

    def _with_current_states(self, items: tuple[DigestItem, ...]) -> tuple[MessageContent, ...]:
        """An incident that was gathered at night may be resolved in the morning."""
        since = min((item.at for item in items), default=None)
        events = (*_RESOLVING_EVENTS, *_REFIRING_EVENTS)
        resolved: dict[str, set[str]] = {}
        for record in self._log.read(events=events, since=since) if since else ():
            runs = resolved.setdefault(record.incident, set())
            (runs.add if record.event in _RESOLVING_EVENTS else runs.discard)(record.first_run_id)
        contents = [(MessageContent.model_validate_json(item.content), item.key.partition(":")[0]) for item in items]
        return tuple(
            content.model_copy(update={"state": "Resolved"}) if _is_of(resolved, key) else content
            for content, key in contents
        )

    def _trend(self, edges: list[datetime], timezone: str) -> Trend:
        policy = self._policy()
        figures = incident_figures(self._log.read(events=EVENTS, since=edges[0], until=edges[-1]))
        spans = list(pairwise(edges))
        by_period = [[one for one in figures if start <= one.at < end] for start, end in spans]
        current, previous = by_model(by_period[-1]), by_model(by_period[-2])
        models = [
            ModelTrend(
                model=name,
                team=policy.model(name).team,
                tiers=current[name].tiers if name in current else {},
                previous_total=previous[name].total if name in previous else 0,
                time_to_acknowledge=current[name].time_to_acknowledge if name in current else None,
            )
            for name in {**current, **previous}
        ]
        return Trend(
            models=tuple(sorted(models, key=lambda one: (-one.total, -one.previous_total, one.model))),
            periods=tuple(_day(start, timezone) for start, _ in spans),
            tiers={
                tier: tuple(sum(one.tier == tier for one in period) for period in by_period) for tier in reversed(TIERS)
            },
        )


def _unknown_destination(name: str) -> ApplicationError:
    return to_application_error(UnknownDestinationError(name, permanent=True))


def period_edges(schedule: str, timezone: str, now: datetime, speed: float = 1.0) -> list[datetime]:
    """The times at which the last digests were due, and ``now`` as the last one: the edges of the periods."""
    past = DigestTimes(schedule, timezone).before(now, PERIODS + 1)
    # The newest firing is the one that sends this digest, within minutes; a digest sent by hand has an open period.
    edges = past[:-1] if now - past[-1] < timedelta(minutes=30) else past[1:]
    return [*(now - (now - edge) / speed for edge in edges), now]


def _day(at: datetime, timezone: str) -> str:
    return f"{at.astimezone(ZoneInfo(timezone)):%d %b}"


def _is_of(runs: Mapping[str, set[str]], dedup_key: str) -> bool:
    """Whether a key is that of one of these incidents' runs."""
    incident, part = parse_dedup_key(dedup_key) or ("", "")
    return any(is_run(run, part) for run in runs.get(incident, ()))
