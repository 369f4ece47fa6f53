"""Temporal's side of the reconcile schedule: the incidents that exist, and the schedule itself."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from temporalio.api.common.v1 import WorkflowExecution as Execution
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    WorkflowExecution,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.ended import EndedIncident, EndedIncidents
from activities.reconcile import KnownIncident, Reconciler
from alerts import Alert
from alerts.bounded import cut_text
from audit import AuditLog
from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.first_decision import Decide, defer_to_worker
from gateway.ingest.grouping import Grouping
from gateway.ingest.starter import IncidentStarter
from gateway.ingest.submission import Submission
from gateway.ingest.suppress import Suppress, suppress_nothing
from gateway.list_query import incidents_of, open_incidents_of
from gateway.monitor_memo import monitor_memo
from gateway.query_client import IncidentQueryClient
from incident.limits import ACTION_NAME_BYTES
from incident.view import IncidentView
from integrations.base.destination import Destination
from policy import Policy
from worker.arize import Arize
from worker.retries import retry_forever
from worker.schedules import delete_schedule, put_schedule
from worker.settings import Settings
from workflows import search_attributes
from workflows.contracts import (
    INCIDENT_QUERY,
    PROBLEMS_QUERY,
    RECONCILE_WORKFLOW,
    HeldProblem,
    IncidentResult,
    ReconcileInput,
)

SCHEDULE = "reconcile"
"""The id of the schedule and of its workflows."""
GRACE = 45.0  # seconds that a webhook which is under way gets to arrive
ENDED_SCHEDULE = "ended-incidents"
"""The id of the schedule that finds incidents which ended outside Tocsin, and of its workflows."""
ENDED_INTERVAL = 60.0  # seconds
MAX_ENDED = 50  # reported by one run; the next finds the rest
QUERY_TIMEOUT = timedelta(seconds=10)

_log = structlog.get_logger()


class TemporalIncidents:
    """The incidents in a Temporal namespace: the ``IncidentDirectory`` of ``activities.reconcile``."""

    def __init__(
        self,
        client: Client,
        task_queue: str,
        dedup_store: DedupStore,
        decide: Decide,
        grouping: Grouping | None = None,
        suppress: Suppress = suppress_nothing,
    ) -> None:
        self._client, self._queries, self.task_queue = client, IncidentQueryClient(client), task_queue
        self._starter = IncidentStarter(client, task_queue, dedup_store, decide, grouping=grouping, suppress=suppress)

    async def known(self, since: datetime) -> list[KnownIncident]:
        closed = f"ExecutionStatus = 'Completed' AND CloseTime > '{since.astimezone(UTC).isoformat()}'"
        found = [one async for one in self._list(open_incidents_of(self.task_queue))]
        return found + [one async for one in self._list(f"{incidents_of(self.task_queue)} AND {closed}")]

    async def last(self, incident: str) -> KnownIncident | None:
        try:
            known = await self._known(await self._client.get_workflow_handle(incident).describe())
            return next(iter(known), None)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def closed_by(self, one: KnownIncident) -> str:
        handle = self._client.get_workflow_handle(one.incident, run_id=one.run, result_type=IncidentResult)
        try:
            return (await handle.result()).closed_by
        except WorkflowFailureError:
            return "an operator, in Temporal"

    async def is_cleared(self, known: KnownIncident) -> bool:
        view = await self._view(known.incident)
        if view is None or view.cleared or view.state in {"resolved", "closed"}:
            return True
        problems = await self._problems(known.incident, None) if len(view.problems) > 1 else []
        return any(one.problem == known.problem and one.cleared for one in problems)

    async def deliver(self, known: KnownIncident, alert: Alert) -> None:
        await self.add(known.incident, alert, known.problem)

    async def open(self, incident: str, alert: Alert) -> str:
        submission = Submission(alert, alert.event_id)
        await self._starter.send(incident, [submission], resent=True)
        return submission.done.result().incident if submission.done.done() else incident

    async def add(self, incident: str, alert: Alert, problem: str = "") -> None:
        """Add an alert to that incident, or open it, durably."""
        submission = Submission(alert, alert.event_id, of_problem=problem)
        await self._starter.send(incident, [submission], resent=True, is_given=True)

    async def _list(self, query: str) -> AsyncIterator[KnownIncident]:
        async for execution in self._client.list_workflows(query, page_size=1000):
            for known in await self._known(execution):
                yield known

    async def _known(self, execution: WorkflowExecution) -> list[KnownIncident]:
        """The incident with each of its monitors; none if its alerts name no monitor's id."""
        memo = await monitor_memo(execution)
        if memo is None:
            return []
        state = execution.typed_search_attributes.get(search_attributes.STATE)
        own = KnownIncident(
            execution.id,
            execution.run_id,
            memo.id,
            memo.identity,
            execution.start_time,
            execution.close_time,
            may_be_over=state in {None, "awaiting_human", "resolved"},
            problem=execution.id,
        )
        found = await self._problems(execution.id, execution.run_id) if memo.grouped else []
        of_problems = [
            replace(
                own,
                monitor_id=one.monitor_id,
                identity=one.identity,
                opened_at=one.since,
                may_be_over=own.may_be_over or one.cleared,
                problem=one.problem,
            )
            for one in found
        ]
        return [one for one in of_problems or [own] if one.monitor_id]

    async def _problems(self, incident: str, run: str | None) -> list[HeldProblem]:
        """None if no worker answers: then the incident stands for its first monitor."""
        try:
            return await self._queries.ask(
                incident, PROBLEMS_QUERY, result=list[HeldProblem], within=QUERY_TIMEOUT, run_id=run
            )
        except (WorkflowQueryFailedError, RPCError) as error:
            _log.warning("incident_problems_unknown", incident=incident, error=str(error))
            return []

    async def _view(self, incident: str) -> IncidentView | None:
        """None if the incident is gone, or its workflow code fails."""
        try:
            return await self._queries.ask(incident, INCIDENT_QUERY, result=IncidentView, within=QUERY_TIMEOUT)
        except WorkflowQueryFailedError:
            return None
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise


class EndedWorkflows:
    """The incidents that ended outside Tocsin: the ``EndedDirectory`` of ``activities.ended``."""

    def __init__(self, client: Client, incidents: TemporalIncidents) -> None:
        self._client, self._incidents = client, incidents
        self._queries = IncidentQueryClient(client)

    async def ended(self, since: datetime, known: Callable[[str, str], bool]) -> list[EndedIncident]:
        states = "ExecutionStatus IN ('Terminated', 'Failed', 'Canceled', 'TimedOut')"
        ended = f"CloseTime > '{since.astimezone(UTC).isoformat()}'"
        query = f"{incidents_of(self._incidents.task_queue)} AND {states} AND {ended}"
        found: list[EndedIncident] = []
        async for execution in self._client.list_workflows(query, page_size=1000):
            handle = self._client.get_workflow_handle(execution.id, run_id=execution.run_id)
            described = await handle.describe()
            first_run = described.raw_description.workflow_execution_info.first_run_id or execution.run_id
            if len(found) >= MAX_ENDED:
                break
            if not await asyncio.to_thread(known, execution.id, first_run):
                found.append(await self._read(described, first_run))
        return found

    async def is_open(self, incident: str) -> bool:
        return (await self._client.get_workflow_handle(incident).describe()).status == WorkflowExecutionStatus.RUNNING

    async def deliver(self, incident: str, alert: Alert) -> None:
        await self._incidents.add(incident, alert)

    async def _read(self, execution: WorkflowExecutionDescription, first_run: str) -> EndedIncident:
        view = await self._view(execution)
        memo = await monitor_memo(execution)
        attributes = execution.typed_search_attributes
        monitor = memo.id if memo else ""
        alert = view.alert if view else None
        by, reason = await self._last_event(execution)
        return EndedIncident(
            incident=execution.id,
            run_id=execution.run_id,
            first_run_id=first_run,
            how=execution.status.name.lower().replace("_", " ") if execution.status else "ended",
            ended_at=execution.close_time or datetime.now(UTC),
            by=by,
            reason=reason,
            view=view,
            alert=alert
            or Alert(
                monitor=monitor or execution.id,
                monitor_id=monitor,
                model=attributes.get(search_attributes.MODEL) or "",
                environment=attributes.get(search_attributes.ENVIRONMENT) or "",
                identity=memo.identity if memo else (),
            ),
        )

    async def _view(self, execution: WorkflowExecutionDescription) -> IncidentView | None:
        """None if the incident's code fails, or no worker answers in time."""
        try:
            return await self._queries.ask(
                execution.id, INCIDENT_QUERY, result=IncidentView, within=QUERY_TIMEOUT, run_id=execution.run_id
            )
        except (WorkflowQueryFailedError, RPCError):
            return None

    async def _last_event(self, execution: WorkflowExecutionDescription) -> tuple[str, str]:
        """Who ended it, and why, if Temporal knows."""
        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=self._client.namespace,
            execution=Execution(workflow_id=execution.id, run_id=execution.run_id),
            maximum_page_size=1,
        )
        answer = await self._client.workflow_service.get_workflow_execution_history_reverse(request)
        for event in answer.history.events:
            terminated = event.workflow_execution_terminated_event_attributes
            return cut_text(terminated.identity, ACTION_NAME_BYTES), cut_text(terminated.reason, ACTION_NAME_BYTES)
        return "", ""


def create_ended_incidents(
    settings: Settings,
    client: Client,
    log: AuditLog,
    destinations: Mapping[str, Destination],
    policy: Callable[[], Policy],
) -> EndedIncidents:
    incidents = TemporalIncidents(client, settings.task_queue, DedupStore(settings.dedup_store_url), defer_to_worker)
    return EndedIncidents(EndedWorkflows(client, incidents), log, destinations, policy)


def create_reconciler(
    settings: Settings,
    client: Client,
    arize: Arize,
    decide: Decide,
    grouping: Grouping,
    suppress: Suppress = suppress_nothing,
) -> Reconciler:
    dedup_store = DedupStore(settings.dedup_store_url)
    incidents = TemporalIncidents(client, settings.task_queue, dedup_store, decide, grouping, suppress)
    return Reconciler(arize.rest, incidents, arize.describer, arize.descriptions, arize.health.report_monitors)


async def maintain_schedule(client: Client, settings: Settings) -> None:
    """Create, update or delete the schedule as the settings say, and retry until Temporal accepts it."""
    async for attempt in retry_forever("reconcile_schedule_failed", RPCError):
        with attempt:
            await _maintain_ended(client, settings)
            await _maintain(client, settings)


async def _maintain_ended(client: Client, settings: Settings) -> None:
    """The schedule that finds incidents which ended outside Tocsin. It needs no API key of Arize."""
    every = max(timedelta(seconds=ENDED_INTERVAL / settings.speed), timedelta(seconds=1))
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            RECONCILE_WORKFLOW,
            ReconcileInput(arize=False, ended=True),
            id=ENDED_SCHEDULE,
            task_queue=settings.task_queue,
            static_summary="Report incidents that ended outside Tocsin",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
        state=ScheduleState(note="Records incidents whose workflows were terminated, and opens regulated ones again."),
    )
    await put_schedule(client, ENDED_SCHEDULE, schedule, settings.task_queue)


async def _maintain(client: Client, settings: Settings) -> None:
    if not settings.reconcile_interval:
        await delete_schedule(client, SCHEDULE, settings.task_queue)
        return
    if not settings.arize_api_key:
        return  # another worker may have one
    every = max(timedelta(seconds=settings.reconcile_interval / settings.speed), timedelta(seconds=1))
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            RECONCILE_WORKFLOW,
            ReconcileInput(grace=GRACE / settings.speed, describe=True),
            id=SCHEDULE,
            task_queue=settings.task_queue,
            static_summary="Find missed webhooks by polling Arize",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
        state=ScheduleState(
            note="Opens incidents for missed alerts, applies missed clears, and refreshes descriptions."
        ),
    )
    await put_schedule(client, SCHEDULE, schedule, settings.task_queue)
