"""Temporal's side of the reconcile schedule: the incidents that exist, and the schedule itself."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

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
    WorkflowFailureError,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.reconcile import KnownIncident, Reconciler
from alerts import Alert
from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.starter import Decide, IncidentStarter
from gateway.ingest.submission import Submission
from gateway.query_client import IncidentQueryClient
from incident.view import IncidentView
from integrations.arize.client import ArizeApi
from worker.retries import retry_forever
from worker.schedules import delete_schedule, put_schedule
from worker.settings import Settings
from workflows.contracts import (
    INCIDENT_QUERY,
    INCIDENT_WORKFLOW,
    MONITOR_MEMO,
    RECONCILE_WORKFLOW,
    IncidentResult,
    MonitorMemo,
    ReconcileInput,
)

SCHEDULE = "reconcile"
"""The id of the schedule and of its workflows."""
GRACE = 45.0  # seconds that a webhook which is under way gets to arrive
QUERY_TIMEOUT = timedelta(seconds=10)
_INCIDENTS = f"WorkflowType = '{INCIDENT_WORKFLOW}'"


class TemporalIncidents:
    """The incidents in a Temporal namespace: the ``IncidentDirectory`` of ``activities.reconcile``."""

    def __init__(self, client: Client, task_queue: str, dedup_store: DedupStore, decide: Decide) -> None:
        self._client, self._queries = client, IncidentQueryClient(client)
        self._starter = IncidentStarter(client, task_queue, dedup_store, decide)

    async def known(self, since: datetime) -> list[KnownIncident]:
        closed = f"ExecutionStatus = 'Completed' AND CloseTime > '{since.astimezone(UTC).isoformat()}'"
        found = [one async for one in self._list(f"{_INCIDENTS} AND ExecutionStatus = 'Running'")]
        return found + [one async for one in self._list(f"{_INCIDENTS} AND {closed}")]

    async def last(self, incident: str) -> KnownIncident | None:
        try:
            return await self._known(await self._client.get_workflow_handle(incident).describe())
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

    async def is_cleared(self, incident: str) -> bool:
        view = await self._view(incident)
        return view is None or view.cleared or view.state in {"resolved", "closed"}

    async def deliver(self, incident: str, alert: Alert) -> None:
        await self._starter.send(incident, [Submission(alert, alert.event_id)], resent=True)

    async def _list(self, query: str) -> AsyncIterator[KnownIncident]:
        async for execution in self._client.list_workflows(query, page_size=1000):
            known = await self._known(execution)
            if known is not None:
                yield known

    async def _known(self, execution: WorkflowExecution) -> KnownIncident | None:
        """None if the incident's alerts name no monitor id."""
        memo: MonitorMemo | None = await execution.memo_value(MONITOR_MEMO, None, type_hint=MonitorMemo)
        if memo is None or not memo.id:
            return None
        return KnownIncident(
            execution.id, execution.run_id, memo.id, memo.identity, execution.start_time, execution.close_time
        )

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


def arize_api(settings: Settings) -> ArizeApi:
    """The API of the Arize space in the settings. Without an API key, every request fails."""
    return ArizeApi(settings.arize_api_key.get_secret_value(), settings.arize_api_url, settings.arize_space_id)


def create_reconciler(settings: Settings, client: Client, arize: ArizeApi, decide: Decide) -> Reconciler:
    dedup_store = DedupStore(settings.dedup_store_url)
    return Reconciler(arize, TemporalIncidents(client, settings.task_queue, dedup_store, decide))


async def maintain_schedule(client: Client, settings: Settings) -> None:
    """Create, update or delete the schedule as the settings say, and retry until Temporal accepts it."""
    async for attempt in retry_forever("reconcile_schedule_failed", RPCError):
        with attempt:
            await _maintain(client, settings)


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
            ReconcileInput(grace=GRACE / settings.speed),
            id=SCHEDULE,
            task_queue=settings.task_queue,
            static_summary="Find missed webhooks by polling Arize",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
        state=ScheduleState(note="Opens incidents for missed alerts, and applies missed clears."),
    )
    await put_schedule(client, SCHEDULE, schedule, settings.task_queue)
