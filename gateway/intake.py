"""Takes alerts and answers durably: Temporal has them, or else the spool.

Alerts of one incident travel in one lane, in their order. While one request to Temporal is under way, the
alerts behind it gather, and go together in the next: a storm of repeats costs few signals, and a fresh
incident never waits behind it. Where Temporal does not take them they go to the spool, and what comes after them
in the same lane goes there too, until all of it is delivered.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from pydantic import BaseModel, ConfigDict
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.contracts import Change
from alerts import Alert, incident_id
from gateway.changes import change_workflow, report_change
from gateway.deliveries import Deliveries
from gateway.handover import (
    RPC_TIMEOUT,
    Decide,
    Handover,
    Submission,
    Taken,
    UnansweredError,
    a_worker_decides,
)
from gateway.spool import Item, Spool, Spooled, SpoolError
from workflows.messages import ANSWER_SIGNAL, Answer

MAX_BATCH = 500  # alerts in one signal; repeats that are alike are one entry of it
PATIENCE = RPC_TIMEOUT.total_seconds() + 1  # seconds for one request to Temporal, its client's own retries included
GATHER = 0.01  # seconds that a storm's next repeats gather for, before they go together
LANES_AT_ONCE = 32
DRAINED_AT_ONCE = 100
LOOK_EVERY, LOOK_RARELY = 0.2, 0.5  # seconds
IS_BACK_WITHIN = 1.0  # seconds
LEFT_ALONE = 10.0  # seconds that a lane is left alone in which something failed that has nothing to do with the others
UNANSWERED = 1.0  # the same where only a worker was lacking

_log = structlog.get_logger()


class UnavailableError(Exception):
    """Neither Temporal nor the spool took it. Nothing was promised; the sender must send again."""


class ReplayedError(Exception):
    """The same signed bytes came before under another id, and nothing is open that they could join."""


class _SpooledAlert(BaseModel):
    model_config = ConfigDict(frozen=True)

    alert: Alert
    delivery: str
    proof: str
    own_id: str


@dataclass
class _Lane:
    waiting: list[Submission] = field(default_factory=list[Submission])
    runner: asyncio.Task[None] | None = None


class Intake:
    def __init__(
        self, client: Client, task_queue: str, deliveries: Deliveries, spool: Spool, decide: Decide = a_worker_decides
    ) -> None:
        self._client, self._task_queue = client, task_queue
        self._handover = Handover(client, task_queue, deliveries, decide)
        self._spool = spool
        self._lanes: dict[str, _Lane] = {}
        self._away = False
        """Temporal did not answer, and has not since: nobody waits for it before going to the spool."""
        self._left_alone: dict[str, float] = {}
        self._drained: set[str] = set()
        """Lanes of which something is on its way out of the spool."""
        self._room = asyncio.Event()

    async def take(self, alert: Alert, delivery: str = "", proof: str = "") -> Taken:
        """Returns once Temporal, or the spool, has the alert durably.

        ``delivery`` is the sender's id of the event, ``proof`` a digest of what was signed.
        Raises UnavailableError or ReplayedError.
        """
        incident = incident_id(alert)
        submission = Submission(alert, delivery, proof)
        lane = self._lanes.setdefault(incident, _Lane())
        lane.waiting.append(submission)
        if lane.runner is None:
            lane.runner = asyncio.create_task(self._run(incident, lane))
        taken = await submission.done
        if taken.replayed:
            raise ReplayedError
        return taken

    async def take_answer(self, incident: str, answer: Answer, within: float = PATIENCE) -> bool:
        """Tell an incident what a person did; True where Temporal has it, False where the spool does.

        ``within`` is how many seconds Temporal may take. Raises IncidentOverError or UnavailableError.
        """
        if not self._must_spool(incident):
            try:
                async with asyncio.timeout(within):
                    await self._signal(incident, answer)
            except RPCError as error:
                if error.status == RPCStatusCode.NOT_FOUND:
                    raise IncidentOverError from None
                self._note(error)
            except (TimeoutError, RuntimeError) as error:
                self._note(error)
            else:
                return True
        await self._put(Item(incident, "answer", answer.model_dump_json().encode()))
        return False

    async def take_change(self, change: Change) -> bool:
        """Have a change recorded and told; True where Temporal has it, False where the spool does.

        Raises UnavailableError.
        """
        lane = change_workflow(change)
        if not self._must_spool(lane):
            try:
                async with asyncio.timeout(PATIENCE):
                    await report_change(self._client, self._task_queue, change)
            except (RPCError, TimeoutError, RuntimeError) as error:
                self._note(error)
            else:
                return True
        await self._put(Item(lane, "change", change.model_dump_json().encode()))
        return False

    # ── The lanes ───────────────────────────────────────────────────────────────────────────────────────

    def _must_spool(self, lane: str) -> bool:
        return self._spool.holds(lane) or (self._away and self._spool.depth.items > 0)

    async def _run(self, incident: str, lane: _Lane) -> None:
        while lane.waiting:
            batch, lane.waiting = lane.waiting[:MAX_BATCH], lane.waiting[MAX_BATCH:]
            if not self._must_spool(incident):
                try:
                    async with asyncio.timeout(PATIENCE):
                        await self._handover.send(incident, batch)
                except Exception as error:  # noqa: BLE001  # whatever it was, the alerts are kept
                    self._note(error, incident)
            left = [one for one in batch if not one.done.done()]
            try:
                await self._put(*[_spooled(incident, one) for one in left])
            except UnavailableError as error:
                for one in left:
                    one.done.set_exception(error)
            for one in left:
                one.settle(incident, "spooled")
            if len(batch) > 1:
                await asyncio.sleep(GATHER)
        del self._lanes[incident]

    def _note(self, error: Exception, lane: str = "") -> None:
        if is_away(error):
            if not self._away:
                _log.warning("temporal does not answer; what comes goes to the spool", error=_told(error))
            self._away = True
        else:
            _log.error("temporal did not take what came; it goes to the spool", lane=lane, error=_told(error))

    async def _put(self, *items: Item) -> None:
        if not items:
            return
        try:
            await self._spool.put(items)
        except SpoolError as error:
            _log.error("nobody can take what comes", lane=items[0].lane, items=len(items), error=str(error))
            raise UnavailableError(str(error)) from None

    async def _signal(self, incident: str, answer: Answer) -> None:
        handle = self._client.get_workflow_handle(incident)
        await handle.signal(ANSWER_SIGNAL, answer, rpc_timeout=RPC_TIMEOUT)

    # ── The drain ───────────────────────────────────────────────────────────────────────────────────────

    async def drain(self) -> None:
        """Deliver what is in the spool, for ever: each lane in its order, the lanes with the oldest first."""
        wait = LOOK_EVERY
        async with asyncio.TaskGroup() as group:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._room.wait(), wait)
                self._room.clear()
                if not self._spool.depth.items:
                    self._away = False
                    continue
                try:
                    reached = await self._drain_more(group)
                except Exception as error:  # noqa: BLE001  # the spool itself cannot be read: tried again
                    _log.error("the spool is not drained", error=_told(error))
                    reached = False
                wait = LOOK_EVERY if reached else min(wait * 2, LOOK_RARELY)

    async def _drain_more(self, group: asyncio.TaskGroup) -> bool:
        """Take up as many lanes as there is room for; no lane waits for another. False where Temporal is away."""
        now = asyncio.get_running_loop().time()
        self._left_alone = {lane: until for lane, until in self._left_alone.items() if until > now}
        passed_over = {*self._left_alone, *self._drained}
        lanes = [lane for lane in await self._spool.lanes(LANES_AT_ONCE + len(passed_over)) if lane not in passed_over]
        if self._away and lanes:
            if not await self._is_back(lanes[0]):
                return False
            self._away = False
            _log.warning("temporal answers again", spooled=self._spool.depth.items)
        for lane in lanes[: LANES_AT_ONCE - len(self._drained)]:
            self._drained.add(lane)
            group.create_task(self._drain_lane(lane))
        return True

    async def _is_back(self, lane: str) -> bool:
        try:
            async with asyncio.timeout(IS_BACK_WITHIN):
                await self._client.get_workflow_handle(lane).describe(rpc_timeout=timedelta(seconds=IS_BACK_WITHIN))
        except Exception as error:  # noqa: BLE001  # a no is an answer too
            return not is_away(error)
        return True

    async def _drain_lane(self, lane: str) -> None:
        try:
            while items := await self._spool.first(lane, DRAINED_AT_ONCE):
                async with asyncio.timeout(2 * PATIENCE):
                    await self._deliver(lane, items)
                await self._spool.drop(lane, items)
                _log.info("delivered from the spool", lane=lane, kind=items[0].kind, items=len(items))
        except Exception as error:  # noqa: BLE001  # it stays where it is, and is tried again
            if is_away(error):
                self._away = True
            else:
                _log.error("what is in the spool is not taken", lane=lane, error=_told(error))
                pause = UNANSWERED if isinstance(error, UnansweredError) else LEFT_ALONE
                self._left_alone[lane] = asyncio.get_running_loop().time() + pause
        self._drained.discard(lane)
        if not self._away and len(self._drained) <= LANES_AT_ONCE // 2:
            self._room.set()

    async def _deliver(self, lane: str, items: list[Spooled]) -> None:
        match items[0].kind:
            case "alert":
                alerts = [_SpooledAlert.model_validate_json(one.content) for one in items]
                batch = [Submission(one.alert, one.delivery, one.proof, one.own_id) for one in alerts]
                await self._handover.send(lane, batch, again=True)
            case "answer":
                for one in items:
                    with contextlib.suppress(IncidentOverError):
                        await self._answer_again(lane, Answer.model_validate_json(one.content))
            case "change":
                for one in items:
                    await report_change(self._client, self._task_queue, Change.model_validate_json(one.content))

    async def _answer_again(self, incident: str, answer: Answer) -> None:
        try:
            await self._signal(incident, answer)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            _log.info("answer for an incident that is not open", incident=incident, act=answer.act, by=answer.by)


class IncidentOverError(Exception):
    """The incident is not open (any more)."""


def is_away(error: Exception) -> bool:
    """Whether Temporal did not answer, rather than refused."""
    if isinstance(error, RPCError):
        return error.status in {
            RPCStatusCode.UNAVAILABLE,
            RPCStatusCode.DEADLINE_EXCEEDED,
            RPCStatusCode.RESOURCE_EXHAUSTED,
            RPCStatusCode.CANCELLED,
            RPCStatusCode.ABORTED,
            RPCStatusCode.UNAUTHENTICATED,
            RPCStatusCode.PERMISSION_DENIED,
        }
    # What the client raises while it has never reached the server is a RuntimeError.
    return isinstance(error, TimeoutError) or (isinstance(error, RuntimeError) and "client connect" in str(error))


def _spooled(incident: str, one: Submission) -> Item:
    kept = _SpooledAlert(alert=one.alert, delivery=one.delivery, proof=one.proof, own_id=one.own_id)
    return Item(incident, "alert", kept.model_dump_json().encode())


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
