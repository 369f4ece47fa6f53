"""What a round of catching up needs of Temporal: the incidents that there are, and the schedule that begins it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import structlog
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
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

from activities.arize import ROOT, ArizeApi
from activities.catch_up import CatchUp, Known
from activities.contracts import CATCH_UP_WORKFLOW, CatchUpDue
from alerts import Alert
from gateway.asking import Asker
from gateway.deliveries import Deliveries
from gateway.handover import Decide, Handover, Submission
from worker.schedules import drop_schedule, put_schedule
from worker.settings import Settings
from workflows.messages import INCIDENT_QUERY, INCIDENT_WORKFLOW, MONITOR, Closing, IncidentView, MonitorMemo

NAME = "catch-up"
_INCIDENTS = f"WorkflowType = '{INCIDENT_WORKFLOW}'"

_log = structlog.get_logger()


class OpenIncidents:
    """The incidents of a Temporal namespace, as ``activities.catch_up`` asks for them."""

    def __init__(self, client: Client, task_queue: str, deliveries: Deliveries, decide: Decide) -> None:
        self._client, self._asker = client, Asker(client)
        self._handover = Handover(client, task_queue, deliveries, decide)

    async def known(self, since: datetime) -> list[Known]:
        closed = f"ExecutionStatus = 'Completed' AND CloseTime > '{since.astimezone(UTC).isoformat()}'"
        found = [one async for one in self._list(f"{_INCIDENTS} AND ExecutionStatus = 'Running'")]
        return found + [one async for one in self._list(f"{_INCIDENTS} AND {closed}")]

    async def last(self, incident: str) -> Known | None:
        try:
            return await self._known(await self._client.get_workflow_handle(incident).describe())
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def closed_by(self, one: Known) -> str:
        handle = self._client.get_workflow_handle(one.incident, run_id=one.run, result_type=Closing)
        try:
            return (await handle.result()).by
        except WorkflowFailureError:
            return "an operator, in Temporal"

    async def is_cleared(self, incident: str) -> bool:
        view = await self._view(incident)
        return view is None or view.cleared or view.state in {"resolved", "closed"}

    async def take(self, incident: str, alert: Alert) -> None:
        await self._handover.send(incident, [Submission(alert, alert.event_id)], again=True)

    async def _list(self, query: str) -> AsyncIterator[Known]:
        async for execution in self._client.list_workflows(query, page_size=1000):
            known = await self._known(execution)
            if known is not None:
                yield known

    async def _known(self, execution: WorkflowExecution) -> Known | None:
        """None where it does not know its monitor's id."""
        memo: MonitorMemo | None = await execution.memo_value(MONITOR, None, type_hint=MonitorMemo)
        if memo is None and execution.status == WorkflowExecutionStatus.RUNNING:  # begun by 0.2.0, which kept none
            view = await self._view(execution.id)
            if view is not None and view.alert is not None:
                memo = MonitorMemo(id=view.alert.monitor_id, identity=view.alert.identity)
        if memo is None or not memo.id:
            return None
        return Known(execution.id, execution.run_id, memo.id, memo.identity, execution.start_time, execution.close_time)

    async def _view(self, incident: str) -> IncidentView | None:
        try:
            within = timedelta(seconds=10)
            return await self._asker.ask(incident, INCIDENT_QUERY, result=IncidentView, within=within)
        except WorkflowQueryFailedError:
            return None
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise


def arize_api(settings: Settings) -> ArizeApi:
    """Of the workspace that the environment names; without a key it can be asked for nothing."""
    environment = settings.environment
    root = environment.get("ARIZE_API_URL") or ROOT
    return ArizeApi(environment.get("ARIZE_API_KEY", ""), root, environment.get("ARIZE_SPACE_ID", ""))


def create_catch_up(settings: Settings, client: Client, arize: ArizeApi, decide: Decide) -> CatchUp:
    deliveries = Deliveries(settings.deliveries_url)
    return CatchUp(arize, OpenIncidents(client, settings.task_queue, deliveries, decide))


async def keep_schedule(client: Client, settings: Settings) -> None:
    """Have the rounds begun as the settings say, for as long as it takes to say so."""
    wait = 1.0
    while True:
        try:
            await _keep(client, settings)
        except RPCError as error:
            _log.warning("the schedule for catching up is not set yet", error=error.message[:200])
            await asyncio.sleep(wait)
            wait = min(wait * 2, 60.0)
        else:
            return


async def _keep(client: Client, settings: Settings) -> None:
    if not settings.catch_up:
        await drop_schedule(client, NAME, settings.task_queue)
        return
    if not settings.environment.get("ARIZE_API_KEY"):
        return  # another worker may have it
    every = max(timedelta(seconds=settings.catch_up / settings.speed), timedelta(seconds=1))
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            CATCH_UP_WORKFLOW,
            CatchUpDue(grace=45.0 / settings.speed),
            id=NAME,
            task_queue=settings.task_queue,
            static_summary="Ask Arize for what never arrived",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
        state=ScheduleState(note="Asks Arize for monitors that are triggered or cleared, and nobody told of."),
    )
    await put_schedule(client, NAME, schedule, settings.task_queue)
