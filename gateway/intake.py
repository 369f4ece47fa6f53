"""From an authentic alert to a workflow that has it durably: start the incident, or signal it.

Alerts of one incident travel in one lane, in their order. While one request to Temporal is under way, the
alerts behind it gather, and go together in the next: a storm of repeats costs few signals, and a fresh
incident never waits behind it.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

import structlog
from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from alerts import Alert, incident_id
from gateway.deliveries import Delivered, Deliveries
from workflows import search
from workflows.messages import ARRIVE_SIGNAL, INCIDENT_WORKFLOW, Arrival, Arrivals
from workflows.state import Opening

MAX_BATCH = 500  # alerts in one signal; repeats that are alike are one entry of it
MAX_ENTRIES = 50  # entries that are not alike
KNOWN_OPEN = 50_000
RPC_TIMEOUT = timedelta(seconds=10)
ATTEMPTS = 5

Outcome = Literal["started", "joined", "recorded"]

_log = structlog.get_logger()


class UnavailableError(Exception):
    """Temporal did not take it. Nothing was promised; the sender must send again."""


class ReplayedError(Exception):
    """The same signed bytes came before under another id, and nothing is open that they could join."""


@dataclass(frozen=True)
class Taken:
    """Where the alert is now, durably."""

    incident: str
    state: Outcome


@dataclass
class _Submission:
    alert: Alert
    delivery: str
    proof: str
    done: asyncio.Future[Taken]
    replayed: bool = False
    """Its signed bytes came before, under another id: it may join what is open, and opens nothing."""

    @property
    def remembered_as(self) -> str:
        """The sender's id, or else what it says was evaluated when: the same twice is no news."""
        if self.delivery or not self.alert.occurred_at:
            return self.delivery
        parts = (
            *self.alert.identity,
            self.alert.status,
            self.alert.occurred_at.isoformat(),
            str(self.alert.value),
        )
        return f"evaluation-{hashlib.sha256(repr(parts).encode()).hexdigest()[:40]}"


@dataclass
class _Lane:
    waiting: list[_Submission] = field(default_factory=list["_Submission"])
    runner: asyncio.Task[None] | None = None


class Intake:
    def __init__(self, client: Client, task_queue: str, deliveries: Deliveries) -> None:
        self._client = client
        self._task_queue = task_queue
        self._deliveries = deliveries
        self._lanes: dict[str, _Lane] = {}
        self._open: OrderedDict[str, None] = OrderedDict()

    async def take(self, alert: Alert, delivery: str = "", proof: str = "") -> Taken:
        """Returns once Temporal has the alert durably.

        ``delivery`` is the sender's id of the event, ``proof`` a digest of what was signed.
        Raises UnavailableError or ReplayedError.
        """
        incident = incident_id(alert)
        submission = _Submission(alert, delivery, proof, asyncio.get_running_loop().create_future())
        lane = self._lanes.setdefault(incident, _Lane())
        lane.waiting.append(submission)
        if lane.runner is None:
            lane.runner = asyncio.create_task(self._run(incident, lane))
        return await submission.done

    async def _run(self, incident: str, lane: _Lane) -> None:
        while lane.waiting:
            batch, lane.waiting = lane.waiting[:MAX_BATCH], lane.waiting[MAX_BATCH:]
            try:
                await self._send(incident, batch)
            except Exception as error:  # noqa: BLE001  # whatever it was, the sender is told to send again
                _log.warning("temporal did not take alerts", incident=incident, alerts=len(batch), error=str(error))
                for submission in batch:
                    if not submission.done.done():
                        submission.done.set_exception(UnavailableError(str(error)))
        del self._lanes[incident]

    async def _send(self, incident: str, batch: Sequence[_Submission]) -> None:
        before = await self._deliveries.recall({one.remembered_as for one in batch}, {one.proof for one in batch})
        known = {one.id: one for one in before}
        ids_by_proof = {one.proof: one.id for one in before if one.proof}
        fresh: dict[str | int, _Submission] = {}
        for one in batch:
            if one.delivery and one.delivery in known:
                one.done.set_result(_again(known[one.delivery]))
            else:
                first = ids_by_proof.setdefault(one.proof, one.remembered_as) if one.proof else one.remembered_as
                one.replayed = first != one.remembered_as
                fresh.setdefault(one.delivery or id(one), one)
        await self._send_fresh(incident, list(fresh.values()), known)
        for one in batch:  # a redelivery within this very batch: answered once the first is durable
            if not one.done.done():
                one.done.set_result(Taken(incident, "joined"))

    async def _send_fresh(self, incident: str, fresh: list[_Submission], known: dict[str, Delivered]) -> None:
        while fresh:
            part, rest = _cut(fresh)
            outcome = await self._hand_over(incident, part, known)
            await self._deliveries.remember(
                [
                    # A proof is kept once, with the id that it first came under.
                    Delivered(one.remembered_as, "" if one.replayed else one.proof, incident, outcome)
                    for one in part
                ]
            )
            for index, one in enumerate(part):
                if outcome == "recorded" and one.replayed:
                    one.done.set_exception(ReplayedError())
                    continue
                state: Outcome = "joined" if outcome == "started" and index > 0 else outcome
                one.done.set_result(Taken(incident, state))
            fresh = rest

    async def _hand_over(self, incident: str, part: Sequence[_Submission], known: dict[str, Delivered]) -> Outcome:
        arrivals = Arrivals(arrivals=tuple(gather([one.alert for one in part], [one.delivery for one in part])))
        # What was evaluated and told before may join, but an incident that it opened and that is over stays over.
        opens = any(
            one.alert.status != "cleared" and not one.replayed and (one.delivery or one.remembered_as not in known)
            for one in part
        )
        signal_first = incident in self._open or not opens
        for attempt in range(ATTEMPTS):
            if signal_first or attempt > 0:
                if await self._signal(incident, arrivals):
                    return "joined"
                if not opens:
                    return "recorded"  # nothing is open that it could clear, or the same was told before
            if await self._start(incident, arrivals):
                return "started"
        raise UnavailableError("the incident opened and closed faster than it could be reached")

    async def _start(self, incident: str, arrivals: Arrivals) -> bool:
        alert = next(one.alert for one in arrivals.arrivals if one.alert.status != "cleared")
        pairs = [SearchAttributePair(search.STATE, "received")]
        pairs += [SearchAttributePair(search.MODEL, alert.model)] if alert.model else []
        pairs += [SearchAttributePair(search.ENVIRONMENT, alert.environment)] if alert.environment else []
        try:
            await self._client.start_workflow(
                INCIDENT_WORKFLOW,
                Opening(arrivals=arrivals, chronicle=True),
                id=incident,
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                search_attributes=TypedSearchAttributes(pairs),
                static_summary=_summary(alert),
                rpc_timeout=RPC_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            self._remember_open(incident)
            return False
        self._remember_open(incident)
        return True

    async def _signal(self, incident: str, arrivals: Arrivals) -> bool:
        without_raw = arrivals.model_copy(
            update={
                "arrivals": tuple(
                    one.model_copy(update={"alert": one.alert.model_copy(update={"raw": {}})})
                    for one in arrivals.arrivals
                )
            }
        )
        try:
            await self._client.get_workflow_handle(incident).signal(ARRIVE_SIGNAL, without_raw, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            self._open.pop(incident, None)
            return False
        self._remember_open(incident)
        return True

    def _remember_open(self, incident: str) -> None:
        self._open[incident] = None
        self._open.move_to_end(incident)
        if len(self._open) > KNOWN_OPEN:
            self._open.popitem(last=False)


def gather(alerts: Sequence[Alert], deliveries: Sequence[str]) -> list[Arrival]:
    """Alerts in their order, neighbours that are alike in all but id and time as one arrival."""
    arrivals: list[Arrival] = []
    last: Alert | None = None
    for alert, delivery in zip(alerts, deliveries, strict=True):
        plain = alert.model_copy(update={"event_id": "", "occurred_at": None, "raw": {}})
        ids = (delivery,) if delivery else ()
        if plain == last:
            arrivals[-1] = Arrival(
                alert=arrivals[-1].alert, count=arrivals[-1].count + 1, event_ids=arrivals[-1].event_ids + ids
            )
        else:
            arrivals.append(Arrival(alert=alert, event_ids=ids))
            last = plain
    return arrivals


def _cut(submissions: list[_Submission]) -> tuple[list[_Submission], list[_Submission]]:
    """As many as may travel in one signal."""
    entries = 0
    last: Alert | None = None
    for index, one in enumerate(submissions):
        plain = one.alert.model_copy(update={"event_id": "", "occurred_at": None, "raw": {}})
        entries += plain != last
        last = plain
        if entries > MAX_ENTRIES:
            return submissions[:index], submissions[index:]
    return submissions, []


def _again(delivered: Delivered) -> Taken:
    return Taken(delivered.incident, "recorded" if delivered.state == "recorded" else "joined")


def _summary(alert: Alert) -> str:
    where = " · ".join(part for part in (alert.environment, alert.region) if part)
    text = f"{alert.model or alert.monitor}: {alert.metric or alert.monitor}"
    return f"{text} · {where}" if where else text
