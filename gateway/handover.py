"""From alerts of one incident to a workflow that has them durably: start the incident, or signal it."""

import asyncio
import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Literal

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from alerts import Alert
from gateway.asking import Asker
from gateway.deliveries import Delivered, Deliveries
from policy import Decision
from policy.decision import TIERS
from workflows import search
from workflows.messages import (
    ARRIVE_SIGNAL,
    INCIDENT_WORKFLOW,
    MONITOR,
    TAKEN_QUERY,
    Arrival,
    Arrivals,
    EventIds,
    MonitorMemo,
)
from workflows.state import Opening

MAX_ENTRIES = 50  # of one signal, that are not alike
KNOWN_OPEN = 50_000
RPC_TIMEOUT = timedelta(seconds=5)
ATTEMPTS = 5


def a_worker_decides(alert: Alert, count: int) -> None:
    """Leaves every decision to the workflow."""
    del alert, count


_NO_WORKER = {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.CANCELLED}
_DIFFERS = frozenset({"event_id", "occurred_at", "raw"})

Decide = Callable[[Alert, int], Decision | None]
"""What the policy in force makes of a first alert, one of so many; None where that is not for the gateway to say."""
Outcome = Literal["started", "joined", "recorded"]


class UnreachableIncidentError(Exception):
    """It opened and closed again faster than it could be told."""


class UnansweredError(Exception):
    """Temporal is there, and no worker that could say what an incident has taken already."""


@dataclass(frozen=True)
class Taken:
    """Where an alert is now, durably."""

    incident: str
    state: Outcome | Literal["spooled"]
    replayed: bool = False
    """Its signed bytes came before under another id, and nothing is open that it could join."""


@dataclass
class Submission:
    """An alert on its way. ``delivery`` is the sender's id of it, ``proof`` a digest of what was signed."""

    alert: Alert
    delivery: str = ""
    proof: str = ""
    own_id: str = field(default_factory=lambda: f"arrival-{uuid.uuid4().hex[:20]}")
    """What it is known by where the sender gave it no id: so that a second attempt is not a second alert."""
    done: asyncio.Future[Taken] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    replayed: bool = False
    """Its signed bytes came before, under another id: it may join what is open, and opens nothing."""

    @cached_property
    def likeness(self) -> Mapping[str, object]:
        """What is the same in repeats that are alike: all but id and time."""
        return {name: value for name, value in self.alert.__dict__.items() if name not in _DIFFERS}

    @property
    def id(self) -> str:
        return self.delivery or self.own_id

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

    def settle(self, incident: str, state: Outcome | Literal["spooled"]) -> None:
        if not self.done.done():
            self.done.set_result(Taken(incident, state, self.replayed and state == "recorded"))


class Handover:
    def __init__(
        self, client: Client, task_queue: str, deliveries: Deliveries, decide: Decide = a_worker_decides
    ) -> None:
        self._client, self._asker = client, Asker(client)
        self._decide = decide
        self._task_queue = task_queue
        self._deliveries = deliveries
        self._open: OrderedDict[str, None] = OrderedDict()

    async def send(self, incident: str, batch: Sequence[Submission], *, again: bool = False) -> None:
        """Settles every submission once Temporal has it. ``again`` says that an earlier attempt may have arrived.

        Raises what Temporal's client raises, and UnansweredError; what was settled by then stays so.
        """
        before = await self._deliveries.recall({one.remembered_as for one in batch}, {one.proof for one in batch})
        known = {one.id: one for one in before.found}
        ids_by_proof = {one.proof: one.id for one in before.found if one.proof}
        # Who cannot remember asks the incident itself what it has taken.
        again = again or not before.whole
        fresh: dict[str, Submission] = {}
        for one in batch:
            if one.delivery and one.delivery in known:
                there = known[one.delivery]
                one.settle(there.incident, "recorded" if there.state == "recorded" else "joined")
            else:
                first = ids_by_proof.setdefault(one.proof, one.remembered_as) if one.proof else one.remembered_as
                one.replayed = first != one.remembered_as
                fresh.setdefault(one.id, one)
        await self._send_fresh(incident, list(fresh.values()), known, again=again)
        for one in batch:  # a redelivery within this very batch: answered once the first is durable
            one.settle(incident, "joined")

    async def _send_fresh(
        self, incident: str, fresh: list[Submission], known: dict[str, Delivered], *, again: bool
    ) -> None:
        while fresh:
            part, rest = _cut(fresh)
            outcome = await self._tell(incident, part, known, again=again)
            await self._deliveries.remember(
                [
                    # A proof is kept once, with the id that it first came under.
                    Delivered(one.remembered_as, "" if one.replayed else one.proof, incident, outcome)
                    for one in part
                ]
            )
            for index, one in enumerate(part):
                one.settle(incident, "joined" if outcome == "started" and index > 0 else outcome)
            fresh = rest

    async def _tell(self, incident: str, part: Sequence[Submission], known: Collection[str], *, again: bool) -> Outcome:
        opens = any(_opens(one, known) for one in part)
        arrivals = Arrivals(arrivals=tuple(gather(part)))
        signal_first = again or incident in self._open or not opens
        for attempt in range(ATTEMPTS):
            if signal_first or attempt > 0:
                if await self._signal(incident, arrivals):
                    return "joined"
                if not opens:
                    return "recorded"  # nothing is open that it could clear, or the same was told before
                if again:
                    # The attempt before may have arrived after all, and what it opened be closed by now.
                    taken = await self._taken(incident, [one.id for one in part])
                    left = [one for one in part if one.id not in taken]
                    if not any(_opens(one, known) for one in left):
                        return "recorded"
                    arrivals = Arrivals(arrivals=tuple(gather(left)))
            if await self._start(incident, arrivals):
                return "started"
        raise UnreachableIncidentError("the incident opened and closed faster than it could be reached")

    async def _start(self, incident: str, arrivals: Arrivals) -> bool:
        alert = next(one.alert for one in arrivals.arrivals if one.alert.status != "cleared")
        pairs = [SearchAttributePair(search.STATE, "received")]
        pairs += [SearchAttributePair(search.MODEL, alert.model)] if alert.model else []
        pairs += [SearchAttributePair(search.ENVIRONMENT, alert.environment)] if alert.environment else []
        decision = self._decided(arrivals.arrivals)
        if decision is not None:
            # So that it can be found by them at once, at no event's cost.
            pairs += [SearchAttributePair(key, value) for key, value in search.decided(decision)]
        try:
            await self._client.start_workflow(
                INCIDENT_WORKFLOW,
                Opening(arrivals=arrivals, chronicle=True, frugal=True, decision=decision),
                id=incident,
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                search_attributes=TypedSearchAttributes(pairs),
                static_summary=_summary(alert),
                memo={MONITOR: MonitorMemo(id=alert.monitor_id, identity=alert.identity)},
                rpc_timeout=RPC_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            self._remember_open(incident)
            return False
        self._remember_open(incident)
        return True

    def _decided(self, arrivals: Sequence[Arrival]) -> Decision | None:
        """The loudest decision about the first alerts; of equals, the first. None where the workflow is to ask."""
        if any(one.alert.status != "triggered" for one in arrivals):
            return None
        count = sum(one.count for one in arrivals)
        decisions = [self._decide(one.alert, count) for one in arrivals]
        if any(one is None for one in decisions):
            return None
        return max(filter(None, decisions), key=lambda decision: TIERS.index(decision.tier))

    async def _signal(self, incident: str, arrivals: Arrivals) -> bool:
        without_raw = Arrivals(
            arrivals=tuple(
                one.model_copy(update={"alert": one.alert.model_copy(update={"raw": {}})}) for one in arrivals.arrivals
            )
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

    async def _taken(self, incident: str, ids: Sequence[str]) -> set[str]:
        """Those of the ids that the last opening of the incident has, over as it is.

        Raises UnansweredError where no worker says so, and what Temporal's client raises.
        """
        try:
            asked = EventIds(ids=tuple(ids))
            return set(await self._asker.ask(incident, TAKEN_QUERY, asked, result=list[str], within=RPC_TIMEOUT))
        except RPCError as error:
            never_began = error.status == RPCStatusCode.FAILED_PRECONDITION and "closed before" in error.message
            if error.status == RPCStatusCode.NOT_FOUND or never_began:
                return set()
            if error.status in _NO_WORKER:
                raise UnansweredError(f"no worker says what the last opening of {incident} has taken") from None
            raise

    def _remember_open(self, incident: str) -> None:
        self._open[incident] = None
        self._open.move_to_end(incident)
        if len(self._open) > KNOWN_OPEN:
            self._open.popitem(last=False)


def _opens(one: Submission, known: Collection[str]) -> bool:
    # What was evaluated and told before may join, but an incident that it opened and that is over stays over.
    told = not one.delivery and one.remembered_as in known
    return one.alert.status != "cleared" and not one.replayed and not told


def gather(submissions: Sequence[Submission]) -> list[Arrival]:
    """Alerts in their order, neighbours that are alike in all but id and time as one arrival."""
    groups: list[list[Submission]] = []
    for one in submissions:
        if groups and one.likeness == groups[-1][0].likeness:
            groups[-1].append(one)
        else:
            groups.append([one])
    return [
        Arrival(alert=group[0].alert, count=len(group), event_ids=tuple(one.id for one in group)) for group in groups
    ]


def _cut(submissions: list[Submission]) -> tuple[list[Submission], list[Submission]]:
    """As many as may travel in one signal."""
    entries = 0
    last: Mapping[str, object] | None = None
    for index, one in enumerate(submissions):
        entries += one.likeness != last
        last = one.likeness
        if entries > MAX_ENTRIES:
            return submissions[:index], submissions[index:]
    return submissions, []


def _summary(alert: Alert) -> str:
    where = " · ".join(part for part in (alert.environment, alert.region) if part)
    text = f"{alert.model or alert.monitor}: {alert.metric or alert.monitor}"
    return f"{text} · {where}" if where else text
