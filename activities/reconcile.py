"""The activities ``scan_monitors`` and ``repair``: find missed webhooks by polling Arize.

Arize may give up a delivery, or never make it, and it is not documented whether a monitor that clears sends a webhook.
So monitors that are triggered without an incident are opened, and incidents whose monitor has cleared are cleared.
"""

import asyncio
import hashlib
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from temporalio import activity
from temporalio.service import RPCError

from activities.contracts import Discrepancy, Repair, RepairRequest, Scan, ScanRequest
from activities.errors import integration_errors
from alerts import Alert, AlertError, TocsinError, described, incident_id, normalise
from alerts.bounded import cut_map, json_size
from incident.limits import MESSAGE_BYTES
from integrations.arize.client import ArizeApi, Monitor
from integrations.arize.describer import ArizeDescriber, evaluated_at
from integrations.arize.description_cache import DescriptionCache
from integrations.arize.notifications import notifies_tocsin
from integrations.base.errors import IntegrationError, TemporaryError

RECENT = timedelta(hours=1)
"""An incident that a person closed this recently is not opened again."""
MAX_SINGLE_READS = 50
"""Up to this many monitors are read by their ids; more, by listing all cleared monitors."""
MAX_REPAIRS = 500
"""Discrepancies repaired by one execution; the next execution finds the rest."""
MAX_FAILURES = 4
"""Temporary failures in a row after which the other monitors are not tried any more: then it is not one monitor's."""
MAX_WAIT = 5.0  # seconds until a monitor is read, while Arize is left alone after the failure of another one

_log = structlog.get_logger()


@dataclass
class _Failures:
    """The monitors that failed, by id, and why. No failure of one concerns the others."""

    by_monitor: dict[str, str] = field(default_factory=dict[str, str])
    first: Exception | None = None
    _in_a_row: int = 0

    @property
    def too_many(self) -> bool:
        return self._in_a_row >= MAX_FAILURES

    @contextmanager
    def of(self, monitor_id: str) -> Generator[None]:
        """Keep a failure inside."""
        try:
            yield
        except (TocsinError, RPCError) as error:
            self._in_a_row += not (isinstance(error, IntegrationError) and error.permanent)
            self.first = self.first or error
            self.by_monitor[monitor_id] = str(error)
            _log.warning("monitor_not_compared", monitor=monitor_id, error=str(error))
        else:
            self._in_a_row = 0


@dataclass(frozen=True)
class KnownIncident:
    """An incident, open or closed, and one of its monitors. ``identity`` is that of the monitor's alerts."""

    incident: str
    run: str
    monitor_id: str
    identity: tuple[str, ...]
    opened_at: datetime
    closed_at: datetime | None = None
    may_be_over: bool = False
    """It may be open only because a person must close it, because other problems of it are triggered, or because its
    last updates cannot be sent."""
    problem: str = ""
    """The monitor's problem in it."""

    def is_before(self, evaluated: datetime | None) -> bool:
        """Whether it was opened before its monitor was evaluated; also if that time is not known."""
        return evaluated is None or evaluated > self.opened_at


class IncidentDirectory(Protocol):
    """The incidents of the Temporal namespace."""

    async def known(self, since: datetime) -> list[KnownIncident]:
        """The open incidents and those closed since; only incidents that know their monitor's id."""
        ...

    async def last(self, incident: str) -> KnownIncident | None:
        """The latest run of an incident; None when Temporal has deleted it."""
        ...

    async def closed_by(self, known: KnownIncident, /) -> str:
        """Who closed it: ``arize`` or a person."""
        ...

    async def is_cleared(self, known: KnownIncident, /) -> bool:
        """Whether an open incident knows that this monitor cleared, or is over."""
        ...

    async def deliver(self, known: KnownIncident, alert: Alert) -> None:
        """Add an alert of this monitor to that incident, durably."""
        ...

    async def open(self, incident: str, alert: Alert) -> str:
        """Open an incident durably: the one that the policy names, or else that one. Returns its id."""
        ...


class Reconciler:
    """Compares Arize's monitors with the incidents."""

    def __init__(
        self,
        arize: ArizeApi,
        incidents: IncidentDirectory,
        describer: ArizeDescriber,
        descriptions: DescriptionCache,
        report: Callable[[Mapping[str, str]], None],
    ) -> None:
        """
        Args:
            arize: reads the monitors.
            incidents: the incidents to compare them with.
            describer: describes the monitors of incidents that are opened.
            descriptions: of monitors.
            report: called after every scan with the monitors that could not be compared, and why.
        """
        self._arize, self._incidents, self._report = arize, incidents, report
        self._describer, self._descriptions = describer, descriptions

    @activity.defn(name="scan_monitors")
    async def scan_monitors(self, request: ScanRequest) -> Scan:
        """Find discrepancies. Nothing is repaired yet: a webhook may be on its way."""
        with integration_errors():
            scan = await self._scan(request)
        _count_failures(scan.failed)
        return scan

    @activity.defn(name="repair")
    async def repair(self, request: RepairRequest) -> Repair:
        """Open and clear incidents for discrepancies that still exist. Idempotent by monitor and evaluation time."""
        with integration_errors():
            repair = await self._repair(request)
        counter = activity.metric_meter().create_counter(
            "tocsin_reconciled_total", "Missed webhooks that were repaired, by status."
        )
        counter.add(repair.opened, {"status": "triggered"})
        counter.add(repair.cleared, {"status": "cleared"})
        _count_failures(repair.failed)
        return repair

    async def _scan(self, request: ScanRequest) -> Scan:
        known = _by_monitor(await self._incidents.known(datetime.now(UTC) - RECENT))
        triggered = {str(one.get("id")): one async for one in self._arize.monitors("TRIGGERED")}
        found: list[Discrepancy] = []
        matched: dict[str, str] = {}
        failures = _Failures()
        for monitor_id, monitor in triggered.items():
            with failures.of(monitor_id):
                existing = await self._incident_of(monitor, known.get(monitor_id, []), request)
                if existing is not None:
                    matched[monitor_id] = existing.incident
                elif notifies_tocsin(monitor) or monitor_id in known:
                    found.append(Discrepancy(monitor_id=monitor_id))
        open_incidents = {
            monitor_id: still_open
            for monitor_id, incidents in known.items()
            if monitor_id not in triggered and (still_open := _open(incidents))
        }
        found += await self._missed_clears(open_incidents, failures)
        self._report(failures.by_monitor)
        return Scan(
            found=bounded_discrepancies(found),
            matched=bounded_matches(matched),
            was_clear=bounded_matches(_was_clear(known, triggered, request.was_clear)),
            failed=len(failures.by_monitor),
        )

    async def _missed_clears(
        self, open_incidents: Mapping[str, list[KnownIncident]], failures: _Failures
    ) -> list[Discrepancy]:
        """The open incidents whose monitors were evaluated as cleared after the incident was opened."""
        found: list[Discrepancy] = []
        for monitor_id, monitor in (await self._monitors(open_incidents, failures)).items():
            if str(monitor.get("status")).upper() != "CLEARED":
                continue
            with failures.of(monitor_id):
                at = evaluated_at(monitor)
                found += [
                    Discrepancy(monitor_id=monitor_id, incident=one.incident)
                    for one in open_incidents[monitor_id]
                    if one.is_before(at) and not await self._incidents.is_cleared(one)
                ]
        return found

    async def _repair(self, request: RepairRequest) -> Repair:
        known = _by_monitor(await self._incidents.known(datetime.now(UTC) - RECENT))
        opened = cleared = done = 0
        matched: dict[str, str] = {}
        failures = _Failures()
        for one in request.found:
            if failures.too_many:
                break
            with failures.of(one.monitor_id):
                monitor = await self._monitor(one.monitor_id)
                alert = await self._read(monitor) if monitor is not None else None
                done += 1
                if monitor is None or alert is None:
                    continue
                incidents = known.get(one.monitor_id, [])
                if one.incident:
                    cleared += await self._clear(one, alert, incidents)
                elif alert.status == "triggered":
                    existing = await self._incident_of(monitor, incidents, request)
                    matched[one.monitor_id] = existing.incident if existing else await self._open(alert, incidents)
                    opened += existing is None
        if failures.first is not None and not done:
            raise failures.first  # Temporal repeats it; otherwise the next run finds what is left
        return Repair(opened=opened, cleared=cleared, matched=bounded_matches(matched), failed=len(failures.by_monitor))

    async def _open(self, alert: Alert, incidents: list[KnownIncident]) -> str:
        last = _last(incidents)
        alert = _with_known_identity(alert, incidents)
        # An identity that is too large for the memo is missing there: the incident's own id stands for it.
        incident = incident_id(alert) if last is None or last.identity else last.incident
        incident = await self._incidents.open(incident, alert)
        _log.warning("missed_alert_opened", incident=incident, monitor=alert.monitor)
        return incident

    async def _clear(self, discrepancy: Discrepancy, alert: Alert, incidents: list[KnownIncident]) -> bool:
        incident = discrepancy.incident
        found = [one for one in _open(incidents) if one.incident == incident and one.is_before(alert.occurred_at)]
        left = [one for one in found if alert.status == "cleared" and not await self._incidents.is_cleared(one)]
        for one in left:
            await self._incidents.deliver(one, alert)
            _log.warning("missed_clear_applied", incident=incident, monitor=alert.monitor)
        return bool(left)

    async def _incident_of(
        self, monitor: Monitor, incidents: list[KnownIncident], request: ScanRequest | RepairRequest
    ) -> KnownIncident | None:
        """The incident that a triggered monitor belongs to; None when one must be opened."""
        if still_open := _open(incidents):
            return None if await self._fires_again(monitor, still_open[0]) else still_open[0]
        monitor_id = str(monitor.get("id"))
        last = _last(incidents)
        if last is None and monitor_id in request.matched:
            last = await self._incidents.last(request.matched[monitor_id])
        if last is None or last.closed_at is None:
            return last
        if request.was_clear.get(monitor_id) == last.run:
            return None
        if await self._incidents.closed_by(last) != "arize":
            return last  # a person closed it while the monitor was triggered: it stays closed until the monitor clears
        at = evaluated_at(monitor)
        return None if at is not None and at > last.closed_at else last

    async def _fires_again(self, monitor: Monitor, known: KnownIncident) -> bool:
        """Whether the monitor cleared, and is triggered again, while its incident is open for another reason."""
        if not known.may_be_over or evaluated_at(monitor) is None:
            return False
        return await self._incidents.is_cleared(known)

    async def _monitors(self, monitor_ids: Iterable[str], failures: _Failures) -> dict[str, Monitor]:
        """Those of these monitors that may have cleared, as far as they can be read."""
        wanted = list(monitor_ids)
        if len(wanted) > MAX_SINGLE_READS:
            listed = {str(one.get("id")): one async for one in self._arize.monitors("CLEARED")}
            return {monitor_id: listed[monitor_id] for monitor_id in wanted if monitor_id in listed}
        found: dict[str, Monitor] = {}
        for monitor_id in wanted:
            if failures.too_many:
                break
            with failures.of(monitor_id):
                monitor = await self._monitor(monitor_id)
                if monitor is not None:
                    found[monitor_id] = monitor
        return found

    async def _monitor(self, monitor_id: str) -> Monitor | None:
        """A monitor by its id, also if Arize is left alone for a moment because another one could not be read."""
        try:
            return await self._arize.monitor(monitor_id)
        except TemporaryError as error:
            if error.retry_after is None or error.retry_after > MAX_WAIT:
                raise
            await asyncio.sleep(error.retry_after)
        return await self._arize.monitor(monitor_id)

    async def _read(self, monitor: Monitor) -> Alert | None:
        """The monitor object as an alert, by the reader of webhooks, with its description."""
        evaluation = "|".join(str(monitor.get(part)) for part in ("id", "status", "evaluated_at"))
        try:
            alert = normalise(monitor, f"reconcile-{hashlib.sha256(evaluation.encode()).hexdigest()[:40]}")
        except AlertError as error:
            _log.error("monitor_unreadable", monitor=monitor.get("id"), reasons=error.reasons)
            return None
        known = self._descriptions.get(alert.monitor_id)
        try:
            found = await self._describer.describe(alert.monitor_id, known=known, listed=monitor)
        except IntegrationError as error:
            _log.warning("monitor_not_described", monitor=alert.monitor_id, error=error.message)
            found = None  # the incident's workers ask again
        if found is None:
            return alert
        self._descriptions.add([found])
        return described(alert, found, live=True)


def _last(incidents: list[KnownIncident]) -> KnownIncident | None:
    return max(incidents, key=lambda one: one.opened_at, default=None)


def _was_clear(
    known: Mapping[str, list[KnownIncident]], triggered: Iterable[str], before: Mapping[str, str]
) -> dict[str, str]:
    """The monitors that were clear after their last incident had closed: if one is triggered, that is another fire."""
    now, found = set(triggered), dict[str, str]()
    for monitor_id, incidents in known.items():
        last = _last(incidents)
        if last is None or _open(incidents):
            continue
        if monitor_id not in now or before.get(monitor_id) == last.run:
            found[monitor_id] = last.run
    return found


def bounded_discrepancies(found: list[Discrepancy]) -> tuple[Discrepancy, ...]:
    """Those that one repair gets; the next scan finds the rest."""
    kept: list[Discrepancy] = []
    room = MESSAGE_BYTES
    for one in found[:MAX_REPAIRS]:
        room -= json_size(one)
        if room < 0:
            break
        kept.append(one)
    return tuple(kept)


def bounded_matches(matched: Mapping[str, str]) -> dict[str, str]:
    """As many of the triggered monitors, with their incidents, as a workflow may hand on.

    For those that are left out, only incidents that are open or closed recently count: in doubt one is opened again.
    """
    return cut_map(matched, MESSAGE_BYTES)


def _count_failures(failed: int) -> None:
    counter = activity.metric_meter().create_counter(
        "tocsin_reconcile_failures_total", "Monitors that could not be compared with their incidents, or repaired."
    )
    counter.add(failed)


def _by_monitor(known: list[KnownIncident]) -> dict[str, list[KnownIncident]]:
    found: dict[str, list[KnownIncident]] = {}
    for one in known:
        found.setdefault(one.monitor_id, []).append(one)
    return found


def _open(incidents: list[KnownIncident]) -> list[KnownIncident]:
    return [one for one in incidents if one.closed_at is None]


def _with_known_identity(alert: Alert, incidents: list[KnownIncident]) -> Alert:
    """The alert with the identity that its monitor's alerts had: a webhook may name more than the monitor object."""
    last = max(incidents, key=lambda one: one.opened_at, default=None)
    if last is None or last.identity[:1] != alert.identity[:1]:  # an incident of 1.0 has an identity of another form
        return alert
    return alert.model_copy(update={"identity": last.identity})
