"""The activities ``scan_monitors`` and ``repair``: find missed webhooks by polling Arize.

Arize may give up a delivery, or never make it, and it is not documented whether a monitor that clears sends a webhook.
So monitors that are triggered without an incident are opened, and incidents whose monitor has cleared are cleared.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import structlog
from temporalio import activity

from activities.contracts import Discrepancy, Repair, RepairRequest, Scan, ScanRequest
from activities.errors import integration_errors
from alerts import Alert, AlertError, incident_id, normalise
from integrations.arize.client import ArizeApi, Monitor

RECENT = timedelta(hours=1)
"""An incident that a person closed this recently is not opened again."""
MAX_SINGLE_READS = 50
"""Up to this many monitors are read by their ids; more, by listing all cleared monitors."""
MAX_REPAIRS = 500
"""Discrepancies repaired by one execution; the next execution finds the rest."""
_WEBHOOK_PATH = "/webhooks/arize"

_log = structlog.get_logger()


@dataclass(frozen=True)
class KnownIncident:
    """An incident, open or closed, and its monitor. ``identity`` is that of its alerts."""

    incident: str
    run: str
    monitor_id: str
    identity: tuple[str, ...]
    opened_at: datetime
    closed_at: datetime | None = None


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

    async def is_cleared(self, incident: str) -> bool:
        """Whether an open incident knows that its monitor cleared, or is over."""
        ...

    async def deliver(self, incident: str, alert: Alert) -> None:
        """Add an alert to that incident, or open it, durably."""
        ...


class Reconciler:
    """Compares Arize's monitors with the incidents."""

    def __init__(self, arize: ArizeApi, incidents: IncidentDirectory) -> None:
        self._arize, self._incidents = arize, incidents

    @activity.defn(name="scan_monitors")
    async def scan_monitors(self, request: ScanRequest) -> Scan:
        """Find discrepancies. Nothing is repaired yet: a webhook may be on its way."""
        with integration_errors():
            return await self._scan(request)

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
        return repair

    async def _scan(self, request: ScanRequest) -> Scan:
        known = _by_monitor(await self._incidents.known(datetime.now(UTC) - RECENT))
        triggered = {str(one.get("id")): one async for one in self._arize.monitors("TRIGGERED")}
        found: list[Discrepancy] = []
        matched: dict[str, str] = {}
        for monitor_id, monitor in triggered.items():
            existing = await self._incident_of(monitor, known.get(monitor_id, []), request.matched)
            if existing is not None:
                matched[monitor_id] = existing.incident
            elif _notifies_tocsin(monitor) or monitor_id in known:
                found.append(Discrepancy(monitor_id=monitor_id))
        open_incidents = {
            monitor_id: still_open
            for monitor_id, incidents in known.items()
            if monitor_id not in triggered and (still_open := _open(incidents))
        }
        for monitor_id in await self._cleared(open_incidents):
            found += [
                Discrepancy(monitor_id=monitor_id, incident=one.incident)
                for one in open_incidents[monitor_id]
                if not await self._incidents.is_cleared(one.incident)
            ]
        return Scan(found=tuple(found[:MAX_REPAIRS]), matched=matched)

    async def _repair(self, request: RepairRequest) -> Repair:
        known = _by_monitor(await self._incidents.known(datetime.now(UTC) - RECENT))
        opened = cleared = 0
        matched: dict[str, str] = {}
        for one in request.found:
            monitor = await self._arize.monitor(one.monitor_id)
            alert = await self._read(monitor) if monitor is not None else None
            if monitor is None or alert is None:
                continue
            incidents = known.get(one.monitor_id, [])
            if one.incident:
                cleared += await self._clear(one, alert, incidents)
            elif alert.status == "triggered":
                existing = await self._incident_of(monitor, incidents, request.matched)
                matched[one.monitor_id] = existing.incident if existing else await self._open(alert, incidents)
                opened += existing is None
        return Repair(opened=opened, cleared=cleared, matched=matched)

    async def _open(self, alert: Alert, incidents: list[KnownIncident]) -> str:
        alert = _with_known_identity(alert, incidents)
        incident = incident_id(alert)
        await self._incidents.deliver(incident, alert)
        _log.warning("missed_alert_opened", incident=incident, monitor=alert.monitor)
        return incident

    async def _clear(self, discrepancy: Discrepancy, alert: Alert, incidents: list[KnownIncident]) -> bool:
        incident = discrepancy.incident
        is_open = any(one.incident == incident for one in _open(incidents))
        if alert.status != "cleared" or not is_open or await self._incidents.is_cleared(incident):
            return False
        await self._incidents.deliver(incident, alert)
        _log.warning("missed_clear_applied", incident=incident, monitor=alert.monitor)
        return True

    async def _incident_of(
        self, monitor: Monitor, incidents: list[KnownIncident], matched: Mapping[str, str]
    ) -> KnownIncident | None:
        """The incident that a triggered monitor belongs to; None when one must be opened."""
        if still_open := _open(incidents):
            return still_open[0]
        monitor_id = str(monitor.get("id"))
        last = max(incidents, key=lambda one: one.opened_at, default=None)
        if last is None and monitor_id in matched:
            last = await self._incidents.last(matched[monitor_id])
        if last is None or last.closed_at is None:
            return last
        if await self._incidents.closed_by(last) != "arize":
            return last  # a person closed it while the monitor was triggered: it stays closed until the monitor clears
        evaluated_at = _evaluated_at(monitor)
        return None if evaluated_at is not None and evaluated_at > last.closed_at else last

    async def _cleared(self, open_incidents: Mapping[str, list[KnownIncident]]) -> list[str]:
        """The ids of the monitors that were evaluated as cleared after their incident was opened."""
        if len(open_incidents) > MAX_SINGLE_READS:
            monitors = {str(one.get("id")): one async for one in self._arize.monitors("CLEARED")}
        else:
            reads = {monitor_id: await self._arize.monitor(monitor_id) for monitor_id in open_incidents}
            monitors = {monitor_id: one for monitor_id, one in reads.items() if one is not None}
        return [
            monitor_id
            for monitor_id, incidents in open_incidents.items()
            if (monitor := monitors.get(monitor_id)) is not None
            and str(monitor.get("status")).upper() == "CLEARED"
            and ((at := _evaluated_at(monitor)) is None or at > min(one.opened_at for one in incidents))
        ]

    async def _read(self, monitor: Monitor) -> Alert | None:
        """The monitor object as an alert, by the reader of webhooks."""
        project = await self._arize.project(str(monitor.get("project_id") or ""))
        body: dict[str, Any] = {**monitor, "project_name": project}
        evaluation = "|".join(str(monitor.get(part)) for part in ("id", "status", "evaluated_at"))
        try:
            return normalise(body, f"reconcile-{hashlib.sha256(evaluation.encode()).hexdigest()[:40]}")
        except AlertError as error:
            _log.error("monitor_unreadable", monitor=monitor.get("id"), reasons=error.reasons)
            return None


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
    return alert if last is None or not last.identity else alert.model_copy(update={"identity": last.identity})


def _evaluated_at(monitor: Monitor) -> datetime | None:
    try:
        return normalise({"name": "m", "evaluated_at": monitor.get("evaluated_at")}).occurred_at
    except AlertError:
        return None


def _notifies_tocsin(monitor: Monitor) -> bool:
    """Whether the monitor's owners want Tocsin notified: notifications are on, and one goes to a webhook of Tocsin."""
    if monitor.get("notifications_enabled") is False:
        return False
    configs = monitor.get("notification_configs")
    if not isinstance(configs, list):
        return True
    webhooks = [
        cast("Mapping[str, Any]", config)
        for config in cast("list[Any]", configs)
        if isinstance(config, Mapping) and str(cast("Mapping[str, Any]", config).get("type")).upper() == "WEBHOOK"
    ]
    return any(not (url := str(one.get("url") or "")) or urlsplit(url).path.endswith(_WEBHOOK_PATH) for one in webhooks)
