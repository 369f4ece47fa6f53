"""Takes in what nothing can read: the database or the spool holds it, and the incident of its shape reports it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from alerts import Shape, incident_id, shape_of_fault, unreadable_alert
from alerts.unreadable import OTHER_SHAPES
from gateway.ingest.ingester import AlertIngester, UnavailableError
from gateway.ingest.spool import Item
from gateway.quarantine.delivery import Delivery, Received
from gateway.quarantine.store import QuarantineStore, QuarantineUnavailableError, Stored

IDLE = timedelta(seconds=10)
"""Work that no request has touched for this long was interrupted, and is finished by ``QuarantineKeeper``."""

_log = structlog.get_logger()


@dataclass(frozen=True)
class Quarantine:
    """The gateway's quarantine."""

    store: QuarantineStore
    ingester: AlertIngester

    async def take_in(self, received: Received, shape: Shape, reasons: tuple[str, ...]) -> str:
        """Keep a delivery, and report it. Durable on return.

        Returns:
            The incident of the delivery's shape.

        Raises:
            UnavailableError: neither the database nor the spool accepted it. The sender must send it again.
        """
        delivery = received.delivery(shape, reasons)
        stored: Stored | None = None
        try:
            stored = await self.store.put(delivery)
        except QuarantineUnavailableError as error:
            _log.warning("quarantine_unavailable", error=str(error), delivery=delivery.id)
            await self.ingester.spool(
                Item(f"quarantine-{shape.digest}", "quarantine", delivery.model_dump_json().encode())
            )
        incident = await self.report(delivery, stored)
        _log.warning(
            "delivery_quarantined",
            incident=incident,
            delivery=delivery.id,
            shape=shape.label,
            event_id=delivery.event_id,
            reason=delivery.reason,
            spooled=stored is None,
        )
        return incident

    async def take_in_undeliverable(self, content: bytes, event_id: str, reason: str) -> None:
        """Keep and report what was accepted, and can reach no incident. Durable on return.

        Args:
            content: JSON, such as the alert.
            event_id: the sender's id of the event; may be empty.
            reason: why it cannot be delivered.

        Raises:
            UnavailableError: neither the database nor the spool accepted it.
        """
        received = Received(
            body=content,
            event_id=event_id,
            event="",
            content_type="application/json",
            received_at=datetime.now(UTC),
        )
        await self.take_in(received, shape_of_fault("accepted, and not deliverable", "application/json"), (reason,))

    async def report(self, delivery: Delivery, stored: Stored | None) -> str:
        """Add a delivery to the incident of its shape, once. If that fails now, ``QuarantineKeeper`` does it later.

        Args:
            delivery: the delivery.
            stored: its row; None if only the spool has it.

        Returns:
            The incident.
        """
        shape = shape_of(delivery, stored.shape if stored else delivery.shape)
        alert = unreadable_alert(
            shape, quarantine_id=delivery.id, reason=delivery.reason, received_at=delivery.received_at
        )
        incident = incident_id(alert)
        if stored is not None and stored.state == "replayed":
            return incident  # a redelivery of what has become an incident already
        try:
            await self.ingester.accept_alert(alert, alert.event_id, received_at=delivery.received_at)
            if stored is not None:
                await self.store.mark_notified(delivery.id)
        except (UnavailableError, QuarantineUnavailableError) as error:
            _log.warning("quarantine_report_deferred", incident=incident, delivery=delivery.id, error=str(error))
        return incident

    async def deliver_spooled(self, content: bytes) -> None:
        """Store what the spool held. Raises QuarantineUnavailableError."""
        delivery = Delivery.model_validate_json(content)
        await self.report(delivery, await self.store.put(delivery))


def shape_of(delivery: Delivery, digest: str) -> Shape:
    """The shape of a row: the delivery's own, or that of many."""
    return OTHER_SHAPES if digest == OTHER_SHAPES.digest else Shape(digest, delivery.label)


def shape_incident(delivery: Delivery, digest: str) -> str:
    """The incident that reports deliveries of a row's shape."""
    alert = unreadable_alert(
        shape_of(delivery, digest), quarantine_id=delivery.id, reason="", received_at=delivery.received_at
    )
    return incident_id(alert)
