"""Delivers to Temporal what the spool holds."""

import asyncio
import contextlib
from datetime import timedelta

import structlog
from temporalio.client import Client

from gateway.ingest.actions import IncidentClosedError, send_action
from gateway.ingest.changes import report_change
from gateway.ingest.log_fields import workflow_field
from gateway.ingest.spool import Spool, Spooled
from gateway.ingest.starter import RPC_TIMEOUT, IncidentStarter, UnansweredError
from gateway.ingest.submission import Submission
from gateway.ingest.temporal_status import TemporalStatus
from gateway.request_id import bound_request_id
from gateway.temporal_errors import describe_error, is_temporal_unavailable
from incident.change import Change
from incident.events import ResponderAction

MAX_CONCURRENCY = 32  # queues that are delivered at the same time
BATCH_SIZE = 100  # items of one queue
BATCH_TIMEOUT = 2 * (RPC_TIMEOUT.total_seconds() + 1)
MIN_INTERVAL, MAX_INTERVAL = 0.2, 0.5  # seconds between two reads of the spool
PROBE_TIMEOUT = 1.0  # seconds
REFUSED_BACKOFF = 10.0  # seconds before a queue is retried, if Temporal is available and refused its items
UNANSWERED_BACKOFF = 1.0  # the same, if only a worker was missing

_log = structlog.get_logger()


class SpoolDrain:
    """Delivers each queue in its order, and the queues with the oldest items first. No queue waits for another."""

    def __init__(
        self, client: Client, task_queue: str, starter: IncidentStarter, spool: Spool, status: TemporalStatus
    ) -> None:
        self._client, self._task_queue = client, task_queue
        self._starter, self._spool, self._status = starter, spool, status
        self._backoff_until: dict[str, float] = {}
        self._in_delivery: set[str] = set()
        self._capacity_available = asyncio.Event()

    async def run(self) -> None:
        """Run until it is cancelled."""
        wait = MIN_INTERVAL
        async with asyncio.TaskGroup() as group:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._capacity_available.wait(), wait)
                self._capacity_available.clear()
                if not self._spool.depth.items:
                    self._status.unavailable = False
                    continue
                try:
                    available = await self._start_deliveries(group)
                except Exception as error:  # noqa: BLE001  # the spool cannot be read; the next round tries again
                    _log.error("spool_read_failed", error=describe_error(error))
                    available = False
                wait = MIN_INTERVAL if available else min(wait * 2, MAX_INTERVAL)

    async def _start_deliveries(self, group: asyncio.TaskGroup) -> bool:
        """Start as many queues as the concurrency allows. False if Temporal is unavailable."""
        now = asyncio.get_running_loop().time()
        self._backoff_until = {queue: until for queue, until in self._backoff_until.items() if until > now}
        skipped = {*self._backoff_until, *self._in_delivery}
        queues = [queue for queue in await self._spool.queues(MAX_CONCURRENCY + len(skipped)) if queue not in skipped]
        if self._status.unavailable and queues:
            if not await self._is_available(queues[0]):
                return False
            self._status.record_recovery(self._spool.depth.items)
        for queue in queues[: MAX_CONCURRENCY - len(self._in_delivery)]:
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
            while items := await self._spool.first(queue, BATCH_SIZE):
                async with asyncio.timeout(BATCH_TIMEOUT):
                    await self._deliver(queue, items)
                await self._spool.remove(queue, items)
                _log.info("spool_delivered", kind=items[0].kind, items=len(items), **workflow_field(queue))
        except Exception as error:  # noqa: BLE001  # the items stay in the spool, and are retried
            if is_temporal_unavailable(error):
                self._status.unavailable = True
            else:
                _log.error("spool_delivery_failed", error=describe_error(error), **workflow_field(queue))
                pause = UNANSWERED_BACKOFF if isinstance(error, UnansweredError) else REFUSED_BACKOFF
                self._backoff_until[queue] = asyncio.get_running_loop().time() + pause
        self._in_delivery.discard(queue)
        if not self._status.unavailable and len(self._in_delivery) <= MAX_CONCURRENCY // 2:
            self._capacity_available.set()

    async def _deliver(self, queue: str, items: list[Spooled]) -> None:
        match items[0].kind:
            case "alert":
                batch = [Submission.from_spool(item.content) for item in items]
                with bound_request_id(batch[0].request_id):
                    await self._starter.send(queue, batch, resent=True)
            case "action":
                for item in items:
                    await self._deliver_action(queue, ResponderAction.model_validate_json(item.content))
            case "change":
                for item in items:
                    await report_change(self._client, self._task_queue, Change.model_validate_json(item.content))

    async def _deliver_action(self, incident: str, action: ResponderAction) -> None:
        try:
            await send_action(self._client, incident, action)
        except IncidentClosedError:
            _log.info(
                "action_ignored", incident=incident, action=action.type, by=action.by, reason=IncidentClosedError.code
            )
