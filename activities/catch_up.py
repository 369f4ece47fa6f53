"""What never arrived: monitors that burn while nothing is open, and incidents whose monitor is well again.

Arize is asked, not only listened to: a delivery that it gave up, or never made, would else be a fire that nobody hears
of. Whether a monitor that is cleared says so at all is not documented.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import structlog
from temporalio import activity

from activities.arize import ArizeApi, Monitor
from activities.contracts import Discrepancy, Mended, Mending, Survey, Surveyed
from alerts import Alert, AlertError, incident_id, normalise

RECENTLY = timedelta(hours=1)
"""A monitor whose incident a person closed so lately is not opened again, seen triggered before or not."""
ONE_BY_ONE = 50
"""So many monitors are asked for by their ids; more, by listing all that are cleared."""
AT_ONCE = 500
"""So many discrepancies are mended in one go; the rest, if there ever is one, in the next."""
_WEBHOOK_PATH = "/webhooks/arize"

_log = structlog.get_logger()


@dataclass(frozen=True)
class Known:
    """An incident, open or closed, and the monitor that it is about."""

    incident: str
    run: str
    monitor_id: str
    identity: tuple[str, ...]
    """Its alerts' identity: whatever is found out about the monitor has to join the same incident."""
    opened_at: datetime
    closed_at: datetime | None = None


class Incidents(Protocol):
    """The incidents that there are, as whoever runs the worker knows them."""

    async def known(self, since: datetime) -> list[Known]:
        """Those that are open, and those that were closed since; all that know their monitor's id."""
        ...

    async def last(self, incident: str) -> Known | None:
        """The latest with that id; None where it is forgotten."""
        ...

    async def closed_by(self, one: Known) -> str: ...

    async def is_cleared(self, incident: str) -> bool:
        """Whether an open incident knows already that its monitor is well, or is over by now."""
        ...

    async def take(self, incident: str, alert: Alert) -> None:
        """Have an alert join that incident, or open it, durably."""
        ...


class CatchUp:
    def __init__(self, arize: ArizeApi, incidents: Incidents) -> None:
        self._arize, self._incidents = arize, incidents

    @activity.defn(name="survey_monitors")
    async def survey_monitors(self, survey: Survey) -> Surveyed:
        """Compare what Arize says with what is open. Nothing is done about it yet: a delivery may be on its way."""
        known = _by_monitor(await self._incidents.known(datetime.now(UTC) - RECENTLY))
        triggered = {str(one.get("id")): one async for one in self._arize.monitors("TRIGGERED")}
        found: list[Discrepancy] = []
        handled: dict[str, str] = {}
        for monitor_id, monitor in triggered.items():
            there = await self._there(monitor_id, monitor, known, survey.handled)
            if there is not None:
                handled[monitor_id] = there.incident
            elif _tells_us(monitor) or monitor_id in known:
                found.append(Discrepancy(monitor_id=monitor_id))
        burning = {key: open_ for key, ones in known.items() if key not in triggered and (open_ := _open(ones))}
        for monitor_id in await self._cleared(burning):
            found += [
                Discrepancy(monitor_id=monitor_id, incident=one.incident)
                for one in burning[monitor_id]
                if not await self._incidents.is_cleared(one.incident)
            ]
        return Surveyed(found=tuple(found[:AT_ONCE]), handled=handled)

    @activity.defn(name="mend")
    async def mend(self, mending: Mending) -> Mended:
        """Open and clear what still has to be, as Arize sees it now. Idempotent by what was evaluated when."""
        known = _by_monitor(await self._incidents.known(datetime.now(UTC) - RECENTLY))
        opened = cleared = 0
        handled: dict[str, str] = {}
        for one in mending.found:
            monitor = await self._arize.monitor(one.monitor_id)
            alert = await self._read(monitor) if monitor is not None else None
            if monitor is None or alert is None:
                continue
            if one.incident:
                cleared += await self._clear(one, alert, known)
            elif alert.status == "triggered":
                there = await self._there(one.monitor_id, monitor, known, mending.handled)
                handled[one.monitor_id] = there.incident if there else await self._open(alert, known)
                opened += there is None
        counter = activity.metric_meter().create_counter("tocsin_catch_up", "What never arrived, by its status")
        counter.add(opened, {"status": "triggered"})
        counter.add(cleared, {"status": "cleared"})
        return Mended(opened=opened, cleared=cleared, handled=handled)

    async def _open(self, alert: Alert, known: Mapping[str, list[Known]]) -> str:
        alert = _as_known(alert, known.get(alert.monitor_id, []))
        incident = incident_id(alert)
        await self._incidents.take(incident, alert)
        _log.warning("a fire that nobody told of", incident=incident, monitor=alert.monitor)
        return incident

    async def _clear(self, one: Discrepancy, alert: Alert, known: Mapping[str, list[Known]]) -> bool:
        is_open = any(it.incident == one.incident for it in _open(known.get(one.monitor_id, [])))
        if alert.status != "cleared" or not is_open or await self._incidents.is_cleared(one.incident):
            return False
        await self._incidents.take(one.incident, alert)
        _log.warning("nobody told that it is well again", incident=one.incident, monitor=alert.monitor)
        return True

    async def _there(
        self, monitor_id: str, monitor: Monitor, known: Mapping[str, list[Known]], handled: Mapping[str, str]
    ) -> Known | None:
        """The incident that this monitor's being triggered belongs to; None where there is none, and has to be."""
        ones = known.get(monitor_id, [])
        if open_ := _open(ones):
            return open_[0]
        last = max(ones, key=lambda one: one.opened_at, default=None)
        if last is None and monitor_id in handled:
            last = await self._incidents.last(handled[monitor_id])
        if last is None or last.closed_at is None:
            return last
        if await self._incidents.closed_by(last) != "arize":
            return last  # a person closed it, knowing that it burns; for as long as it goes on burning it stays so
        evaluated = _evaluated(monitor)
        return None if evaluated is not None and evaluated > last.closed_at else last

    async def _cleared(self, burning: Mapping[str, list[Known]]) -> list[str]:
        """The ids of those that are cleared, evaluated after their incident was opened."""
        if len(burning) > ONE_BY_ONE:
            well = {str(one.get("id")): one async for one in self._arize.monitors("CLEARED")}
        else:
            asked = {monitor_id: await self._arize.monitor(monitor_id) for monitor_id in burning}
            well = {key: one for key, one in asked.items() if one is not None}
        return [
            monitor_id
            for monitor_id, ones in burning.items()
            if (monitor := well.get(monitor_id)) is not None
            and str(monitor.get("status")).upper() == "CLEARED"
            and ((at := _evaluated(monitor)) is None or at > min(one.opened_at for one in ones))
        ]

    async def _read(self, monitor: Monitor) -> Alert | None:
        """The monitor object as an alert, by the reader that reads deliveries."""
        body: dict[str, Any] = {
            **monitor,
            "project_name": await self._arize.project(str(monitor.get("project_id") or "")),
        }
        evaluated = "|".join(str(monitor.get(part)) for part in ("id", "status", "evaluated_at"))
        try:
            return normalise(body, f"catch-up-{hashlib.sha256(evaluated.encode()).hexdigest()[:40]}")
        except AlertError as error:
            _log.error("a monitor cannot be read", monitor=monitor.get("id"), reasons=error.reasons)
            return None


def _by_monitor(known: list[Known]) -> dict[str, list[Known]]:
    found: dict[str, list[Known]] = {}
    for one in known:
        found.setdefault(one.monitor_id, []).append(one)
    return found


def _open(ones: list[Known]) -> list[Known]:
    return [one for one in ones if one.closed_at is None]


def _as_known(alert: Alert, ones: list[Known]) -> Alert:
    """With the identity that its monitor's alerts had before: a delivery may name more than the monitor does."""
    last = max(ones, key=lambda one: one.opened_at, default=None)
    return alert if last is None or not last.identity else alert.model_copy(update={"identity": last.identity})


def _evaluated(monitor: Monitor) -> datetime | None:
    try:
        return normalise({"name": "m", "evaluated_at": monitor.get("evaluated_at")}).occurred_at
    except AlertError:
        return None


def _tells_us(monitor: Monitor) -> bool:
    """Whether its owners want Tocsin told: notifications are on, and one of them goes to a webhook of ours."""
    if monitor.get("notifications_enabled") is False:
        return False
    ways = monitor.get("notification_configs")
    if not isinstance(ways, list):
        return True
    webhooks = [
        cast("Mapping[str, Any]", way)
        for way in cast("list[Any]", ways)
        if isinstance(way, Mapping) and str(cast("Mapping[str, Any]", way).get("type")).upper() == "WEBHOOK"
    ]
    return any(not (url := str(way.get("url") or "")) or urlsplit(url).path.endswith(_WEBHOOK_PATH) for way in webhooks)
