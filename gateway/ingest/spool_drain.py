"""Delivers to Temporal what the spool holds."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from pydantic import ValidationError
from temporalio.client import Client

from gateway.ingest.actions import IncidentClosedError, send_action
from gateway.ingest.changes import report_change
from gateway.ingest.log_fields import workflow_field
from gateway.ingest.run_limits import BusyIncidentError
from gateway.ingest.spool import Kind, Spool, Spooled
from gateway.ingest.starter import RPC_TIMEOUT, IncidentStarter, UnansweredError
from gateway.ingest.stuck import StuckItems
from gateway.ingest.submission import Submission
from gateway.ingest.temporal_status import TemporalStatus
from gateway.request_id import bound_request_id
from gateway.temporal_errors import describe_error, is_busy, is_refused, is_temporal_unavailable
from incident.change import Change
from incident.events import ResponderAction

MAX_CONCURRENCY = 32  # queues that are delivered at the same time
BATCH_SIZE = 100  # items of one queue
BATCH_BYTES = 2 * 2**20  # of one queue: a few messages, so that they arrive within the timeout
BATCH_TIMEOUT = 3 * (RPC_TIMEOUT.total_seconds() + 1)
MIN_INTERVAL, MAX_INTERVAL = 0.2, 0.5  # seconds between two reads of the spool
PROBE_TIMEOUT = 1.0  # seconds
REFUSED_BACKOFF = 10.0  # seconds before a queue is retried, if Temporal is available and refused its items
BUSY_BACKOFF = 2.0  # the same, if its incident took nothing more
UNANSWERED_BACKOFF = 1.0  # the same, if only a worker was missing
UNAVAILABLE_BACKOFF, MAX_UNAVAILABLE_BACKOFF = 1.0, 30.0  # the same, if other queues may be delivered
UNANSWERED_LIMIT = 120.0
"""Seconds after which alerts that no worker can tell from processed ones count as new: in doubt somebody is paged."""

Deliver = Callable[[bytes], Awaitable[None]]
"""Delivers the content of one item; it may come twice. It raises if the item must stay in the spool."""
TakeIn = Callable[[bytes, str, str], Awaitable[None]]
"""Quarantines and reports what cannot be delivered: the content, the sender's id of the event, and the reason."""

_log = structlog.get_logger()


class SpoolDrain:
    """Delivers each queue in its order, and the queues with the oldest items first.

    No queue waits for another. What is stuck is named in ``stuck``; single items, and responder actions, pass it.
    """

    def __init__(
        self, client: Client, task_queue: str, starter: IncidentStarter, spool: Spool, status: TemporalStatus
    ) -> None:
        self._client, self._task_queue = client, task_queue
        self._starter, self._spool, self._status = starter, spool, status
        self._backoff_until: dict[str, float] = {}
        self._in_delivery: set[str] = set()
        self._started: set[str] = set()
        """The queues whose alerts opened their incidents: what people did after those alerts is about them."""
        self._capacity_available = asyncio.Event()
        self.stuck = StuckItems()
        self.deliver_with: dict[Kind, Deliver] = {}
        """By kind: what delivers items that are not for Temporal."""
        self.quarantine: TakeIn | None = None

    async def run(self) -> None:
        """Run until it is cancelled."""
        wait = MIN_INTERVAL
        async with asyncio.TaskGroup() as group:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._capacity_available.wait(), wait)
                self._capacity_available.clear()
                if not self._spool.depth.items:
                    self._status.record_answer(0)
                    continue
                try:
                    available = await self._start_deliveries(group)
                except Exception as error:  # noqa: BLE001  # the spool cannot be read; the next round tries again
                    _log.error("spool_read_failed", error=describe_error(error))
                    available = False
                wait = MIN_INTERVAL if available else min(wait * 2, MAX_INTERVAL)

    def must_wait(self, queue: str, kind: Kind) -> bool:
        """Whether a new item must wait behind those that the spool holds of its queue.

        Nothing waits for single items that are stuck, and no responder action for alerts that are.
        """
        if not self._spool.holds(queue):
            return False
        if kind == "action" and self.stuck.queue(queue):
            return False
        return self._spool.holds(queue, other_than=len(self.stuck.held(queue)))

    async def _start_deliveries(self, group: asyncio.TaskGroup) -> bool:
        """Start as many queues as the concurrency allows. False if Temporal is unavailable."""
        now = asyncio.get_running_loop().time()
        self._backoff_until = {queue: until for queue, until in self._backoff_until.items() if until > now}
        skipped = {*self._backoff_until, *self._in_delivery}
        queues = [queue for queue in await self._spool.queues(MAX_CONCURRENCY + len(skipped)) if queue not in skipped]
        concurrency = MAX_CONCURRENCY
        if self._status.unavailable and queues:
            if not await self._is_available(queues[0]):
                return False
            concurrency = 1  # one queue after the other, until something has been delivered
        for queue in queues[: max(concurrency - len(self._in_delivery), 0)]:
            self._in_delivery.add(queue)
            group.create_task(self._deliver_queue(queue))
        return True

    async def _is_available(self, workflow: str) -> bool:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                await self._client.get_workflow_handle(workflow).describe(rpc_timeout=timedelta(seconds=PROBE_TIMEOUT))
        except Exception as error:  # noqa: BLE001  # a refusal shows that Temporal is available
            return not is_temporal_unavailable(error)
        return True

    async def _deliver_queue(self, queue: str) -> None:
        try:
            while items := await self._spool.first(queue, BATCH_SIZE, BATCH_BYTES, skip=self.stuck.held(queue)):
                async with asyncio.timeout(BATCH_TIMEOUT):
                    delivered = await self._deliver(queue, items)
                self._record_answer()
                if delivered:
                    await self._spool.remove(queue, delivered)
                    _log.info("spool_delivered", kind=items[0].kind, items=len(delivered), **workflow_field(queue))
            self.stuck.remove_queue(queue)
            self._started.discard(queue)
            if self.stuck.held(queue):
                self._back_off(queue, REFUSED_BACKOFF)
        except Exception as error:  # noqa: BLE001  # the items stay in the spool, and are retried
            await self._note_failure(queue, error)
        self._in_delivery.discard(queue)
        if not self._status.unavailable and len(self._in_delivery) <= MAX_CONCURRENCY // 2:
            self._capacity_available.set()

    async def _note_failure(self, queue: str, error: Exception) -> None:
        failed_before = self.stuck.queue(queue) is not None
        if is_temporal_unavailable(error) and (self._status.unavailable or not failed_before):
            # If other queues are delivered meanwhile, the next failure is this queue's own.
            self._status.record_failure(error, queue)
            self.stuck.add_queue(queue, describe_error(error))
            self._back_off(queue, UNAVAILABLE_BACKOFF)
            return
        if not is_temporal_unavailable(error):
            self._record_answer()
        stuck = self.stuck.add_queue(queue, describe_error(error))
        _log.error("spool_delivery_failed", error=describe_error(error), **workflow_field(queue))
        self._back_off(queue, _backoff(error, stuck.attempts))
        with contextlib.suppress(Exception):  # what fails here is named already, and retried
            await self._deliver_actions(queue)

    def _record_answer(self) -> None:
        if self._status.unavailable:
            self._backoff_until.clear()
        self._status.record_answer(self._spool.depth.items)

    def _back_off(self, queue: str, seconds: float) -> None:
        self._backoff_until[queue] = asyncio.get_running_loop().time() + seconds

    async def _deliver(self, queue: str, items: list[Spooled]) -> list[Spooled]:
        """The items that are delivered, or in quarantine; all others are held. Raises if the queue must wait."""
        readable = [item for item in items if not item.fault]
        for item in items:
            if item.fault:
                self.stuck.hold(item.id, queue, item.fault)
        if not readable:
            return []
        if readable[0].kind == "alert":
            return await self._deliver_alerts(queue, readable)
        return [item for item in readable if await self._deliver_one(queue, item)]

    async def _deliver_alerts(self, queue: str, items: list[Spooled]) -> list[Spooled]:
        batch: list[tuple[Spooled, Submission]] = []
        delivered: list[Spooled] = []
        for item in items:
            try:
                batch.append((item, Submission.from_spool(item.content)))
            except ValidationError as error:
                if await self._quarantine(queue, item, "", f"the spooled alert cannot be read: {error}"):
                    delivered.append(item)
        if not batch:
            return delivered
        stuck = self.stuck.queue(queue)
        ask = stuck is None or stuck.age < UNANSWERED_LIMIT
        with bound_request_id(batch[0][1].request_id):
            refused = await self._starter.send(queue, [one for _, one in batch], resent=True, ask=ask)
        if any(one.done.done() and one.done.result().state == "started" for _, one in batch):
            self._started.add(queue)
        reasons = {id(one.submission): one.reason for one in refused}
        for item, submission in batch:
            reason = reasons.get(id(submission))
            if reason is None or await self._quarantine_alert(queue, item, submission, reason):
                delivered.append(item)
        return delivered

    async def _deliver_one(self, queue: str, item: Spooled) -> bool:
        """False if the item cannot be delivered, and is held. Raises if the queue must wait."""
        try:
            match item.kind:
                case "action":
                    await self._deliver_action(queue, ResponderAction.model_validate_json(item.content))
                case "change":
                    change = Change.model_validate_json(item.content)
                    await report_change(self._client, self._task_queue, change)
                case kind:
                    await self.deliver_with[kind](item.content)
        except ValidationError as error:
            return await self._quarantine(queue, item, "", f"the spooled {item.kind} cannot be read: {error}")
        except Exception as error:
            if not is_refused(error):
                raise
            return await self._quarantine(queue, item, "", f"Temporal refuses the {item.kind}: {describe_error(error)}")
        return True

    async def _deliver_action(self, incident: str, action: ResponderAction) -> None:
        if incident in self._started and not action.first_run_id:
            described = await self._client.get_workflow_handle(incident).describe(rpc_timeout=RPC_TIMEOUT)
            first_run_id = described.raw_description.workflow_execution_info.first_run_id
            action = action.model_copy(update={"first_run_id": first_run_id})
        try:
            await send_action(self._client, incident, action)
        except IncidentClosedError:
            _log.info(
                "action_ignored", incident=incident, action=action.type, by=action.by, reason=IncidentClosedError.code
            )

    async def _deliver_actions(self, queue: str) -> None:
        """Deliver the responder actions of a stuck queue, past its alerts.

        An incident that is not open may be opened yet by an alert before them: they stay behind it.
        """
        while items := await self._spool.first(queue, BATCH_SIZE, skip=self.stuck.held(queue), kind="action"):
            for item in items:
                try:
                    if not item.fault:
                        await send_action(self._client, queue, ResponderAction.model_validate_json(item.content))
                except IncidentClosedError:
                    return
                if item.fault:
                    self.stuck.hold(item.id, queue, item.fault)
                    continue
                await self._spool.remove(queue, [item])
                _log.info("spool_delivered", kind="action", items=1, **workflow_field(queue))

    async def _quarantine_alert(self, queue: str, item: Spooled, submission: Submission, reason: str) -> bool:
        if submission.alert.quarantined:  # the report of a delivery that is in quarantine already
            self.stuck.hold(item.id, queue, reason, REFUSED_BACKOFF)
            return False
        return await self._quarantine(queue, item, submission.event_id, f"Temporal refuses the alert: {reason}")

    async def _quarantine(self, queue: str, item: Spooled, event_id: str, reason: str) -> bool:
        """Whether it is in quarantine; if not it is held, and tried again later."""
        _log.error("spooled_item_undeliverable", kind=item.kind, error=reason, **workflow_field(queue))
        try:
            if self.quarantine is not None:
                await self.quarantine(item.content, event_id, reason)
                return True
        except Exception as error:  # noqa: BLE001  # whatever it is, the item stays in the spool
            reason = f"{reason}; and it cannot be quarantined: {describe_error(error)}"
        self.stuck.hold(item.id, queue, reason, REFUSED_BACKOFF)
        return False


def _backoff(error: Exception, attempts: int) -> float:
    """Seconds until a queue is retried."""
    if isinstance(error, UnansweredError):
        return UNANSWERED_BACKOFF
    if isinstance(error, BusyIncidentError) or is_busy(error):
        return BUSY_BACKOFF
    if is_temporal_unavailable(error):
        return min(UNAVAILABLE_BACKOFF * 2 ** min(attempts, 10), MAX_UNAVAILABLE_BACKOFF)
    return REFUSED_BACKOFF
