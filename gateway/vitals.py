"""Whether what stands behind the gateway is well: Temporal, the workers, and what they are stuck on."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeWorkflowExecutionResponse
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleListDescription,
    WorkflowExecution,
    WorkflowExecutionStatus,
)
from temporalio.service import RPCError

from activities.contracts import CATCH_UP_WORKFLOW, DIGEST_ISSUE_WORKFLOW
from workflows.messages import ASIDE, CHANGE_WORKFLOW, INCIDENT_WORKFLOW

EVERY = 15.0  # seconds between two looks
SOON = 3.0  # the same while something is not well
LOOK_WITHIN = 10.0
SEEN = timedelta(seconds=90)  # a worker asks for work at least once a minute
FAILED_OFTEN = 3  # attempts of a workflow task, and no end
TRIED_OFTEN = 8  # attempts of an activity: a minute and a half of the pauses between them alone
OVERDUE = timedelta(minutes=2)  # of a schedule, or of a workflow task that nobody takes
LOOKED_INTO = 50  # of the newest workflows, and as many of all the others in turn, at each look
AT_ONCE = 8
SCHEDULES = "tocsin_task_queue"
"""In a schedule's memo: whose it is."""
_WORKFLOWS = ", ".join(
    f"'{one}'" for one in (INCIDENT_WORKFLOW, DIGEST_ISSUE_WORKFLOW, CATCH_UP_WORKFLOW, CHANGE_WORKFLOW)
)
_RUNNING = f"WorkflowType IN ({_WORKFLOWS}) AND ExecutionStatus = 'Running'"
NAMES = ("temporal", "workers", "workflow_tasks", "activities", "schedules")

_log = structlog.get_logger()


@dataclass(frozen=True)
class Vital:
    """One thing that has to be well: what is troubled, each as a sentence; nothing where it is well."""

    troubles: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.troubles:
            return "ok"
        more = f" (and {len(self.troubles) - 3} more)" if len(self.troubles) > 3 else ""
        return "; ".join(self.troubles[:3]) + more


@dataclass
class Vitals:
    """Looks now and then, and remembers what it saw."""

    client: Client
    task_queue: str
    overdue: timedelta = OVERDUE
    looked_into: int = LOOKED_INTO
    seen: dict[str, Vital] = field(default_factory=dict[str, Vital])
    _turn: bytes | None = None
    """Where in the list of all the next look goes on."""

    async def watch(self, every: float = EVERY) -> None:
        """Look for ever; sooner again while something is not well, so that it is not said for longer than it is so."""
        while True:
            looked = await self.look()
            troubled = any(vital.troubles for vital in looked.values())
            await asyncio.sleep(min(every, SOON) if troubled else every)

    async def look(self) -> dict[str, Vital]:
        """By name. While Temporal does not answer, nothing is known of what it alone knows, and only it is troubled."""
        try:
            async with asyncio.timeout(LOOK_WITHIN):
                self.seen = await self._look()
        except (RPCError, TimeoutError, RuntimeError) as error:
            self.seen = {"temporal": Vital((f"it does not answer: {_why(error)}",))}
        except Exception:  # noqa: BLE001  # whatever it is, somebody has to hear that nothing is known
            _log.exception("vitals could not be read")
            self.seen = {"temporal": Vital(("cannot be asked; see the log",))}
        return self.seen

    async def _look(self) -> dict[str, Vital]:
        reported = [
            one async for one in self._list(f"{_RUNNING} AND TemporalReportedProblems IS NOT NULL", LOOKED_INTO)
        ]
        running = {one.id: one for one in [*reported, *await self._some()]}
        gate = asyncio.Semaphore(AT_ONCE)
        tasks: list[str] = []
        activities: list[str] = []

        async def one(execution: WorkflowExecution) -> None:
            async with gate:
                handle = self.client.get_workflow_handle(execution.id, run_id=execution.run_id)
                told = (await handle.describe()).raw_description
            tasks.extend(_task_troubles(execution.id, told, self.overdue))
            activities.extend(_activity_trouble(execution.id, each) for each in told.pending_activities if _often(each))

        await asyncio.gather(*map(one, running.values()))
        return {
            "temporal": Vital(),
            "workers": Vital(tuple([text async for text in self._without_workers()])),
            "workflow_tasks": Vital(tuple(sorted(tasks))),
            "activities": Vital(tuple(sorted(activities))),
            "schedules": Vital(tuple([text async for text in self._schedules()])),
        }

    async def _some(self) -> list[WorkflowExecution]:
        """The newest, and of all the others those whose turn it is: each is looked into in the end."""
        newest = self.client.list_workflows(_RUNNING, page_size=self.looked_into)
        await newest.fetch_next_page()
        found = list(newest.current_page or ())
        turn = self._turn or newest.next_page_token
        if turn:
            others = self.client.list_workflows(_RUNNING, page_size=self.looked_into, next_page_token=turn)
            await others.fetch_next_page()
            found += others.current_page or ()
            self._turn = others.next_page_token
        return found

    def _list(self, query: str, limit: int) -> AsyncIterator[WorkflowExecution]:
        return self.client.list_workflows(query, page_size=min(limit, 1000), limit=limit)

    async def _without_workers(self) -> AsyncIterator[str]:
        for what, more in (
            ("incidents", {}),
            ("pages", {"activities": True}),
            ("posts, tickets and records", {"aside": True}),
        ):
            if not await pollers(self.client, self.task_queue, **more):
                yield f"no worker asks for {what}"

    async def _schedules(self) -> AsyncIterator[str]:
        async for listed in await self.client.list_schedules():
            if (await listed.memo()).get(SCHEDULES) == self.task_queue and (text := await self._schedule(listed)):
                yield f"{listed.id} {text}"

    async def _schedule(self, listed: ScheduleListDescription) -> str:
        info, there = listed.info, listed.schedule
        if info is None or there is None:
            return ""
        if there.state.paused:
            return ""  # by a person, who knows why
        due = info.next_action_times
        if not due:
            return "is not going to begin anything any more"
        if due[0] < datetime.now(UTC) - self.overdue:
            return f"has not begun what was due at {due[0]:%Y-%m-%d %H:%M:%S} UTC"
        action = info.recent_actions[-1].action if info.recent_actions else None
        if isinstance(action, ScheduleActionExecutionStartWorkflow):
            handle = self.client.get_workflow_handle(action.workflow_id, run_id=action.first_execution_run_id)
            status = (await handle.describe()).status
            if status in {WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TIMED_OUT}:
                return "failed the last time; its page in the Temporal UI says why"
        return ""


async def pollers(client: Client, task_queue: str, *, aside: bool = False, activities: bool = False) -> list[str]:
    """The identities of the workers that have asked for work lately: for workflow tasks, or activities, or aside.

    Raises RPCError.
    """
    kind = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
    if aside or activities:
        kind = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=f"{task_queue}{ASIDE if aside else ''}"),
        task_queue_type=kind,
    )
    found = (await client.workflow_service.describe_task_queue(request)).pollers
    return [one.identity for one in found if _ago(one.last_access_time) < SEEN]


def _why(error: RPCError | TimeoutError | RuntimeError) -> str:
    if isinstance(error, RPCError):
        return error.message[:200] or error.status.name.lower()
    # What the client raises while it has never reached the server is a RuntimeError, of many words.
    return "nothing within ten seconds" if isinstance(error, TimeoutError) else "no connection can be made"


def _ago(at: Timestamp) -> timedelta:
    return datetime.now(UTC) - at.ToDatetime(UTC)


def _task_troubles(name: str, told: DescribeWorkflowExecutionResponse, overdue: timedelta) -> Sequence[str]:
    if not told.HasField("pending_workflow_task"):
        return ()
    task = told.pending_workflow_task
    if task.attempt > FAILED_OFTEN:
        return (f"{name}: its code fails, {task.attempt} times by now",)
    if not task.HasField("started_time") and _ago(task.scheduled_time) > overdue:
        return (f"{name}: no worker takes it up, since {task.scheduled_time.ToDatetime(UTC):%H:%M:%S} UTC",)
    return ()


def _often(one: PendingActivityInfo) -> bool:
    return one.attempt > TRIED_OFTEN


def _activity_trouble(name: str, one: PendingActivityInfo) -> str:
    why = f": {one.last_failure.message[:100]}" if one.HasField("last_failure") else ""
    return f"{name}: {one.activity_type.name} was tried {one.attempt} times{why}"
