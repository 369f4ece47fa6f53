"""Workflow code sees an event only with the workflow task that began after it, as it does whenever it is done over.

A query that waits for a worker is sent to it with the whole history as it is by then, and that may end with events that
no workflow task has begun for yet: a timer that rang meanwhile, the end of a delivery. The SDK (temporalio 1.35) gives
the workflow those, at the time of the task before, so as to have something to show; and keeps what came of it. Done
over, the same code sees the same events later and together with others, and may do something else: then Temporal takes
the incident for broken, and nobody is paged any more. Seen under chaos, where workers were killed while people looked.
What is on its way shows a moment later; so such a look is refused, and the incident is done over for the next one.
"""

from collections.abc import Sequence
from typing import Any

import structlog
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails, WorkflowRunner
from temporalio.workflow import Info

REFUSED = "AheadOfItsTask"
"""The type of the failure that is the answer to such a query. ``gateway.asking`` asks again."""

_log = structlog.get_logger()


class InStep(WorkflowRunner):
    """Runs workflows by another runner, each event in its workflow task."""

    def __init__(self, runner: WorkflowRunner) -> None:
        self._runner = runner

    def prepare_workflow(self, defn: Any) -> None:
        self._runner.prepare_workflow(defn)

    def set_worker_level_failure_exception_types(self, types: Sequence[type[BaseException]]) -> None:
        self._runner.set_worker_level_failure_exception_types(types)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _InStep(self._runner.create_instance(det))


class Wrapped(WorkflowInstance):
    """Does what another instance does."""

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


class _InStep(Wrapped):
    def __init__(self, instance: WorkflowInstance) -> None:
        super().__init__(instance)
        self._last: WorkflowActivation | None = None

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        if self._last is not None and is_ahead(self._last, act):
            _log.info("a look came ahead of its workflow task", incident=self.get_info().workflow_id, run=act.run_id)
            completion = WorkflowActivationCompletion(run_id=act.run_id)
            completion.failed.failure.message = "something happened that no workflow task has begun for yet"
            completion.failed.failure.application_failure_info.type = REFUSED
            return completion
        self._last = WorkflowActivation(
            timestamp=act.timestamp, history_length=act.history_length, history_size_bytes=act.history_size_bytes
        )
        return super().activate(act)


def is_ahead(last: WorkflowActivation, now: WorkflowActivation) -> bool:
    """Whether it brings events that came after those of the last one, and no workflow task began since.

    The event that begins one says how many bytes the history has by then, which is more each time, and what time it
    is, which is not: a clock may have been set back. A server that counts no bytes is taken at its word.
    """
    happens = any(job.WhichOneof("variant") not in {"query_workflow", "remove_from_cache"} for job in now.jobs)
    return (
        happens
        and now.history_length > last.history_length
        and now.history_size_bytes == last.history_size_bytes > 0
        and now.timestamp == last.timestamp
    )
