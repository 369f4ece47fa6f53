"""Sends the alerts of one incident to Temporal: starts the incident's workflow, or signals it.

Every message is bounded by its encoded size. What Temporal refuses all the same is sent in halves, and at last alone:
without search attributes, then without all that the page can do without.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowQueryFailedError
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from alerts import TocsinError
from alerts.bounded import json_size
from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.earlier_ids import EarlierIds
from gateway.ingest.first_decision import Decide, decide_first, defer_to_worker, to_classify
from gateway.ingest.grouping import Grouping, Ungrouped
from gateway.ingest.incident_finder import IncidentFinder
from gateway.ingest.incident_start import RPC_TIMEOUT, Form, bare, start_incident
from gateway.ingest.last_run import ClosedIncident, closed_incident, is_late, times_of_last_run
from gateway.ingest.monitor_times import Times, log_older, may_any_start
from gateway.ingest.run_limits import RunLimits
from gateway.ingest.seen_events import SeenEvents, all_keys, entries_of
from gateway.ingest.submission import Outcome, Submission, group_repeats, split_batch
from gateway.ingest.suppress import Suppress, suppress_nothing
from gateway.query_client import IncidentQueryClient
from gateway.temporal_errors import describe_error, is_refused
from incident.events import AlertBatch, EventIds
from incident.limits import MESSAGE_BYTES
from incident.order import EventTimes
from workflows.contracts import ADD_ALERTS_SIGNAL, PROCESSED_EVENT_IDS_QUERY

MAX_GROUPS = 50  # groups of repeats in one signal
OPEN_INCIDENTS_CACHE_SIZE = 50_000
MAX_ATTEMPTS = 5
_log = structlog.get_logger()
_NO_WORKER = {RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.FAILED_PRECONDITION, RPCStatusCode.CANCELLED}


class UnreachableIncidentError(TocsinError):
    """The incident opened and closed between every two attempts to reach it."""

    code = "unreachable_incident"


@dataclass(frozen=True)
class Undeliverable:
    """An alert that Temporal refuses in every form, and its reason."""

    submission: Submission
    reason: str


class UnansweredError(TocsinError):
    """Temporal is available, but no worker answers which alerts an incident has processed."""

    code = "unanswered_query"


class IncidentStarter:
    """Starts incidents and signals them; one call at a time for each incident."""

    def __init__(
        self,
        client: Client,
        task_queue: str,
        dedup_store: DedupStore,
        decide: Decide = defer_to_worker,
        *,
        earlier_ids: EarlierIds | None = None,
        grouping: Grouping | None = None,
        suppress: Suppress = suppress_nothing,
    ) -> None:
        """
        Args:
            client: of Temporal.
            task_queue: of the incidents' workflows.
            dedup_store: the alerts that were accepted before.
            decide: the policy's decision about the first alerts; the incident starts with it.
            earlier_ids: finds the open incidents of version 1.0.
            grouping: which incident an alert belongs to; by default, each problem has its own.
            suppress: finds what suppresses the first alerts.
        """
        self._client, self._queries = client, IncidentQueryClient(client)
        self._task_queue = task_queue
        self._dedup_store = dedup_store
        self._decide, self._suppress, self._earlier_ids = decide, suppress, earlier_ids
        self._grouping = grouping or Ungrouped()
        self._finder = IncidentFinder(dedup_store, self._grouping)
        self._limits = RunLimits(client, RPC_TIMEOUT)
        self._open: OrderedDict[str, None] = OrderedDict()

    async def send(
        self,
        incident: str,
        batch: Sequence[Submission],
        *,
        resent: bool = False,
        ask: bool = True,
        is_given: bool = False,
    ) -> list[Undeliverable]:
        """Send alerts, and settle each as soon as Temporal has it.

        Args:
            incident: the id of the incident that all of them belong to, unless their problems are in other open ones.
            batch: in the order in which they arrived.
            resent: an earlier attempt may have reached Temporal.
            ask: if so, ask a closed incident which alerts it has processed. Without an answer they count as new.
            is_given: send them to that incident whatever else holds their problems.

        Returns:
            The alerts that Temporal refuses for good; they are not settled. All others are delivered.

        Raises:
            UnansweredError: ``resent`` alerts cannot be distinguished from processed ones without a worker.
            BusyIncidentError: the incident takes no more alerts until a worker has processed what it has.
            UnreachableIncidentError: the incident opened and closed between the attempts.
            RPCError: Temporal refuses, or is unavailable. So does the client's RuntimeError before its first
                connection. Alerts that were settled by then stay settled.
        """
        keys = [each.keys for each in batch]
        recalled = await self._dedup_store.find(all_keys(keys), {each.signature for each in keys})
        seen = SeenEvents(recalled.entries)
        # Without the dedup store, the incident itself is asked which alerts it has processed.
        resent = resent or not recalled.complete
        new: list[Submission] = []
        for submission in batch:
            if (earlier := seen.find(submission.keys)) is None:
                submission.recall(seen)
                seen.add(submission.keys)
                new.append(submission)
                continue
            submission.replayed = earlier.replayed
            entry = earlier.entry
            if entry.incident:  # otherwise it is in this batch, and both are answered once it is durable
                recorded = entry.state == "recorded" or submission.replayed
                submission.settle(entry.incident, "recorded" if recorded else "joined")
        undeliverable: list[Undeliverable] = []
        sent_to: dict[str, str] = {}
        for target, part in (await self._targets(incident, new, is_given=is_given)).items():
            sent_to |= {each.problem: target for each in part}
            undeliverable += await self._send_new(_Order(target, resent=resent, ask=ask), part)
        left = {each.submission.id for each in undeliverable}
        for submission in batch:  # a redelivery inside this batch is answered once the first is durable
            if submission.id not in left:
                submission.settle(sent_to.get(submission.problem, incident), "joined")
        return undeliverable

    async def _targets(
        self, incident: str, new: Sequence[Submission], *, is_given: bool
    ) -> dict[str, list[Submission]]:
        """By incident, in their order: the alerts that belong to it."""
        of_problem: dict[str, list[Submission]] = {}
        for each in new:
            of_problem.setdefault(each.problem, []).append(each)
        finder, target_of = self._finder, dict[str, str]()
        known: Mapping[str, str] = {} if is_given else await finder.known(of_problem)
        for problem, part in of_problem.items():
            target = incident if is_given else await finder.find(problem, part, known.get(problem, ""), self._is_open)
            if self._earlier_ids is not None:
                target = await self._send_to_earlier(self._earlier_ids, target, part)
            target_of[problem] = target
        targets: dict[str, list[Submission]] = {}
        for each in new:
            targets.setdefault(target_of[each.problem], []).append(each)
        return targets

    async def _is_open(self, incident: str) -> bool:
        """Raises RPCError: Temporal is unavailable."""
        if incident in self._open:
            return True
        try:
            described = await self._client.get_workflow_handle(incident).describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return False
        return described.status is WorkflowExecutionStatus.RUNNING

    async def _send_to_earlier(self, earlier_ids: EarlierIds, incident: str, new: Sequence[Submission]) -> str:
        """The incident for alerts: one of version 1.0 for as long as it is open. Clears go to its others as well."""
        clears = [each for each in new if each.alert.status == "cleared"]
        incident, *others = await earlier_ids.current(incident, (clears or new)[0].alert)
        for other in others:
            left = clears
            while left:
                part, left = split_batch(left, MAX_GROUPS, MESSAGE_BYTES)
                await self._signal(other, part, "whole", Times())
        return incident

    async def _send_new(self, order: "_Order", submissions: list[Submission]) -> list[Undeliverable]:
        undeliverable: list[Undeliverable] = []
        while submissions:
            part, submissions = split_batch(submissions, MAX_GROUPS, MESSAGE_BYTES)
            undeliverable += await self._send_part(order, part)
        return undeliverable

    async def _send_part(self, order: "_Order", part: list[Submission]) -> list[Undeliverable]:
        """Send it, and what Temporal refuses in halves: one alert that it refuses costs no other."""
        try:
            outcome = await self._start_or_signal(order, part, "whole")
        except RPCError as error:
            if not is_refused(error):
                raise
            if len(part) > 1:
                middle = len(part) // 2
                return [
                    *await self._send_part(order, part[:middle]),
                    *await self._send_part(order, part[middle:]),
                ]
            return await self._send_reduced(order, part[0], error)
        await self._settle(order, part, outcome)
        return []

    async def _send_reduced(self, order: "_Order", one: Submission, refusal: RPCError) -> list[Undeliverable]:
        forms: tuple[Form, ...] = ("unlisted", "bare")
        for form in forms:
            try:
                outcome = await self._start_or_signal(order, [one], form)
            except RPCError as error:
                if not is_refused(error):
                    raise
                refusal = error
                continue
            _log.error("alert_reduced", incident=order.incident, form=form, error=describe_error(refusal))
            await self._settle(order, [one], outcome)
            return []
        return [Undeliverable(one, describe_error(refusal))]

    async def _settle(self, order: "_Order", part: Sequence[Submission], outcome: Outcome) -> None:
        await self._remember(order.incident, part, outcome)
        await self._dedup_store.add(
            # A copy of signed bytes is stored under no other id: that id may be the next event's.
            [one for each in part if not each.replayed for one in entries_of(each.keys, order.incident, outcome)]
        )
        for index, each in enumerate(part):
            each.settle(order.incident, "joined" if outcome == "started" and index > 0 else outcome)

    async def _start_or_signal(self, order: "_Order", part: Sequence[Submission], form: Form) -> Outcome:
        incident, times = order.incident, Times()
        may_start = any(each.may_start for each in part)
        if may_start and (incident not in self._open or not self._finder.holds(incident, part)):
            times = await self._times(incident, part)
            may_start = may_any_start(part, times)
        signal_first = order.resent or incident in self._open or not may_start
        closed: ClosedIncident | None = None
        for attempt in range(MAX_ATTEMPTS):
            if signal_first or attempt > 0:
                is_known = incident in self._open
                if await self._signal(incident, part, form, times):
                    return "joined"
                if may_start and is_known:  # it has closed since it was last reached
                    times = await self._times(incident, part)
                    may_start = may_any_start(part, times)
                if not may_start:
                    # Nothing is open that it could clear, or it is a repeat of an accepted alert, or the monitor has
                    # cleared since.
                    log_older(incident, part, times)
                    return "recorded"
                if order.resent:
                    # An earlier attempt may have arrived after all, and the incident that it started may be closed.
                    processed = await self._processed(incident, [each.id for each in part], ask=order.ask)
                    part = [each for each in part if each.id not in processed]
                    if not may_any_start(part, times):
                        return "recorded"
                if self._grouping.reopens:
                    closed = await closed_incident(self._client, incident, RPC_TIMEOUT)
            if await self._start(incident, part, form, times, closed):
                return "started"
        raise UnreachableIncidentError(f"{incident} opened and closed between {MAX_ATTEMPTS} attempts to reach it")

    async def _times(self, incident: str, part: Sequence[Submission]) -> Times:
        """When each monitor last triggered and cleared. The database may have been unavailable at that time."""
        times = Times(await self._dedup_store.find_times({each.problem for each in part}))
        if any(map(is_late, part)):
            last, now = await times_of_last_run(self._client, incident, RPC_TIMEOUT), datetime.now(UTC)
            for problem in {each.problem for each in part}:
                times.add(problem, last.of_problem(problem), now)
        return times

    async def _remember(self, incident: str, part: Sequence[Submission], outcome: Outcome) -> None:
        """Where each problem is. The last clear outlives the incident; an opening's own time shows whether the sender
        states a constant."""
        times, now = dict[str, EventTimes](), datetime.now(UTC)
        for each in part:
            mine = times.setdefault(each.problem, EventTimes())
            if each.alert.status == "cleared":
                mine.add_clear(each.alert.ordering_time, now)
            elif outcome == "started":
                mine.add_trigger(each.alert.ordering_time, now)
        for problem, found in times.items():
            if (stored := found.of_monitor()) != EventTimes():
                await self._dedup_store.add_times(problem, stored)
        if outcome != "recorded":
            await self._finder.remember(incident, {each.problem for each in part})

    async def _start(
        self,
        incident: str,
        part: Sequence[Submission],
        form: Form,
        times: Times,
        closed: ClosedIncident | None,
    ) -> bool:
        """False if the incident is open already, or if it may have to be opened again.

        Args:
            closed: its last run; None if there is none, or if nothing is known of it yet.
        """
        first = await self._suppress(incident, decide_first(times.on(group_repeats(part)), self._decide))
        try:
            await start_incident(
                self._client,
                self._task_queue,
                incident,
                first,
                identity=next(each.alert for each in part if each.alert.status != "cleared").identity,
                form=form,
                reopened=closed.state if closed else None,
                only_if_new=self._grouping.reopens and closed is None,
            )
        except WorkflowAlreadyStartedError:
            self._remember_open(incident)
            return False
        self._remember_open(incident)
        return True

    async def _signal(self, incident: str, part: Sequence[Submission], form: Form, times: Times) -> bool:
        """False if no such incident is open."""
        alerts = to_classify(times.on(group_repeats(part)))
        batch = AlertBatch(alerts=tuple(map(bare, alerts)) if form == "bare" else alerts)
        await self._limits.wait_for_turn(incident)
        try:
            await self._limits.ensure_room(incident, json_size(batch))
            await self._client.get_workflow_handle(incident).signal(ADD_ALERTS_SIGNAL, batch, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            self._open.pop(incident, None)
            return False
        self._remember_open(incident)
        return True

    async def _processed(self, incident: str, ids: Sequence[str], *, ask: bool) -> set[str]:
        """Those of the ids that the incident's latest execution has processed, even if it is closed.

        None if its code fails, or does not answer for long: then the alerts count as new, and are paged.
        """
        if not ask:
            return set()
        try:
            arguments = EventIds(ids=tuple(ids))
            processed = await self._queries.ask(
                incident, PROCESSED_EVENT_IDS_QUERY, arguments, result=list[str], within=RPC_TIMEOUT
            )
        except WorkflowQueryFailedError as error:
            _log.error("processed_alerts_unknown", incident=incident, error=describe_error(error))
            return set()
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


@dataclass(frozen=True)
class _Order:
    """What is the same for all alerts of one call of ``send``."""

    incident: str
    resent: bool
    ask: bool
