"""Temporal without a server: real workflow code, run through the SDK's own runner, on a virtual clock.

``ServerlessTemporal`` is an interceptor of the SDK's client: starts, signals and queries end here instead of in a
request. It keeps the rules of Temporal that the invariant depends on:

- one open execution for each workflow id, signals in their order, timers, activities, continue-as-new;
- the limits of sizes: 2 MB for the payloads of one input ("Blob data size exceeds limit"), 4 MB for one gRPC message
  (RESOURCE_EXHAUSTED), 2 kB for a value of a search attribute, 40 kB for all of them and for a memo on Temporal Cloud.
  A command over a limit fails its workflow task, which Temporal retries for ever: the execution is frozen.
  Source: docs.temporal.io/cloud/limits, and ``limit.blobSize.error``, ``limit.memoSize.error`` of the server's
  dynamic configuration.

What it does not do (history, replay, sticky caches, retries of activities) is tested on real servers.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.client import (
    Client,
    DescribeWorkflowInput,
    FetchWorkflowHistoryEventsInput,
    Interceptor,
    OutboundInterceptor,
    QueryWorkflowInput,
    SignalWorkflowInput,
    StartWorkflowInput,
    WorkflowExecutionStatus,
    WorkflowHandle,
)
from temporalio.common import Priority, SearchAttributePair, TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DefaultFailureConverter
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstanceDetails
from temporalio.workflow import Info

from tests.invariant.temporal_limits import (
    CONVERTER,
    MEMO_BYTES,
    SEARCH_ATTRIBUTE_BYTES,
    check_attributes,
    check_message,
    refuse,
)
from workflows.incident import Incident

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


class ServerlessTemporal(Interceptor):
    """The incidents of a namespace. ``available`` and ``has_worker`` can be switched."""

    def __init__(self, loop: asyncio.AbstractEventLoop, activities: Mapping[str, Activity]) -> None:
        from datetime import timedelta

        from temporalio.api.common.v1 import Payloads

        self.loop, self.activities = loop, activities
        self.executions: dict[str, Execution] = {}
        self.available = True
        self.has_worker = True
        self.worker_available = asyncio.Event()
        self.worker_available.set()
        self.task_timeout, self.no_payloads = timedelta(seconds=10), Payloads()
        self._number = 0

    async def client(self) -> Client:
        """The SDK's own client; its requests end here."""
        return await Client.connect(
            "127.0.0.1:9", lazy=True, data_converter=pydantic_data_converter, interceptors=[self]
        )

    def next_run_id(self) -> str:
        """A UUID of version 7, as the server makes them: two of the same minute begin with the same eight digits."""
        self._number += 1
        milliseconds = int(datetime.now(UTC).timestamp() * 1000)
        return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | self._number))

    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:  # noqa: A002  # the SDK's name
        return _Outbound(next, self)

    def set_worker(self, present: bool) -> None:
        self.has_worker = present
        (self.worker_available.set if present else self.worker_available.clear)()
        for one in list(self.executions.values()):
            one.schedule()

    def open_execution(self, workflow_id: str) -> Execution | None:
        one = self.executions.get(workflow_id)
        return one if one and one.is_open else None

    def discard(self) -> None:
        """Forget every execution."""
        for one in self.executions.values():
            one.close()
        self.executions = {}


class _Outbound(OutboundInterceptor):
    def __init__(self, following: OutboundInterceptor, server: ServerlessTemporal) -> None:
        super().__init__(following)
        self._server = server

    async def _reach(self) -> None:
        await asyncio.sleep(0)
        if not self._server.available:
            refuse("Temporal is unavailable", RPCStatusCode.UNAVAILABLE)

    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:  # noqa: A002
        await self._reach()
        arguments = CONVERTER.to_payloads(input.args)
        check_message(arguments)
        if sum(CONVERTER.to_payload(one).ByteSize() for one in (input.memo or {}).values()) > MEMO_BYTES:
            refuse(f"memo exceeds size limit {MEMO_BYTES}")
        attributes = input.search_attributes
        pairs = attributes.search_attributes if isinstance(attributes, TypedSearchAttributes) else ()
        check_attributes(pairs)
        if self._server.open_execution(input.id):
            raise WorkflowAlreadyStartedError(input.id, input.workflow)
        execution = Execution(self._server, input.id, arguments)
        execution.attributes = list(pairs)
        self._server.executions[input.id] = execution
        client: Any = None
        return WorkflowHandle(client, input.id, run_id=execution.first_run_id)

    async def signal_workflow(self, input: SignalWorkflowInput) -> None:  # noqa: A002
        await self._reach()
        arguments = CONVERTER.to_payloads(input.args)
        check_message(arguments)
        execution = self._server.open_execution(input.id)
        if execution is None:
            refuse("workflow not found", RPCStatusCode.NOT_FOUND)
        execution.signal(input.signal, arguments)

    async def describe_workflow(self, input: DescribeWorkflowInput) -> Any:  # noqa: A002
        await self._reach()
        execution = self._server.executions.get(input.id)
        if execution is None:
            refuse("workflow not found", RPCStatusCode.NOT_FOUND)
        info = SimpleNamespace(history_size_bytes=execution.history_bytes, history_length=execution.history_events)
        return SimpleNamespace(
            id=input.id,
            run_id=execution.first_run_id,
            status=WorkflowExecutionStatus.RUNNING if execution.is_open else WorkflowExecutionStatus.COMPLETED,
            raw_description=SimpleNamespace(workflow_execution_info=info),
        )

    def fetch_workflow_history_events(self, input: FetchWorkflowHistoryEventsInput) -> Any:  # noqa: A002
        """The event that ends the workflow, which is all that its result needs."""
        return self._last_events(input.id)

    async def _last_events(self, incident: str) -> AsyncIterator[HistoryEvent]:
        await self._reach()
        execution = self._server.executions.get(incident)
        if execution is None or execution.result is None:
            refuse("workflow not found", RPCStatusCode.NOT_FOUND)
        event = HistoryEvent()
        event.workflow_execution_completed_event_attributes.result.payloads.append(execution.result)
        yield event

    async def query_workflow(self, input: QueryWorkflowInput) -> Any:  # noqa: A002
        await self._reach()
        execution = self._server.executions.get(input.id)
        if execution is None:
            refuse("workflow not found", RPCStatusCode.NOT_FOUND)
        if not self._server.has_worker or execution.frozen:
            refuse("no worker answers", RPCStatusCode.DEADLINE_EXCEEDED)
        return execution.query(input.query, CONVERTER.to_payloads(input.args), input.ret_type)
