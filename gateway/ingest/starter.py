"""Sends the alerts of one incident to Temporal: starts the incident's workflow, or signals it."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from temporalio.client import Client
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from alerts import Alert, TocsinError
from gateway.ingest.dedup_store import DedupEntry, DedupStore
from gateway.ingest.submission import Outcome, Submission, group_repeats, split_batch
from gateway.query_client import IncidentQueryClient
from incident.events import AlertBatch, EventIds, GroupedAlert
from policy import Decision
from policy.decision import TIERS
from workflows import search_attributes
from workflows.contracts import (
    ADD_ALERTS_SIGNAL,
    INCIDENT_WORKFLOW,
    MONITOR_MEMO,
    PROCESSED_EVENT_IDS_QUERY,
    IncidentInput,
    MonitorMemo,
)

MAX_GROUPS = 50  # groups of repeats in one signal
OPEN_INCIDENTS_CACHE_SIZE = 50_000
RPC_TIMEOUT = timedelta(seconds=5)
MAX_ATTEMPTS = 5
_NO_WORKER = {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.CANCELLED}

Decide = Callable[[Alert, int], Decision | None]
"""The policy's decision about an alert and how often it came; None leaves the decision to a worker."""


def defer_to_worker(alert: Alert, count: int) -> None:
    """A ``Decide`` that leaves every decision to a worker."""
    del alert, count


class UnreachableIncidentError(TocsinError):
    """The incident opened and closed between every two attempts to reach it."""

    code = "unreachable_incident"


class UnansweredError(TocsinError):
    """Temporal is available, but no worker answers which alerts an incident has processed."""

    code = "unanswered_query"


class IncidentStarter:
    """Starts incidents and signals them; one call at a time for each incident."""

    def __init__(
        self, client: Client, task_queue: str, dedup_store: DedupStore, decide: Decide = defer_to_worker
    ) -> None:
        """
        Args:
            client: of Temporal.
            task_queue: of the incidents' workflows.
            dedup_store: the alerts that were accepted before.
            decide: the policy's decision about the first alerts; the incident starts with it.
        """
        self._client, self._queries = client, IncidentQueryClient(client)
        self._task_queue = task_queue
        self._dedup_store = dedup_store
        self._decide = decide
        self._open: OrderedDict[str, None] = OrderedDict()

    async def send(self, incident: str, batch: Sequence[Submission], *, resent: bool = False) -> None:
        """Send alerts, and settle each as soon as Temporal has it.

        Args:
            incident: the id of the incident that all of them belong to.
            batch: in the order in which they arrived.
            resent: an earlier attempt may have reached Temporal.

        Raises:
            UnansweredError: ``resent`` alerts cannot be distinguished from processed ones without a worker.
            UnreachableIncidentError: the incident opened and closed between the attempts.
            RPCError: Temporal refuses, or is unavailable. So does the client's RuntimeError before its first
                connection. Alerts that were settled by then stay settled.
        """
        ids, digests = {each.dedup_id for each in batch}, {each.signature_digest for each in batch}
        recalled = await self._dedup_store.find(ids, digests)
        known = {entry.id: entry for entry in recalled.entries}
        ids_by_digest = {entry.signature_digest: entry.id for entry in recalled.entries if entry.signature_digest}
        # Without the dedup store, the incident itself is asked which alerts it has processed.
        resent = resent or not recalled.complete
        new: dict[str, Submission] = {}
        for submission in batch:
            if submission.event_id and submission.event_id in known:
                entry = known[submission.event_id]
                submission.settle(entry.incident, "recorded" if entry.state == "recorded" else "joined")
                continue
            if submission.signature_digest:
                first_id = ids_by_digest.setdefault(submission.signature_digest, submission.dedup_id)
                submission.replayed = first_id != submission.dedup_id
            new.setdefault(submission.id, submission)
        await self._send_new(incident, list(new.values()), known, resent=resent)
        for submission in batch:  # a redelivery inside this batch is answered once the first is durable
            submission.settle(incident, "joined")

    async def _send_new(
        self, incident: str, submissions: list[Submission], known: dict[str, DedupEntry], *, resent: bool
    ) -> None:
        while submissions:
            part, submissions = split_batch(submissions, MAX_GROUPS)
            outcome = await self._start_or_signal(incident, part, known, resent=resent)
            await self._dedup_store.add(
                [
                    # A digest is stored once, with the event id under which it came first.
                    DedupEntry(each.dedup_id, "" if each.replayed else each.signature_digest, incident, outcome)
                    for each in part
                ]
            )
            for index, each in enumerate(part):
                each.settle(incident, "joined" if outcome == "started" and index > 0 else outcome)

    async def _start_or_signal(
        self, incident: str, part: Sequence[Submission], known: Collection[str], *, resent: bool
    ) -> Outcome:
        may_start = any(_may_start(each, known) for each in part)
        batch = AlertBatch(alerts=tuple(group_repeats(part)))
        signal_first = resent or incident in self._open or not may_start
        for attempt in range(MAX_ATTEMPTS):
            if signal_first or attempt > 0:
                if await self._signal(incident, batch):
                    return "joined"
                if not may_start:
                    return "recorded"  # nothing is open that it could clear, or it is a repeat of an accepted alert
                if resent:
                    # An earlier attempt may have arrived after all, and the incident that it started may be closed.
                    processed = await self._processed(incident, [each.id for each in part])
                    left = [each for each in part if each.id not in processed]
                    if not any(_may_start(each, known) for each in left):
                        return "recorded"
                    batch = AlertBatch(alerts=tuple(group_repeats(left)))
            if await self._start(incident, batch):
                return "started"
        raise UnreachableIncidentError(f"{incident} opened and closed between {MAX_ATTEMPTS} attempts to reach it")

    async def _start(self, incident: str, batch: AlertBatch) -> bool:
        """False if the incident is open already."""
        alert = next(each.alert for each in batch.alerts if each.alert.status != "cleared")
        pairs = [SearchAttributePair(search_attributes.STATE, "received")]
        pairs += [SearchAttributePair(search_attributes.MODEL, alert.model)] if alert.model else []
        pairs += [SearchAttributePair(search_attributes.ENVIRONMENT, alert.environment)] if alert.environment else []
        decision = self._decision(batch.alerts)
        if decision is not None:
            # Lists find the incident by its decision at once, and its history needs no event for it.
            pairs += [SearchAttributePair(key, value) for key, value in search_attributes.of_decision(decision)]
        try:
            await self._client.start_workflow(
                INCIDENT_WORKFLOW,
                IncidentInput(alerts=batch, decision=decision),
                id=incident,
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                search_attributes=TypedSearchAttributes(pairs),
                static_summary=_summary(alert),
                memo={MONITOR_MEMO: MonitorMemo(id=alert.monitor_id, identity=alert.identity)},
                rpc_timeout=RPC_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            self._remember_open(incident)
            return False
        self._remember_open(incident)
        return True

    def _decision(self, alerts: Sequence[GroupedAlert]) -> Decision | None:
        """The loudest decision about the first alerts; the first of equals. None if a worker has to decide."""
        if any(each.alert.status != "triggered" for each in alerts):
            return None
        count = sum(each.count for each in alerts)
        decisions = [self._decide(each.alert, count) for each in alerts]
        if any(decision is None for decision in decisions):
            return None
        return max(filter(None, decisions), key=lambda decision: TIERS.index(decision.tier))

    async def _signal(self, incident: str, batch: AlertBatch) -> bool:
        """False if no such incident is open."""
        without_raw = AlertBatch(
            alerts=tuple(
                each.model_copy(update={"alert": each.alert.model_copy(update={"raw": {}})}) for each in batch.alerts
            )
        )
        try:
            await self._client.get_workflow_handle(incident).signal(
                ADD_ALERTS_SIGNAL, without_raw, rpc_timeout=RPC_TIMEOUT
            )
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            self._open.pop(incident, None)
            return False
        self._remember_open(incident)
        return True

    async def _processed(self, incident: str, ids: Sequence[str]) -> set[str]:
        """Those of the ids that the incident's latest execution has processed, even if it is closed."""
        try:
            arguments = EventIds(ids=tuple(ids))
            processed = await self._queries.ask(
                incident, PROCESSED_EVENT_IDS_QUERY, arguments, result=list[str], within=RPC_TIMEOUT
            )
        except RPCError as error:
            never_ran = error.status == RPCStatusCode.FAILED_PRECONDITION and "closed before" in error.message
            if error.status == RPCStatusCode.NOT_FOUND or never_ran:
                return set()
            if error.status in _NO_WORKER:
                raise UnansweredError(f"no worker answers which alerts {incident} has processed") from None
            raise
        return set(processed)

    def _remember_open(self, incident: str) -> None:
        self._open[incident] = None
        self._open.move_to_end(incident)
        if len(self._open) > OPEN_INCIDENTS_CACHE_SIZE:
            self._open.popitem(last=False)


def _may_start(submission: Submission, known: Collection[str]) -> bool:
    """Whether it may start an incident. A repeat of an accepted evaluation may only join one."""
    repeated = not submission.event_id and submission.dedup_id in known
    return submission.alert.status != "cleared" and not submission.replayed and not repeated


def _summary(alert: Alert) -> str:
    """The incident in the Temporal UI's list."""
    place = " · ".join(part for part in (alert.environment, alert.region) if part)
    text = f"{alert.model or alert.monitor}: {alert.metric or alert.monitor}"
    return f"{text} · {place}" if place else text
