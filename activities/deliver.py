"""The activities that reach people: page, post, ticket, console, and the digests' own sending."""

from collections.abc import Callable, Mapping

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contracts import TRIGGERED, Delivered, Delivery, DigestIssue, Link, Receipt
from activities.destinations import Destination
from activities.failures import permanent, temporary
from activities.record import Recorder

_log = structlog.get_logger()


class Deliverer:
    """Finds the destination by name and lets it deliver. One activity type for each kind of destination.

    The types are apart so that an incident reads like a story in the Temporal UI.
    """

    def __init__(
        self,
        destinations: Mapping[str, Destination],
        recorder: Recorder,
        acknowledge: Callable[[str], str] = lambda opening: "",
    ) -> None:
        """``acknowledge`` gives the address by which a reader acknowledges that opening of an incident."""
        self._destinations = destinations
        self._recorder = recorder
        self._acknowledge = acknowledge

    @activity.defn(name="page")
    async def page(self, delivery: Delivery) -> Delivered:
        return await self._deliver(delivery)

    @activity.defn(name="post")
    async def post(self, delivery: Delivery) -> Delivered:
        return await self._deliver(delivery)

    @activity.defn(name="ticket")
    async def ticket(self, delivery: Delivery) -> Delivered:
        return await self._deliver(delivery)

    @activity.defn(name="console")
    async def console(self, delivery: Delivery) -> Delivered:
        return await self._deliver(delivery)

    @activity.defn(name="send_digest")
    async def send_digest(self, issue: DigestIssue) -> Receipt:
        destination = self._find(issue.destination)
        return await destination.send_digest(issue, activity.info().attempt)

    async def _deliver(self, delivery: Delivery) -> Delivered:
        """The message first, then the record: nobody is told later because the log is slow."""
        try:
            receipt = await self._send(delivery)
        except ApplicationError:
            await self._recorder.by_the_way(delivery.record)
            raise
        recorded = await self._recorder.by_the_way(delivery.record, delivery.told(receipt))
        return Delivered(receipt=receipt, recorded=recorded)

    async def _send(self, delivery: Delivery) -> Receipt:
        attempt = activity.info().attempt
        log = _log.bind(
            incident=delivery.brief.incident,
            destination=delivery.target.name,
            verb=delivery.verb,
            key=delivery.key,
            attempt=attempt,
        )
        try:
            destination = self._find(delivery.target.name)
            receipt = await destination.deliver(self._answerable(delivery, destination), attempt)
        except ApplicationError as error:
            log.warning("not delivered", error=error.message, permanent=error.non_retryable)
            raise
        except Exception as error:
            # A fault of ours or of a vendor's library: said without its text, which may hold a secret.
            log.exception("not delivered")
            raise temporary(f"{delivery.target.name}: unexpected {type(error).__name__}") from None
        log.info("delivered", receipt=receipt.id)
        return receipt

    def _answerable(self, delivery: Delivery, destination: Destination) -> Delivery:
        """With a link to acknowledge by, where the message is to be answered and has no button of its own."""
        brief = delivery.brief
        if destination.has_buttons or delivery.verb not in {"notify", "remind"} or brief.state != TRIGGERED:
            return delivery
        link = Link(text="Acknowledge", url=self._acknowledge(delivery.opening))
        if not link.url:
            return delivery
        return delivery.model_copy(update={"brief": brief.model_copy(update={"links": (link, *brief.links)})})

    def _find(self, name: str) -> Destination:
        destination = self._destinations.get(name)
        if destination is None:
            raise permanent(f"the policy in force has no destination named {name}; it had when this was decided")
        return destination
