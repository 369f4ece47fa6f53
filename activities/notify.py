"""The activities that notify people: ``page``, ``post``, ``ticket``, ``console``."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import structlog
from temporalio import activity

from activities.audit import AuditRecorder
from activities.contracts import NotificationResult
from activities.errors import UnknownDestinationError, to_application_error
from activities.metrics import failure_reason, measured
from incident.message import TRIGGERED, Link
from incident.notification import Notification, budget_key
from incident.receipt import Receipt
from incident.text import counted
from integrations.base.destination import Destination
from integrations.base.errors import IntegrationError, PermanentError, normalize
from integrations.suppression.finder import SuppressionFinder
from policy import format_duration

UNKNOWN_DESTINATION_ATTEMPTS = 5
"""Attempts, over about 15 s, before an unknown destination is permanent: this worker may be about to load the policy
that another worker has loaded already."""

_log = structlog.get_logger()


async def never_indexed() -> bool:
    """Nothing is known of the namespace's search attributes."""
    return False


class Notifier:
    """Finds the destination by name and sends the notification.

    One activity type for each kind of destination, so that the Temporal UI shows what happened.
    """

    def __init__(
        self,
        destinations: Mapping[str, Destination],
        recorder: AuditRecorder,
        incident_url: Callable[[str], str] = lambda incident_key: "",
        indexed: Callable[[], Awaitable[bool]] = never_indexed,
        suppressions: SuppressionFinder | None = None,
    ) -> None:
        """
        Args:
            destinations: by name.
            recorder: writes the audit events.
            incident_url: returns the address of an incident's page, by the incident's dedup key.
            indexed: whether the namespace has the search attribute of vendors' ids.
            suppressions: counts the pages of each budget; without it, budgets have no end.
        """
        self._destinations = destinations
        self._recorder = recorder
        self._incident_url = incident_url
        self._indexed, self._suppressions = indexed, suppressions

    @activity.defn(name="page")
    async def page(self, notification: Notification) -> NotificationResult:
        carrier = await self._claim(notification)
        if carrier and carrier != notification.content.incident:
            written = await self._recorder.record_best_effort(notification.audit)
            return NotificationResult(receipt=None, audit_written=written, over_budget=carrier)
        return await self._notify(_with_budget_note(notification) if carrier else notification)

    @activity.defn(name="post")
    async def post(self, notification: Notification) -> NotificationResult:
        return await self._notify(notification)

    @activity.defn(name="ticket")
    async def ticket(self, notification: Notification) -> NotificationResult:
        return await self._notify(notification)

    @activity.defn(name="console")
    async def console(self, notification: Notification) -> NotificationResult:
        return await self._notify(notification)

    async def _claim(self, notification: Notification) -> str:
        """The incident that lists what goes beyond the page budget; empty if there is room."""
        budget = notification.budget
        if budget is None or self._suppressions is None:
            return ""
        incident = notification.content.incident
        return await self._suppressions.claim(
            budget, budget_key(notification.key, notification.target), incident, datetime.now(UTC)
        )

    async def _notify(self, notification: Notification) -> NotificationResult:
        """Sends first and writes the audit log after, so that a slow log delays no page."""
        try:
            receipt = await self._send(notification)
        except IntegrationError as error:
            await self._recorder.record_best_effort(notification.audit)
            raise to_application_error(error) from None
        event = notification.sent_event(receipt)
        written = await self._recorder.record_best_effort(notification.audit, event)
        indexed = notification.verb == "notify" and await self._indexed()
        return NotificationResult(receipt=receipt, audit_written=written, indexed=indexed)

    async def _send(self, notification: Notification) -> Receipt:
        attempt = activity.info().attempt + notification.retry_after_giveup
        log = _log.bind(
            incident=notification.content.incident,
            destination=notification.target.name,
            verb=notification.verb,
            key=notification.key,
            attempt=attempt,
        )
        try:
            with measured(notification.target, notification.verb):
                if notification.target.kind == "page" and notification.verb in {"note", "refresh"}:
                    raise PermanentError("a pager receives no notes: a note would page somebody")
                destination = find_destination(self._destinations, notification.target.name)
                sending = destination.deliver(self._with_links(notification, destination), attempt)
                receipt = await normalize(destination, sending)
        except IntegrationError as error:
            log.warning("notification_failed", error=error.message, reason=failure_reason(error))
            raise
        log.info("notification_sent", receipt=receipt.id)
        return receipt

    def _with_links(self, notification: Notification, destination: Destination) -> Notification:
        """Add a link to the incident's page. It is to acknowledge there, unless the vendor's product can."""
        content, url = notification.content, self._incident_url(notification.incident_key)
        if not url:
            return notification
        if content.state == TRIGGERED and not destination.supports_ack:
            links = (Link(text="Acknowledge", url=url), *content.links)
        else:
            links = (*content.links, Link(text="Incident", url=url))
        return notification.model_copy(
            update={"content": content.model_copy(update={"incident_url": url, "links": links})}
        )


def _with_budget_note(notification: Notification) -> Notification:
    budget = notification.budget
    assert budget is not None
    pages = counted(budget.pages, "page")
    note = (
        f"The page budget of {budget.scope} is used up ({pages} within {format_duration(budget.within)}): "
        "until this incident is closed, further incidents page nobody and are listed here."
    )
    return notification.model_copy(update={"note": f"{notification.note} {note}".strip()})


def find_destination(destinations: Mapping[str, Destination], name: str) -> Destination:
    """Raises UnknownDestinationError: at first temporary, since this worker's policy may be an older one."""
    destination = destinations.get(name)
    if destination is None:
        raise UnknownDestinationError(name, permanent=activity.info().attempt >= UNKNOWN_DESTINATION_ATTEMPTS)
    return destination
