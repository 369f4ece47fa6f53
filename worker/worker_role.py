"""``tocsin worker``: runs workflows and activities until it is told to stop."""

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import structlog
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.classify import Classifier
from activities.deliver import Deliverer
from activities.destinations import Destination, open_destinations
from activities.digest import Digester
from activities.record import Recorder
from audit import AuditLog
from policy import Policy
from worker.policy_in_force import policy_in_force
from worker.settings import Settings
from worker.temporal import connect_patiently, register_search_attributes
from workflows.digest import Digest
from workflows.incident import Incident

_log = structlog.get_logger()

SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        "activities", "alerts", "policy", "workflows", "cel_expr_python"
    )
)
"""The sandbox re-imports only what holds workflow code; our pure modules pass through, read-only as they are."""


async def run_worker(settings: Settings) -> None:
    """Raises PolicyError where the policy is not usable, LookupError where a secret is missing."""
    policy, lacking = policy_in_force(settings)
    for name, missing in lacking.items():
        _log.info("console stands in for a destination", destination=name, missing=missing)
    destinations = open_destinations(policy, settings.environment, settings.public_url)
    log = AuditLog(settings.database_url)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    connecting = asyncio.create_task(connect_patiently(settings, metrics=settings.worker_metrics))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():
        connecting.cancel()
        return
    client = connecting.result()
    await register_search_attributes(client)
    with ThreadPoolExecutor(32, "vendors") as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        async with create_worker(client, settings.task_queue, policy, destinations, log, settings.speed):
            _log.info("worker runs", task_queue=settings.task_queue, policy=policy.digest)
            await stop.wait()
        _log.info("worker stopped")
    for destination in destinations.values():
        await destination.close()
    log.close()


def create_worker(
    client: Client,
    task_queue: str,
    policy: Policy,
    destinations: dict[str, Destination],
    log: AuditLog,
    speed: float = 1.0,
) -> Worker:
    """One worker for everything: workflows, local activities, and what reaches people."""
    recorder = Recorder(log)
    deliverer = Deliverer(destinations, recorder)
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[Incident, Digest],
        activities=[
            Classifier(policy).classify,
            recorder.record,
            Digester(client, task_queue, policy, speed, recorder).digest,
            deliverer.page,
            deliverer.post,
            deliverer.ticket,
            deliverer.console,
            deliverer.send_digest,
        ],
        workflow_runner=SANDBOX,
        max_cached_workflows=2000,
        max_concurrent_workflow_tasks=200,
        max_concurrent_activities=200,
        max_concurrent_local_activities=400,
        workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
        activity_task_poller_behavior=PollerBehaviorAutoscaling(),
        # A worker that died held its incidents in its own queue: after this, any other worker takes them up.
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=4),
        graceful_shutdown_timeout=timedelta(seconds=10),
    )
