"""The request id: ties the log lines of gateway and worker together that belong to one HTTP request.

The gateway binds ``request_id`` to structlog's context variables. The client interceptor sends it as a header of
``start_workflow`` and of signals. The workflow keeps the id of its start, or of the signal that it handled last, and
sends it on to its activities; there it is bound again, with the incident's id. Headers are attributes of events that
exist anyway, so this adds nothing to a history. The workflow code never reads the id: it cannot depend on it.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from temporalio import activity
from temporalio import client as temporal_client
from temporalio import worker as temporal_worker
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHandle
from temporalio.converter import PayloadConverter

from worker.logs import workflow_field

HEADER = "tocsin-request-id"
REQUEST_ID = "request_id"
"""The name of the context variable, and of the field in log lines."""

Headers = Mapping[str, Payload]


class RequestIdClientInterceptor(temporal_client.Interceptor):
    """Sends the request id that is bound where a workflow is started or signalled."""

    def intercept_client(self, next: temporal_client.OutboundInterceptor) -> temporal_client.OutboundInterceptor:  # noqa: A002
        return _ClientOutbound(next)


class RequestIdWorkerInterceptor(temporal_worker.Interceptor):
    """Passes the request id through workflows, and binds it and the incident's id in activities."""

    def intercept_activity(
        self,
        next: temporal_worker.ActivityInboundInterceptor,  # noqa: A002
    ) -> temporal_worker.ActivityInboundInterceptor:
        return _ActivityInbound(next)

    def workflow_interceptor_class(
        self,
        input: temporal_worker.WorkflowInterceptorClassInput,  # noqa: A002
    ) -> type[temporal_worker.WorkflowInboundInterceptor]:
        return _WorkflowInbound


class _ClientOutbound(temporal_client.OutboundInterceptor):
    async def start_workflow(self, input: temporal_client.StartWorkflowInput) -> WorkflowHandle[Any, Any]:  # noqa: A002
        input.headers = _with(input.headers, _bound_request_id())
        return await super().start_workflow(input)

    async def signal_workflow(self, input: temporal_client.SignalWorkflowInput) -> None:  # noqa: A002
        input.headers = _with(input.headers, _bound_request_id())
        await super().signal_workflow(input)


class _WorkflowInbound(temporal_worker.WorkflowInboundInterceptor):
    """Runs in workflow code: it copies payloads and decodes none."""

    def __init__(self, next: temporal_worker.WorkflowInboundInterceptor) -> None:  # noqa: A002
        super().__init__(next)
        self.request_id: Payload | None = None
        self._signalled = False

    def init(self, outbound: temporal_worker.WorkflowOutboundInterceptor) -> None:
        super().init(_WorkflowOutbound(outbound, self))

    async def execute_workflow(self, input: temporal_worker.ExecuteWorkflowInput) -> Any:  # noqa: A002
        if not self._signalled:  # a signal that arrived with the start is handled before it
            self.request_id = input.headers.get(HEADER)
        return await super().execute_workflow(input)

    async def handle_signal(self, input: temporal_worker.HandleSignalInput) -> None:  # noqa: A002
        self._signalled = True
        self.request_id = input.headers.get(HEADER)
        await super().handle_signal(input)


class _WorkflowOutbound(temporal_worker.WorkflowOutboundInterceptor):
    def __init__(self, next: temporal_worker.WorkflowOutboundInterceptor, inbound: _WorkflowInbound) -> None:  # noqa: A002
        super().__init__(next)
        self._inbound = inbound

    def start_activity(self, input: temporal_worker.StartActivityInput) -> Any:  # noqa: A002
        input.headers = _with(input.headers, self._inbound.request_id)
        return super().start_activity(input)

    def start_local_activity(self, input: temporal_worker.StartLocalActivityInput) -> Any:  # noqa: A002
        input.headers = _with(input.headers, self._inbound.request_id)
        return super().start_local_activity(input)

    def continue_as_new(self, input: temporal_worker.ContinueAsNewInput) -> Any:  # noqa: A002
        input.headers = _with(input.headers, self._inbound.request_id)
        super().continue_as_new(input)


class _ActivityInbound(temporal_worker.ActivityInboundInterceptor):
    async def execute_activity(self, input: temporal_worker.ExecuteActivityInput) -> Any:  # noqa: A002
        info = activity.info()
        bound = workflow_field(info.workflow_type, info.workflow_id)
        if payload := input.headers.get(HEADER):
            bound[REQUEST_ID] = PayloadConverter.default.from_payload(payload, str)
        with structlog.contextvars.bound_contextvars(**bound):
            return await super().execute_activity(input)


def _bound_request_id() -> Payload | None:
    request_id = structlog.contextvars.get_contextvars().get(REQUEST_ID)
    return PayloadConverter.default.to_payload(str(request_id)) if request_id else None


def _with(headers: Headers, request_id: Payload | None) -> Headers:
    return {**headers, HEADER: request_id} if request_id is not None else headers
