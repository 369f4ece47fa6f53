"""The activities that reach people: page, post, ticket, console, and the digests' own sending."""

from collections.abc import Callable, Mapping

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.contracts import TRIGGERED, Change, ChangeDelivery, Delivered, Delivery, DigestIssue, Link, Receipt
from activities.destinations import Destination
from activities.failures import permanent, temporary
from activities.record import Recorder
from activities.sorting import sorted_failures

UNKNOWN_FOR = 5  # attempts, a quarter of a minute
_log = structlog.get_logger()


class Deliverer:
    """Finds the destination by name and lets it deliver. One activity type for each kind of destination.

    The types are apart so that an incident reads like a story in the Temporal UI.
    """

    def __init__(
        self,
        destinations: Mapping[str, Destination],
        recorder: Recorder,
        page: Callable[[str], str] = lambda opening: "",
    ) -> None:
        """``page`` gives the address where a reader sees, and acknowledges, that opening of an incident."""
        self._destinations = destinations
        self._recorder = recorder
        self._page = page

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
        return await sorted_failures(destination, destination.send_digest(issue, activity.info().attempt))

    @activity.defn(name="hearers")
    async def hearers(self, change: Change) -> list[str]:
        """The destinations that are to be told of a change."""
        del change
        return sorted(name for name, one in self._destinations.items() if one.hears_changes)

    @activity.defn(name="tell_change")
    async def tell_change(self, delivery: ChangeDelivery) -> Receipt:
        destination = self._find(delivery.target)
        return await sorted_failures(destination, destination.tell_change(delivery.change))

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
        attempt = activity.info().attempt + delivery.again
        log = _log.bind(
            incident=delivery.brief.incident,
            destination=delivery.target.name,
            verb=delivery.verb,
            key=delivery.key,
            attempt=attempt,
        )
        try:
            if delivery.target.kind == "page" and delivery.verb in {"note", "change"}:
                raise permanent("a pager is told no notes: it would page somebody for them")
            destination = self._find(delivery.target.name)
            sending = destination.deliver(self._answerable(delivery, destination), attempt)
            receipt = await sorted_failures(destination, sending)
        except ApplicationError as error:
            log.warning("not delivered", error=error.message, permanent=error.non_retryable)
            raise
        log.info("delivered", receipt=receipt.id)
        return receipt

    def _answerable(self, delivery: Delivery, destination: Destination) -> Delivery:
        """With a link to the incident's page: to acknowledge by, where the message has no button of its own."""
        brief, url = delivery.brief, self._page(delivery.opening)
        if not url:
            return delivery
        if brief.state == TRIGGERED and not destination.has_buttons:
            links = (Link(text="Acknowledge", url=url), *brief.links)
        else:
            links = (*brief.links, Link(text="Incident", url=url))
        return delivery.model_copy(update={"brief": brief.model_copy(update={"page": url, "links": links})})

    def _find(self, name: str) -> Destination:
        destination = self._destinations.get(name)
        if destination is None:
            fault = f"the policy in force has no destination named {name}; it had when this was decided"
            # Where a gateway or another worker took a new policy into force a moment sooner, ours follows.
            raise temporary(fault) if activity.info().attempt < UNKNOWN_FOR else permanent(fault)
        return destination
