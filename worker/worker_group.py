"""The Temporal workers of one process: one for paging, and one for everything that a page must not wait behind."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal

import structlog
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.audit import AuditRecorder
from activities.changes import ChangeNotifier
from activities.classify import Classifier
from activities.describing import AlertDescriber
from activities.digest import DigestSender
from activities.ended import EndedIncidents
from activities.notify import Notifier, never_indexed
from activities.reconcile import Reconciler
from activities.refresh_descriptions import DescriptionRefresher
from activities.suppressions import SuppressionActivities
from audit import AuditLog
from gateway.ingest.open_incidents import OpenIncidents
from gateway.security.links import Links
from integrations.base.destination import Destination
from integrations.suppression.finder import SuppressionFinder
from integrations.suppression.store import SuppressionStore
from policy import Policy
from worker.query_guard import QueryGuard
from worker.recheck_incidents import IncidentRechecker
from worker.search_attributes import VendorIdIndex
from worker.tracing import RequestIdWorkerInterceptor
from workflows.change import ChangeEvent
from workflows.contracts import BACKGROUND_SUFFIX
from workflows.digest import DigestSending
from workflows.incident import Incident
from workflows.reconcile import Reconcile
from workflows.silence import SilenceChange

WORKFLOWS = (Incident, DigestSending, ChangeEvent, Reconcile, SilenceChange)
SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        "activities", "alerts", "incident", "policy", "workflows", "cel_expr_python"
    )
)
"""For tests and replays, where it finds code that is not deterministic. Tocsin's pure modules pass through."""
UNSANDBOXED = UnsandboxedWorkflowRunner()
"""For production: the sandbox takes two thirds of the CPU time of workflow code, and the tests run in it."""

MAX_WORKFLOW_TASKS = 16
"""Workflow tasks at once in one process. They are CPU work in one interpreter, so more at once are no faster. After a
worker died, another one replays all of its incidents: a task that waits at the server costs nothing, and a task that
takes over ten seconds times out and is done twice."""

Part = Literal["all", "paging", "background"]
RESTART_WAIT = 5.0  # seconds

_log = structlog.get_logger()


class WorkerGroup:
    """Workers that run and end together: use ``run``, ``start`` and ``shutdown``, or an ``async with`` block."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set. Raises RuntimeError if a worker cannot continue, after all of them have ended."""
        running = [asyncio.create_task(worker.run()) for worker in self._workers]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await self.shutdown()
        await asyncio.gather(*running)

    async def start(self) -> None:
        for worker in self._workers:
            await worker.__aenter__()

    async def shutdown(self) -> None:
        """Accept no more work, and let running activities finish."""
        await asyncio.gather(*(worker.shutdown() for worker in self._workers))

    async def __aenter__(self) -> "WorkerGroup":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(worker.__aexit__(kind, error, trace) for worker in self._workers))


@dataclass(frozen=True)
class WorkerDependencies:
    """The dependencies of a worker's activities. ``policy`` returns the policy in force."""

    policy: Callable[[], Policy]
    destinations: Mapping[str, Destination]
    log: AuditLog
    links: Links | None = None
    reconciler: Reconciler | None = None
    describer: AlertDescriber | None = None
    refresher: DescriptionRefresher | None = None
    ended: EndedIncidents | None = None
    speed: float = 1.0
    indexed: Callable[[], Awaitable[bool]] = never_indexed
    suppressions: SuppressionStore | None = None


def create_worker_group(
    client: Client,
    task_queue: str,
    dependencies: WorkerDependencies,
    *,
    part: Part = "all",
    runner: WorkflowRunner = UNSANDBOXED,
    slots: int = 200,
    cached: int = 300,
) -> WorkerGroup:
    """The workers of a process.

    Args:
        part: ``paging`` runs workflow tasks, pages and fallbacks for pages; ``background`` runs everything else (posts,
            tickets, audit events, digests, changes) on a task queue and in slots of its own; ``all`` runs both.
        slots: the number of activities that each of the two runs at once.
        cached: the number of incidents in memory; others are replayed from their history of some thirty events.
    """
    finder = _finder(client, dependencies)
    classifier = Classifier(dependencies.policy, dependencies.describer, finder)
    if dependencies.indexed is never_indexed:
        dependencies = replace(dependencies, indexed=VendorIdIndex(client).exists)
    rechecker = IncidentRechecker(client, task_queue)
    activities = [classifier.describe, rechecker.recheck_incidents, *_activities(dependencies, finder)]
    shared: dict[str, Any] = {
        "interceptors": [RequestIdWorkerInterceptor()],
        "max_concurrent_activities": slots,
        "activity_task_poller_behavior": PollerBehaviorAutoscaling(),
        "graceful_shutdown_timeout": timedelta(seconds=10),
    }
    workers: list[Worker] = []
    if part != "background":
        paging = Worker(
            client,
            task_queue=task_queue,
            workflows=WORKFLOWS,
            activities=[classifier.classify, classifier.decide_in_doubt, *activities],
            workflow_runner=QueryGuard(runner),
            max_cached_workflows=cached,
            max_concurrent_workflow_tasks=min(MAX_WORKFLOW_TASKS, slots, cached),
            max_concurrent_local_activities=2 * slots,
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            # A worker that died held its incidents in its sticky queue: after this, any other worker processes them.
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=4),
            **shared,
        )
        workers.append(paging)
    if part != "paging":
        workers.append(Worker(client, task_queue=f"{task_queue}{BACKGROUND_SUFFIX}", activities=activities, **shared))
    return WorkerGroup(workers)


def _finder(client: Client, dependencies: WorkerDependencies) -> SuppressionFinder | None:
    store = dependencies.suppressions
    if store is None:
        return None
    return SuppressionFinder(store, dependencies.policy, OpenIncidents(client).is_open)


def _activities(dependencies: WorkerDependencies, finder: SuppressionFinder | None) -> list[Callable[..., Any]]:
    """The activities that do not decide. Both workers have them: a fallback for a page may be of any kind."""
    destinations, links = dependencies.destinations, dependencies.links
    recorder = AuditRecorder(dependencies.log)
    incident_url = links.page if links else _no_incident_url
    notifier = Notifier(destinations, recorder, incident_url, dependencies.indexed, finder)
    suppressions = SuppressionActivities(finder, dependencies.policy)
    changes = ChangeNotifier(destinations)
    digests = DigestSender(
        dependencies.policy,
        destinations,
        dependencies.log,
        recorder,
        speed=dependencies.speed,
        incident_url=incident_url,
    )
    reconciler, refresher, ended = dependencies.reconciler, dependencies.refresher, dependencies.ended
    return [
        recorder.write_audit_events,
        suppressions.check_suppressions,
        suppressions.set_inhibitors,
        suppressions.store_silence,
        notifier.page,
        notifier.post,
        notifier.ticket,
        notifier.console,
        changes.list_change_subscribers,
        changes.send_change_event,
        digests.add_to_digest,
        digests.send_digest,
        *([reconciler.scan_monitors, reconciler.repair] if reconciler else []),
        *([refresher.refresh_descriptions] if refresher else []),
        *([ended.report] if ended else []),
    ]


async def run_worker_groups(
    connect: Callable[[], Awaitable[Client]], create: Callable[[Client], WorkerGroup], stop: asyncio.Event
) -> None:
    """Run one worker group after another until ``stop`` is set, each on a connection of its own, as the SDK requires.

    The SDK's worker ends when the cluster reports an error that a retry does not fix, such as a missing namespace. But
    a cluster also reports such errors while it starts.
    """
    while not stop.is_set():
        try:
            await create(await connect()).run(stop)
        except Exception as error:  # noqa: BLE001  # a process that ends here pages nobody
            _log.error("worker_restarting", error=repr(error)[:500], wait=RESTART_WAIT)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), RESTART_WAIT)


def _no_incident_url(incident_key: str) -> str:
    del incident_key
    return ""
