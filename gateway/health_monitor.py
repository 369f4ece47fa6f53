"""Checks what the gateway depends on: Temporal, the workers, the workflows and the schedules."""

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

from workflows.contracts import (
    BACKGROUND_SUFFIX,
    CHANGE_WORKFLOW,
    DESCRIBE_ACTIVITY,
    DIGEST_WORKFLOW,
    INCIDENT_WORKFLOW,
    RECONCILE_WORKFLOW,
)

CHECK_INTERVAL = 15.0  # seconds between two checks
RETRY_INTERVAL = 3.0  # the same while there is a problem, so that a recovery shows soon
TIMEOUT = 10.0  # seconds, of one check
POLLER_FRESHNESS = timedelta(seconds=90)  # a worker polls at least once a minute
MAX_TASK_ATTEMPTS = 3  # of a workflow task, before its failures are a problem
MAX_ACTIVITY_ATTEMPTS = 8  # of an activity; the pauses between them alone take a minute and a half
OVERDUE = timedelta(minutes=2)  # of a schedule, or of a workflow task that no worker has started
SAMPLE_SIZE = 50  # how many of the newest workflows, and how many of the others in turn, are described by a check
MAX_CONCURRENCY = 8  # descriptions
SCHEDULE_MEMO = "tocsin_task_queue"
"""The key in a schedule's memo that holds the task queue it belongs to."""
CHECKS = ("temporal", "workers", "workflow_tasks", "activities", "records", "schedules")
_WORKFLOWS = ", ".join(
    f"'{name}'" for name in (INCIDENT_WORKFLOW, DIGEST_WORKFLOW, RECONCILE_WORKFLOW, CHANGE_WORKFLOW)
)
_RUNNING = f"WorkflowType IN ({_WORKFLOWS}) AND ExecutionStatus = 'Running'"
_RECORDS = frozenset({"write_audit_events", "add_to_digest", "send_digest"})
"""Activities that write to the database. While it is unavailable, people are notified all the same."""
_POLLERS: tuple[tuple[str, bool, bool], ...] = (
    ("incidents", False, False),
    ("pages", True, False),
    ("posts, tickets and records", True, True),
)
"""Work, whether it is activities, and whether it has the background task queue."""

_log = structlog.get_logger()


@dataclass(frozen=True)
class HealthCheck:
    """The result of one check: its problems, each a sentence; none if all is well."""

    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.problems:
            return "ok"
        more = f" (and {len(self.problems) - 3} more)" if len(self.problems) > 3 else ""
        return "; ".join(self.problems[:3]) + more


@dataclass
class HealthMonitor:
    """Runs the checks at an interval, and keeps the latest results."""

    client: Client
    task_queue: str
    overdue: timedelta = OVERDUE
    sample_size: int = SAMPLE_SIZE
    max_activity_attempts: int = MAX_ACTIVITY_ATTEMPTS
    latest: dict[str, HealthCheck] = field(default_factory=dict[str, HealthCheck])
    """By the names in ``CHECKS``; empty before the first check."""
    _page_token: bytes | None = None
    """Where the next check continues in the list of all workflows."""

    async def run(self, interval: float = CHECK_INTERVAL) -> None:
        """Check until it is cancelled.

        Args:
            interval: seconds between two checks; at most ``RETRY_INTERVAL`` while there is a problem.
        """
        while True:
            results = await self.check()
            has_problems = any(result.problems for result in results.values())
            await asyncio.sleep(min(interval, RETRY_INTERVAL) if has_problems else interval)

    async def check(self) -> dict[str, HealthCheck]:
        """The results by check. If Temporal is unavailable, that is the only result."""
        try:
            async with asyncio.timeout(TIMEOUT):
                self.latest = await self._check_all()
        except (RPCError, TimeoutError, RuntimeError) as error:
            self.latest = {"temporal": HealthCheck((f"Temporal is unavailable: {_describe(error)}",))}
        except Exception:  # noqa: BLE001  # a check that fails is a problem that must show
            _log.exception("health_check_failed")
            self.latest = {"temporal": HealthCheck(("the health check failed; see the log",))}
        return self.latest

    async def _check_all(self) -> dict[str, HealthCheck]:
        query = f"{_RUNNING} AND TemporalReportedProblems IS NOT NULL"
        reported = [execution async for execution in self._list(query, SAMPLE_SIZE)]
        running = {execution.id: execution for execution in [*reported, *await self._sample()]}
        gate = asyncio.Semaphore(MAX_CONCURRENCY)
        tasks: list[str] = []
        activities: list[str] = []
        records: list[str] = []

        async def describe(execution: WorkflowExecution) -> None:
            async with gate:
                handle = self.client.get_workflow_handle(execution.id, run_id=execution.run_id)
                description = (await handle.describe()).raw_description
            tasks.extend(_task_problems(execution.id, description, self.overdue))
            for is_record, text in _activity_problems(execution.id, description, self.max_activity_attempts):
                (records if is_record else activities).append(text)

        await asyncio.gather(*map(describe, running.values()))
        return {
            "temporal": HealthCheck(),
            "workers": HealthCheck(tuple([text async for text in self._worker_problems()])),
            "workflow_tasks": HealthCheck(tuple(sorted(tasks))),
            "activities": HealthCheck(tuple(sorted(activities))),
            "records": HealthCheck(tuple(sorted(records))),
            "schedules": HealthCheck(tuple([text async for text in self._schedule_problems()])),
        }

    async def _sample(self) -> list[WorkflowExecution]:
        """The newest workflows, and the next page of all others, so that each is checked in turn."""
        newest = self.client.list_workflows(_RUNNING, page_size=self.sample_size)
        await newest.fetch_next_page()
        found = list(newest.current_page or ())
        token = self._page_token or newest.next_page_token
        if token:
            others = self.client.list_workflows(_RUNNING, page_size=self.sample_size, next_page_token=token)
            await others.fetch_next_page()
            found += others.current_page or ()
            self._page_token = others.next_page_token
        return found

    def _list(self, query: str, limit: int) -> AsyncIterator[WorkflowExecution]:
        return self.client.list_workflows(query, page_size=min(limit, 1000), limit=limit)

    async def _worker_problems(self) -> AsyncIterator[str]:
        for work, activities, background in _POLLERS:
            if not await pollers(self.client, self.task_queue, activities=activities, background=background):
                yield f"no worker polls for {work}"

    async def _schedule_problems(self) -> AsyncIterator[str]:
        async for listed in await self.client.list_schedules():
            if (await listed.memo()).get(SCHEDULE_MEMO) == self.task_queue and (text := await self._schedule(listed)):
                yield f"{listed.id} {text}"

    async def _schedule(self, listed: ScheduleListDescription) -> str:
        info, schedule = listed.info, listed.schedule
        if info is None or schedule is None:
            return ""
        if schedule.state.paused:
            return ""  # a person paused it on purpose
        next_times = info.next_action_times
        if not next_times:
            return "has no next run"
        if next_times[0] < datetime.now(UTC) - self.overdue:
            return f"has not started its run of {next_times[0]:%Y-%m-%d %H:%M:%S} UTC"
        action = info.recent_actions[-1].action if info.recent_actions else None
        if isinstance(action, ScheduleActionExecutionStartWorkflow):
            handle = self.client.get_workflow_handle(action.workflow_id, run_id=action.first_execution_run_id)
            status = (await handle.describe()).status
            if status in {WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TIMED_OUT}:
                return "failed last time; its page in the Temporal UI has the error"
        return ""


async def pollers(client: Client, task_queue: str, *, background: bool = False, activities: bool = False) -> list[str]:
    """The identities of the workers that polled a task queue lately.

    Args:
        client: of Temporal.
        task_queue: of the incidents.
        background: the task queue of background activities instead.
        activities: pollers for activities instead of workflow tasks.

    Raises:
        RPCError: Temporal is unavailable.
    """
    kind = TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW
    if background or activities:
        kind = TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=f"{task_queue}{BACKGROUND_SUFFIX if background else ''}"),
        task_queue_type=kind,
    )
    found = (await client.workflow_service.describe_task_queue(request)).pollers
    return [poller.identity for poller in found if _age(poller.last_access_time) < POLLER_FRESHNESS]


def _describe(error: RPCError | TimeoutError | RuntimeError) -> str:
    if isinstance(error, RPCError):
        return error.message[:200] or error.status.name.lower()
    # Before its first connection the client raises a RuntimeError with a long text.
    return f"no answer within {TIMEOUT:g} s" if isinstance(error, TimeoutError) else "no connection"


def _age(at: Timestamp) -> timedelta:
    return datetime.now(UTC) - at.ToDatetime(UTC)


def _task_problems(workflow: str, description: DescribeWorkflowExecutionResponse, overdue: timedelta) -> Sequence[str]:
    if not description.HasField("pending_workflow_task"):
        return ()
    task = description.pending_workflow_task
    if task.attempt > MAX_TASK_ATTEMPTS:
        return (f"{workflow}: its workflow task has failed or timed out {task.attempt - 1} times",)
    if not task.HasField("started_time") and _age(task.scheduled_time) > overdue:
        since = task.scheduled_time.ToDatetime(UTC)
        return (f"{workflow}: no worker has started its task since {since:%H:%M:%S} UTC",)
    return ()


def _activity_problems(
    workflow: str, description: DescribeWorkflowExecutionResponse, max_attempts: int
) -> list[tuple[bool, str]]:
    """Whether an activity writes a record, and what is wrong with it."""
    return [
        (activity.activity_type.name in _RECORDS, _activity_problem(workflow, activity))
        for activity in description.pending_activities
        if activity.attempt > max_attempts and activity.activity_type.name != DESCRIBE_ACTIVITY
    ]


def _activity_problem(workflow: str, activity: PendingActivityInfo) -> str:
    reason = f": {activity.last_failure.message[:100]}" if activity.HasField("last_failure") else ""
    return f"{workflow}: {activity.activity_type.name} has failed {activity.attempt - 1} times{reason}"
