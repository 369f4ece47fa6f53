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
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from temporalio.api.history.v1 import HistoryEvent
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
from temporalio.common import TypedSearchAttributes
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCStatusCode

from tests.invariant.execution import Activity, Execution
from tests.invariant.temporal_limits import (
    CONVERTER,
    MEMO_BYTES,
    check_attributes,
    check_message,
    refuse,
)


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
