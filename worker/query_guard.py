"""Keeps queries from showing events to workflow code before their workflow task.

A query that a worker without the incident in memory receives brings the whole history as it is by then. That history
may end with events for which no workflow task has started yet: a timer that fired, a notification that ended. The SDK
(temporalio 1.35) plays those events at the time of the last task, to compute the answer, and keeps the resulting state.
On a replay the same code sees the same events later, and together with others, and may schedule different commands:
Temporal then reports a non-determinism error, and the incident pages nobody. Chaos tests reproduced this by killing
workers while incidents were being queried.

Such a query is rejected, and the worker drops the incident from its cache. The events have a workflow task a moment
later, and the next query is answered.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.workflow import Info

from gateway.query_client import REJECTED

REJECTED_TYPE = "QueryAheadOfWorkflowTask"
"""The failure type of a rejected query. ``gateway.query_client`` retries it, and knows it by its message: a client of
Temporal does not receive the type."""

_log = structlog.get_logger()


class QueryGuard(WorkflowRunner):
    """Runs workflows with another runner, and rejects activations that are ahead of their workflow task."""

    def __init__(self, runner: WorkflowRunner) -> None:
        self._runner = runner

    def prepare_workflow(self, defn: Any) -> None:
        self._runner.prepare_workflow(defn)

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        self._runner.set_worker_level_failure_exception_types(types)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _GuardedInstance(self._runner.create_instance(det))


class DelegatingInstance(WorkflowInstance):
    """Delegates everything to another instance."""

    def __init__(self, instance: WorkflowInstance) -> None:
        self._instance = instance

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return self._instance.activate(act)

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._instance.get_external_store_context(command_info)

    def get_info(self) -> Info:
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        return self._instance.get_thread_id()


class _GuardedInstance(DelegatingInstance):
    def __init__(self, instance: WorkflowInstance) -> None:
        super().__init__(instance)
        self._last: WorkflowActivation | None = None

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if self._last is not None and is_ahead(self._last, act):
            _log.info("query_rejected", incident=self.get_info().workflow_id, run=act.run_id)
            completion = WorkflowActivationCompletion(run_id=act.run_id)
            completion.failed.failure.message = REJECTED
            completion.failed.failure.application_failure_info.type = REJECTED_TYPE
            return completion
        self._last = WorkflowActivation(
            timestamp=act.timestamp, history_length=act.history_length, history_size_bytes=act.history_size_bytes
        )
        return super().activate(act)


def is_ahead(last: WorkflowActivation, now: WorkflowActivation) -> bool:
    """Whether ``now`` has events that are newer than those of ``last``, without a workflow task that started since.

    The event that starts a task holds the size of the history, which grows with each task, and the time, which may not:
    a clock may have been set back. A server that reports no size is trusted.
    """
    has_events = any(job.WhichOneof("variant") not in {"query_workflow", "remove_from_cache"} for job in now.jobs)
    return (
        has_events
        and now.history_length > last.history_length
        and now.history_size_bytes == last.history_size_bytes > 0
        and now.timestamp == last.timestamp
    )
