"""The activity ``report_ended_incidents``: finds incidents that ended outside Tocsin, by Temporal's command line or UI.

A terminated workflow runs no code of its own any more, so nobody would be notified, and no record be written.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from temporalio import activity

from activities.audit import records_of
from activities.contracts import EndedReport
from activities.errors import integration_errors
from activities.notify import find_destination
from alerts import Alert
from audit import AuditLog
from incident.audit_events import AuditBatch, AuditEvent
from incident.dedup_key import incident_dedup_key
from incident.message import TRIGGERED, Fact, MessageContent
from incident.notification import Notification
from incident.view import IncidentView
from integrations.base.destination import Destination
from integrations.base.errors import IntegrationError, normalize
from policy import Decision, IncidentFacts, Policy, Target

SINCE = timedelta(days=3)
"""How old an end may be; a longer outage of all workers is for an operator."""
KEY = "ended-outside"
"""The audit event's key: it also says that people were notified."""
FALLBACK_ATTEMPT = 3
"""The attempt in which the fallback is notified of what its destination still does not accept."""
LATE = timedelta(minutes=2)

_log = structlog.get_logger()


@dataclass(frozen=True)
class EndedIncident:
    """An incident whose workflow ended and did not complete. ``view`` is its last state, if a worker can replay it."""

    incident: str
    run_id: str
    first_run_id: str
    how: str
    """Temporal's word for it: terminated, failed, canceled or timed out."""
    ended_at: datetime
    by: str
    reason: str
    view: IncidentView | None
    alert: Alert
    """The alert that the incident is about, as far as it is known without a view."""


class EndedDirectory(Protocol):
    """The incidents of the Temporal namespace."""

    async def ended(self, since: datetime, known: Callable[[str, str], bool]) -> list[EndedIncident]:
        """Those that ended since, and did not complete. ``known``: whether an incident's first run is recorded."""
        ...

    async def is_open(self, incident: str) -> bool:
        """Whether a later workflow of the same id runs."""
        ...

    async def deliver(self, incident: str, alert: Alert) -> None:
        """Add an alert to that incident, or open it, durably."""
        ...


class EndedIncidents:
    """Records them, notifies the people of their first step, and opens regulated ones again."""

    def __init__(
        self,
        directory: EndedDirectory,
        log: AuditLog,
        destinations: Mapping[str, Destination],
        policy: Callable[[], Policy],
    ) -> None:
        self._directory, self._log = directory, log
        self._destinations, self._policy = destinations, policy

    @activity.defn(name="report_ended_incidents")
    async def report(self) -> EndedReport:
        """Report every incident that ended outside since the last report. Idempotent by the incident's first run.

        Raises:
            ApplicationError: an incident could not be reported; all others are.
        """
        found = await self._directory.ended(datetime.now(UTC) - SINCE, self._is_recorded)
        reopened = 0
        failures: list[Exception] = []
        for one in found:
            try:
                reopened += await self._report(one)
            except Exception as error:  # noqa: BLE001  # whatever it is, it is raised once all others are reported
                failures.append(error)
        with integration_errors():
            if failures:
                raise min(failures, key=_is_permanent)  # Temporal retries what may still succeed
        return EndedReport(reported=len(found), reopened=reopened)

    def _is_recorded(self, incident: str, first_run_id: str) -> bool:
        return KEY in self._keys(incident, first_run_id)

    def _keys(self, incident: str, first_run_id: str) -> set[str]:
        return {record.key for record in self._log.read(incident, first_run_id)}

    async def _report(self, one: EndedIncident) -> bool:
        """Whether it was opened again. The record comes last: until then what failed is repeated."""
        view = one.view
        decision = (view and view.decision) or self._policy().decide(one.alert, one.ended_at, IncidentFacts())
        is_over = view is not None and view.state in {"resolved", "closed"}
        reopens = decision.regulated and not is_over
        refusals: dict[str, str] = {}
        if reopens:
            await self._directory.deliver(one.incident, _again(one))
        elif not is_over and not await self._directory.is_open(one.incident):
            refusals = await self._notify_all(one, decision)
        text = f"its workflow was {one.how} in Temporal" + (f": {one.reason}" if one.reason else "")
        text += "; opened again, since only a person with the role may close it" if reopens else ""
        text += "".join(f"; {name} could not be notified: {reason}" for name, reason in refusals.items())
        data = {"how": one.how, "reopened": reopens, "state": view.state if view else "", "not_notified": [*refusals]}
        record = AuditEvent(
            key=KEY, at=one.ended_at, event="ended_outside", by=one.by or "unknown", text=text[:2000], data=data
        )
        await self._append(one, record)
        _log.warning("incident_ended_outside", incident=one.incident, by=one.by, reopened=reopens)
        return reopens

    async def _notify_all(self, one: EndedIncident, decision: Decision) -> dict[str, str]:
        """Notify everybody who does not know yet, side by side; the fallback, too, if one of them cannot be reached.

        Returns:
            The destinations that never can be notified, by name, and why.

        Raises:
            IntegrationError: of a destination that may still be notified, or of one of all, if none was.
        """
        sent = await asyncio.to_thread(self._keys, one.incident, one.first_run_id)
        failures = await self._notify_each(one, decision, _targets(decision), sent)
        if any(error.permanent or activity.info().attempt >= FALLBACK_ATTEMPT for error in failures.values()):
            fallback = [target for target in decision.fallback if target not in _targets(decision)]
            failures |= await self._notify_each(one, decision, fallback, sent)
        for name, error in failures.items():
            _log.warning("ended_incident_not_notified", incident=one.incident, destination=name, error=error.message)
        temporary = [error for error in failures.values() if not error.permanent]
        if temporary or (failures and not sent & {_key(one, target) for target in _everybody(decision)}):
            raise (temporary or list(failures.values()))[0]
        return {name: error.message for name, error in failures.items()}

    async def _notify_each(
        self, one: EndedIncident, decision: Decision, targets: Iterable[Target], sent: set[str]
    ) -> dict[str, IntegrationError]:
        """Those that failed, by name. ``sent`` has the keys of what was sent before, and gets those of what is now."""

        async def notify(target: Target) -> IntegrationError | None:
            try:
                event = await self._notify(one, decision, target)
            except IntegrationError as error:
                return error
            sent.add(event.key)
            await self._append(one, event)
            return None

        waiting = [target for target in targets if _key(one, target) not in sent]
        errors = await asyncio.gather(*map(notify, waiting))
        return {target.name: error for target, error in zip(waiting, errors, strict=True) if error is not None}

    async def _notify(self, one: EndedIncident, decision: Decision, target: Target) -> AuditEvent:
        destination = find_destination(self._destinations, target.name)
        notification = _notification(one, decision, target)
        # An earlier run of the schedule may have reached the vendor, and not have recorded it.
        is_late = datetime.now(UTC) - one.ended_at > LATE
        sending = destination.deliver(notification, activity.info().attempt + is_late)
        return notification.sent_event(await normalize(destination, sending))

    async def _append(self, one: EndedIncident, event: AuditEvent) -> None:
        batch = AuditBatch(incident=one.incident, first_run_id=one.first_run_id, events=(event,))
        faults = await asyncio.to_thread(self._log.append, [records_of(batch)])
        if faults[0] is not None:
            raise faults[0]


def _is_permanent(error: Exception) -> bool:
    return isinstance(error, IntegrationError) and error.permanent


def _targets(decision: Decision) -> tuple[Target, ...]:
    """Who must know: the first step, or the destinations of the digest of a tier without steps."""
    return decision.steps[0].notify if decision.steps else decision.digest


def _everybody(decision: Decision) -> tuple[Target, ...]:
    return (*_targets(decision), *decision.fallback)


def _again(one: EndedIncident) -> Alert:
    """The alert that opens it again, also if its monitor has cleared since: so it has no time of its own."""
    alert = (one.view and one.view.alert) or one.alert
    return alert.model_copy(update={"status": "triggered", "event_id": f"reopened-{one.run_id}", "occurred_at": None})


def _key(one: EndedIncident, target: Target) -> str:
    return f"{incident_dedup_key(one.incident, one.first_run_id)}:{KEY}-{target.name}"


def _notification(one: EndedIncident, decision: Decision, target: Target) -> Notification:
    key = incident_dedup_key(one.incident, one.first_run_id)
    by = f" by {one.by}" if one.by else ""
    headline = (one.view and one.view.headline) or f"{decision.tier.upper()} {one.alert.model or one.alert.monitor}"
    return Notification(
        key=_key(one, target),
        dedup_key=f"{key}/{KEY}",
        verb="notify",
        target=target,
        content=MessageContent(
            headline=f"Ended in Temporal: {headline}",
            state=TRIGGERED,
            tier=decision.tier,
            incident=one.incident,
            model=one.alert.model,
            environment=one.alert.environment,
            team=decision.team,
            component=one.alert.monitor,
            since=one.ended_at,
            facts=(
                Fact(label="Ended", value=f"{one.ended_at:%Y-%m-%d %H:%M:%S} UTC, {one.how}{by}"),
                Fact(label="Reason", value=one.reason),
                Fact(label="Last state", value=one.view.state if one.view else "unknown"),
            ),
        ),
        note="Its workflow was ended outside Tocsin: nobody is notified any more. The monitor may still be triggered.",
        audit=AuditBatch(incident=one.incident, first_run_id=one.first_run_id),
    )
