"""Accepts alerts, responder actions and changes durably: Temporal has them, or else the spool.

Each incident has a queue, which keeps its alerts in order. While one request to Temporal is in flight, the alerts of
the same incident gather and go together in the next one, as many as one message may have: a storm of repeats costs few
signals, and another incident never waits behind it. If Temporal does not accept them they go to the spool, and so do
later ones of the same queue until all of it is delivered. What Temporal refuses for good goes to the quarantine.
"""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from temporalio.client import Client
from temporalio.service import RPCError

from alerts import Alert, TocsinError
from gateway.ingest.actions import IncidentClosedError, bounded_action, send_action
from gateway.ingest.changes import change_workflow, report_change
from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.earlier_ids import EarlierIds
from gateway.ingest.first_decision import Decide, defer_to_worker
from gateway.ingest.grouping import Grouping, Ungrouped
from gateway.ingest.log_fields import workflow_field
from gateway.ingest.queue_names import QueueNames
from gateway.ingest.spool import Item, Kind, Spool, SpoolError
from gateway.ingest.spool_drain import Deliver, SpoolDrain, TakeIn
from gateway.ingest.starter import MAX_GROUPS, RPC_TIMEOUT, IncidentStarter, Undeliverable
from gateway.ingest.stuck import StuckItems
from gateway.ingest.submission import AcceptedAlert, Submission, split_batch
from gateway.ingest.suppress import Suppress, suppress_nothing
from gateway.ingest.temporal_status import TemporalStatus
from gateway.request_id import bound_request_id
from gateway.temporal_errors import describe_error
from incident.change import Change
from incident.events import ResponderAction
from incident.limits import MESSAGE_BYTES
from incident.order import believable

BATCH_SIZE = 500  # alerts in one signal; repeats are grouped
TIMEOUT = RPC_TIMEOUT.total_seconds() + 1  # seconds for one request to Temporal, the client's own retries included
QUARANTINE_TIMEOUT = 5.0  # seconds
GATHER_INTERVAL = 0.01  # seconds in which the next alerts of a storm gather

_log = structlog.get_logger()


class UnavailableError(TocsinError):
    """Neither Temporal nor the spool accepted it. The sender must send it again."""

    code = "unavailable"


class ReplayedError(TocsinError):
    """The same signed bytes came before under another event id or event, and no open incident could take them."""

    code = "replayed_signature"


@dataclass
class _Queue:
    """The alerts of one incident that wait for Temporal."""

    waiting: list[Submission] = field(default_factory=list[Submission])
    runner: asyncio.Task[None] | None = None


class AlertIngester:
    """The gateway's way to Temporal."""

    def __init__(
        self,
        client: Client,
        task_queue: str,
        dedup_store: DedupStore,
        spool: Spool,
        decide: Decide = defer_to_worker,
        grouping: Grouping | None = None,
        suppress: Suppress = suppress_nothing,
    ) -> None:
        """
        Args:
            client: of Temporal; may be lazy.
            task_queue: of the workflows.
            dedup_store: the alerts that were accepted before.
            spool: holds what Temporal does not accept.
            decide: the policy's decision about the first alerts of an incident.
            grouping: which incident an alert belongs to; by default, each problem has its own.
            suppress: finds what suppresses the first alerts of an incident.
        """
        self._client, self._task_queue = client, task_queue
        self._earlier_ids = EarlierIds(client)
        grouping = grouping or Ungrouped()
        self._starter = IncidentStarter(
            client,
            task_queue,
            dedup_store,
            decide,
            earlier_ids=self._earlier_ids,
            grouping=grouping,
            suppress=suppress,
        )
        self._queue_names = QueueNames(dedup_store, grouping)
        self._spool = spool
        self._status = TemporalStatus()
        self._drain = SpoolDrain(client, task_queue, self._starter, spool, self._status)
        self._queues: dict[str, _Queue] = {}

    async def accept_alert(
        self,
        alert: Alert,
        event_id: str = "",
        signature_digest: str = "",
        *,
        resent: bool = False,
        received_at: datetime | None = None,
    ) -> AcceptedAlert:
        """Return as soon as Temporal, or the spool, has the alert durably.

        Args:
            alert: the alert.
            event_id: the sender's id of the event, if there is one.
            signature_digest: ``seen_events.signature_digest`` of the request, if it was signed.
            resent: an earlier attempt under the same event id may have reached Temporal, even before a restart.
            received_at: when a gateway received it, in UTC; by default now.

        Raises:
            UnavailableError: neither accepted it.
            ReplayedError: the same signed bytes came before under another event id.
        """
        received_at = received_at or datetime.now(UTC)
        submission = Submission(alert, event_id, signature_digest, resent=resent, received_at=received_at)
        async with self._queue_names.queue_of(submission) as incident:
            queue = self._queues.setdefault(incident, _Queue())
            queue.waiting.append(submission)
            if queue.runner is None:
                queue.runner = asyncio.create_task(self._run(incident, queue))
            accepted = await submission.done
        if accepted.replayed:
            raise ReplayedError("these signed bytes came before, under another event id or event")
        return accepted

    async def accept_action(self, incident: str, action: ResponderAction, timeout: float = TIMEOUT) -> bool:  # noqa: ASYNC109
        """Send a responder's action to its incident.

        Args:
            incident: the incident's id.
            action: what the responder did.
            timeout: how many seconds Temporal may take; afterwards the spool has it.

        Returns:
            True if Temporal has it durably, False if the spool has it.

        Raises:
            IncidentClosedError: there is no open incident of that id.
            UnavailableError: neither accepted it.
        """
        action = bounded_action(action)
        if not self._must_spool(incident, "action"):
            try:
                async with asyncio.timeout(timeout):
                    await send_action(self._client, incident, action)
            except IncidentClosedError:
                if not self._spool.holds(incident):
                    raise
                # An alert that is stuck in the spool opens the incident yet.
            except (RPCError, TimeoutError, RuntimeError) as error:
                self._status.record_failure(error, incident)
            else:
                return True
        # Its own time, or that of its arrival, says later which opening of the incident it is not for.
        now = datetime.now(UTC)
        action = action.model_copy(update={"occurred_at": believable(action.occurred_at, now) or now})
        await self._put(Item(incident, "action", action.model_dump_json().encode()))
        return False

    async def accept_change(self, change: Change) -> bool:
        """Start the workflow that records a change and notifies its subscribers.

        Returns:
            True if Temporal has it durably, False if the spool has it.

        Raises:
            UnavailableError: neither accepted it.
        """
        workflow = change_workflow(change)
        if not self._must_spool(workflow, "change"):
            try:
                async with asyncio.timeout(TIMEOUT):
                    await report_change(self._client, self._task_queue, change)
            except (RPCError, TimeoutError, RuntimeError) as error:
                self._status.record_failure(error, workflow)
            else:
                return True
        await self._put(Item(workflow, "change", change.model_dump_json().encode()))
        return False

    async def spool(self, item: Item) -> None:
        """Put something into the spool that is not for Temporal; ``deliver_spooled`` says who gets it.

        Raises:
            UnavailableError: the spool did not accept it.
        """
        await self._put(item)

    def deliver_spooled(self, kind: Kind, deliver: Deliver) -> None:
        """Deliver items of a kind that is not for Temporal with a function of their own."""
        self._drain.deliver_with[kind] = deliver

    def quarantine_with(self, take_in: TakeIn) -> None:
        """Quarantine what Temporal refuses for good with this function."""
        self._drain.quarantine = take_in

    @property
    def stuck(self) -> StuckItems:
        """What the spool holds although Temporal is available."""
        return self._drain.stuck

    @property
    def temporal_unavailable(self) -> bool:
        """Whether Temporal was unavailable when something was sent to it last."""
        return self._status.unavailable

    async def find_earlier_incidents(self) -> None:
        """Find the open incidents of version 1.0; returns when Temporal has answered."""
        await self._earlier_ids.load()

    async def drain(self) -> None:
        """Deliver what the spool holds, until it is cancelled."""
        await self._drain.run()

    def _must_spool(self, workflow: str, kind: Kind) -> bool:
        return self._drain.must_wait(workflow, kind) or (self._status.unavailable and self._spool.depth.items > 0)

    async def _run(self, incident: str, queue: _Queue) -> None:
        while queue.waiting:
            batch, later = split_batch(queue.waiting[:BATCH_SIZE], MAX_GROUPS, MESSAGE_BYTES)
            queue.waiting = later + queue.waiting[BATCH_SIZE:]
            # The task runs in the context of the request that started it; each batch has its own.
            with bound_request_id(batch[0].request_id):
                await self._send_or_spool(incident, batch)
            if len(batch) > 1:
                await asyncio.sleep(GATHER_INTERVAL)
        del self._queues[incident]

    async def _send_or_spool(self, incident: str, batch: list[Submission]) -> None:
        if not self._must_spool(incident, "alert"):
            try:
                async with asyncio.timeout(TIMEOUT):
                    refused = await self._starter.send(incident, batch, resent=any(each.resent for each in batch))
            except Exception as error:  # noqa: BLE001  # whatever it is, the alerts go to the spool
                self._status.record_failure(error, incident)
            else:
                await asyncio.gather(*(self._quarantine(incident, one) for one in refused))
        left = [submission for submission in batch if not submission.done.done()]
        await self._queue_names.keep(incident, left)
        try:
            await self._put(*[Item(incident, "alert", submission.to_spool()) for submission in left])
        except UnavailableError as error:
            for submission in left:
                submission.done.set_exception(error)
        for submission in left:
            submission.settle(incident, "spooled")

    async def _quarantine(self, incident: str, refused: Undeliverable) -> None:
        """Quarantine and report an alert. If that fails it stays unsettled, and goes to the spool."""
        submission, reason = refused.submission, f"Temporal refuses the alert: {refused.reason}"
        _log.error("alert_undeliverable", error=refused.reason, **workflow_field(incident))
        if self._drain.quarantine is None or submission.alert.quarantined:
            return
        try:
            async with asyncio.timeout(QUARANTINE_TIMEOUT):
                await self._drain.quarantine(submission.alert.model_dump_json().encode(), submission.event_id, reason)
        except Exception as error:  # noqa: BLE001  # whatever it is, the alert goes to the spool
            _log.error("quarantine_failed", error=describe_error(error), **workflow_field(incident))
        else:
            submission.settle(incident, "quarantined")

    async def _put(self, *items: Item) -> None:
        if not items:
            return
        try:
            await self._spool.put(items)
        except SpoolError as error:
            _log.error("spool_write_failed", items=len(items), error=str(error), **workflow_field(items[0].queue))
            raise UnavailableError(str(error)) from None
