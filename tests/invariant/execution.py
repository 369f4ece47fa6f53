"""One incident of the simulated Temporal: its workflow, its history, and its activities."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes
from temporalio.converter import DefaultFailureConverter
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstanceDetails
from temporalio.workflow import Info

from tests.invariant.temporal_limits import (
    CONVERTER,
    MEMO_BYTES,
    SEARCH_ATTRIBUTE_BYTES,
    check_message,
    refuse,
)
from workflows.incident import Incident

if TYPE_CHECKING:
    from tests.invariant.temporal import ServerlessTemporal

ACTIVITY_SECONDS = 0.01
"""How long an activity takes: alerts and actions may arrive meanwhile."""
_ENDS_RUN = {"complete_workflow_execution", "fail_workflow_execution", "continue_as_new_workflow_execution"}
_RUNNER = UnsandboxedWorkflowRunner()
_DEFINITION: Any = Incident.__temporal_workflow_definition  # pyright: ignore  # as the SDK's worker reads it

Activity = Callable[[Sequence[Payload]], Awaitable[Any]]
"""An activity: its encoded input, and its result."""


class Execution:
    """One open or closed incident. ``frozen`` says why its workflow tasks fail, if they do."""

    def __init__(self, server: "ServerlessTemporal", workflow_id: str, arguments: Sequence[Payload]) -> None:
        self.id, self.server = workflow_id, server
        self.first_run_id = server.next_run_id()
        self.attributes: list[SearchAttributePair[Any]] = []
        self.is_open = True
        self.frozen = ""
        self.result: Payload | None = None
        """Of a workflow that completed."""
        self._jobs: list[WorkflowActivationJob] = []
        self._task: asyncio.Handle | None = None
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._activities: dict[int, asyncio.Task[None]] = {}
        self._begin(arguments)

    def _begin(self, arguments: Sequence[Payload]) -> None:
        self._run_id = self.first_run_id
        self.history_events = self.history_bytes = 0
        self._arguments = arguments
        self._instance: Any = None
        job = WorkflowActivationJob()
        job.initialize_workflow.workflow_type = "incident"
        job.initialize_workflow.workflow_id = self.id
        job.initialize_workflow.arguments.extend(arguments)
        self.add(job)

    def _create_instance(self) -> Any:
        now = datetime.now(UTC)
        info = Info(
            attempt=1,
            continued_run_id=None,
            cron_schedule=None,
            execution_timeout=None,
            first_execution_run_id=self.first_run_id,
            headers={},
            namespace="default",
            original_execution_run_id=self._run_id,
            parent=None,
            root=None,
            priority=Priority.default,
            raw_memo={},
            retry_policy=None,
            run_id=self._run_id,
            run_timeout=None,
            search_attributes={},
            start_time=now,
            task_queue="tocsin",
            task_timeout=self.server.task_timeout,
            typed_search_attributes=TypedSearchAttributes(self.attributes),
            workflow_id=self.id,
            workflow_start_time=now,
            workflow_type=_DEFINITION.name,
        )
        return _RUNNER.create_instance(
            WorkflowInstanceDetails(
                payload_converter_factory=lambda: CONVERTER,
                failure_converter_class=DefaultFailureConverter,
                interceptor_classes=(),
                defn=_DEFINITION,
                info=info,
                randomness_seed=1,
                extern_functions={"__temporal_assert_local_activity_valid": lambda activity: None},
                disable_eager_activity_execution=True,
                worker_level_failure_exception_types=(),
                patch_activation_callback=None,
                last_completion_result=self.server.no_payloads,
                last_failure=None,
            )
        )

    # ── Workflow tasks ──────────────────────────────────────────────────────────────────────────────────

    def add(self, job: WorkflowActivationJob) -> None:
        """An event of the history; the next workflow task brings it to the code."""
        self._jobs.append(job)
        self.history_events += 1
        self.history_bytes += job.ByteSize()
        self.schedule()

    def schedule(self) -> None:
        if self._jobs and self._task is None and self.server.has_worker and not self.frozen:
            self._task = self.server.loop.call_soon(self._run_task)

    def _run_task(self) -> None:
        self._task = None
        if not self.is_open or not self.server.has_worker:
            return
        jobs, self._jobs = self._jobs, []
        self.history_events += 3
        completion = self._activate(jobs)
        if completion.HasField("failed"):
            self.frozen = f"a workflow task fails: {completion.failed.failure.message[:300]}"
            return
        commands = completion.successful.commands
        try:
            for command in commands:
                self._check(command)
        except RPCError as error:
            self.frozen = f"a workflow task fails: {error.message}"
            return
        for command in commands:
            self.history_bytes += command.ByteSize()
            self._carry_out(command)
            if command.WhichOneof("variant") in _ENDS_RUN:
                break  # what comes after it is of no run

    def _activate(self, jobs: Sequence[WorkflowActivationJob]) -> Any:
        if self._instance is None:
            self._instance = self._create_instance()
        stamp = Timestamp()
        stamp.FromDatetime(datetime.now(UTC))
        activation = WorkflowActivation(
            run_id=self._run_id,
            timestamp=stamp,
            history_length=self.history_events,
            history_size_bytes=self.history_bytes,
        )
        activation.jobs.extend(jobs)
        outer = asyncio._get_running_loop()  # the instance is an event loop of its own, inside this one
        try:
            return self._instance.activate(activation)
        finally:
            asyncio._set_running_loop(outer)

    @staticmethod
    def _check(command: Any) -> None:
        kind = command.WhichOneof("variant")
        match kind:
            case "schedule_activity" | "schedule_local_activity" | "continue_as_new_workflow_execution":
                check_message(getattr(command, kind).arguments)
            case "upsert_workflow_search_attributes":
                for name, payload in command.upsert_workflow_search_attributes.search_attributes.indexed_fields.items():
                    if len(payload.data) > SEARCH_ATTRIBUTE_BYTES:
                        refuse(f"search attribute {name} exceeds size limit {SEARCH_ATTRIBUTE_BYTES}")
            case "modify_workflow_properties":
                if command.modify_workflow_properties.upserted_memo.ByteSize() > MEMO_BYTES:
                    refuse(f"memo exceeds size limit {MEMO_BYTES}")
            case _:
                pass

    def _carry_out(self, command: Any) -> None:
        match command.WhichOneof("variant"):
            case "start_timer":
                timer = command.start_timer
                seconds = timer.start_to_fire_timeout.ToTimedelta().total_seconds()
                self._timers[timer.seq] = self.server.loop.call_later(seconds, self._fire, timer.seq)
            case "cancel_timer":
                if handle := self._timers.pop(command.cancel_timer.seq, None):
                    handle.cancel()
            case "schedule_activity":
                self._start_activity(command.schedule_activity, is_local=False)
            case "schedule_local_activity":
                self._start_activity(command.schedule_local_activity, is_local=True)
            case "request_cancel_activity":
                self._resolve_cancelled(command.request_cancel_activity.seq)
            case "complete_workflow_execution":
                self.result = command.complete_workflow_execution.result
                self.close()
            case "fail_workflow_execution" | "cancel_workflow_execution":
                self.frozen = f"the workflow failed: {command}"[:300]
                self.close()
            case "continue_as_new_workflow_execution":
                self._continue_as_new(list(command.continue_as_new_workflow_execution.arguments))
            case "upsert_workflow_search_attributes" | "set_patch_marker" | "modify_workflow_properties":
                pass
            case other:
                self.frozen = f"{other} is not simulated"

    def _continue_as_new(self, arguments: Sequence[Payload]) -> None:
        """Only signals outlive a run."""
        self.close()
        signals = [job for job in self._jobs if job.HasField("signal_workflow")]
        self.is_open, self._jobs = True, []
        self._begin(arguments)
        self._jobs += signals

    def close(self) -> None:
        self.is_open = False
        for one in [*self._timers.values(), *self._activities.values()]:
            one.cancel()
        self._timers, self._activities = {}, {}

    # ── Timers, activities, queries ─────────────────────────────────────────────────────────────────────

    def _fire(self, seq: int) -> None:
        del self._timers[seq]
        job = WorkflowActivationJob()
        job.fire_timer.seq = seq
        self.add(job)

    def _start_activity(self, command: Any, *, is_local: bool) -> None:
        run = self._run_activity(command.seq, command.activity_type, list(command.arguments), is_local)
        self._activities[command.seq] = self.server.loop.create_task(run)

    async def _run_activity(self, seq: int, name: str, arguments: Sequence[Payload], is_local: bool) -> None:
        job = WorkflowActivationJob()
        job.resolve_activity.seq, job.resolve_activity.is_local = seq, is_local
        await self.server.worker_available.wait()
        await asyncio.sleep(ACTIVITY_SECONDS)
        result = await self.server.activities[name](arguments)
        job.resolve_activity.result.completed.result.CopyFrom(CONVERTER.to_payload(result))
        if self._activities.get(seq) is asyncio.current_task():  # otherwise it was cancelled, and did not notice
            del self._activities[seq]
            self.add(job)

    def _resolve_cancelled(self, seq: int) -> None:
        if task := self._activities.pop(seq, None):
            task.cancel()
            job = WorkflowActivationJob()
            job.resolve_activity.seq = seq
            job.resolve_activity.result.cancelled.failure.canceled_failure_info.SetInParent()
            self.add(job)

    def signal(self, name: str, arguments: Sequence[Payload]) -> None:
        job = WorkflowActivationJob()
        job.signal_workflow.signal_name = name
        job.signal_workflow.input.extend(arguments)
        job.signal_workflow.originating_event_id = self.history_events + 1
        self.add(job)

    def query(self, name: str, arguments: Sequence[Payload], result: type[Any] | None) -> Any:
        if self._task is not None:  # a query sees what came before it
            self._task.cancel()
            self._run_task()
        job = WorkflowActivationJob()
        job.query_workflow.query_id, job.query_workflow.query_type = "q", name
        job.query_workflow.arguments.extend(arguments)
        answer = self._activate([job]).successful.commands[0].respond_to_query
        return CONVERTER.from_payloads([answer.succeeded.response], [result] if result else None)[0]
