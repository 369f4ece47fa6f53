"""``tocsin worker``: runs workflows and activities until it is stopped."""

import asyncio
import os
import platform
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.runtime import Runtime

from activities.ended import EndedIncidents
from activities.reconcile import Reconciler
from audit import AuditLog, DigestLedger, PolicyArchive
from gateway.ingest.first_decision import FirstDecider
from gateway.ingest.grouping import PolicyGrouping
from gateway.ingest.open_incidents import OpenIncidents
from gateway.ingest.suppress import suppress_by
from gateway.security.links import SETTING as LINK_SECRET
from gateway.security.links import Links
from integrations.arize.health import ArizeHealth
from integrations.base.open_destinations import OpenDestinations
from integrations.suppression.finder import SuppressionFinder
from integrations.suppression.store import SuppressionStore
from policy import Policy, PolicySource
from worker.arize import Arize, open_arize
from worker.digest_schedules import DigestSchedules
from worker.errors import StartError
from worker.logs import redact
from worker.policy_watcher import PolicyWatcher
from worker.reconcile import create_ended_incidents, create_reconciler, maintain_schedule
from worker.retries import retry_forever
from worker.settings import Settings
from worker.signals import reload_on_hangup, stop_on_signals
from worker.temporal import (
    connect_verified,
    connect_with_retry,
    maintain_search_attributes,
    make_runtime,
    register_search_attributes,
)
from worker.worker_group import (
    RESTART_WAIT,
    Part,
    WorkerDependencies,
    WorkerGroup,
    create_worker_group,
    run_worker_groups,
)

STOP_TIMEOUT = 18.0  # seconds, of which running activities get ten
LOOKUPS_PER_SLOT = 4
"""Threads that look up hosts' names, for each slot: an attempt that was given up leaves its look-up behind."""

_log = structlog.get_logger()


@dataclass(frozen=True)
class _Resources:
    """Everything that the process opens before it connects to Temporal."""

    runtime: Runtime
    destinations: OpenDestinations
    log: AuditLog
    archiver: "PolicyArchiver"
    schedules: DigestSchedules
    policies: PolicyWatcher


@dataclass(frozen=True)
class _Checks:
    """What schedules run."""

    reconciler: Reconciler
    ended: EndedIncidents


async def run_worker(settings: Settings, part: Part = "all") -> None:
    """Run until SIGINT or SIGTERM.

    Raises:
        PolicyError: the policy is not valid.
        StartError: a secret is missing, or a setting is not valid.
    """
    resources = _open(settings)
    stop = stop_on_signals()
    reload_on_hangup(resources.policies.request_reload)
    tasks = [
        run_supervised("policy_watcher", resources.policies.watch),
        run_supervised("policy_archiver", resources.archiver.run),
    ]
    client = await _connect_unless_stopped(settings, resources.runtime, stop)
    if client is None:
        return
    await register_search_attributes(client)
    arize = open_arize(settings, ArizeHealth(count_arize_requests(resources.runtime)))
    tasks += [
        run_supervised("search_attributes", lambda: maintain_search_attributes(client, settings.speed)),
        run_supervised("digest_schedules", lambda: resources.schedules.run(client)),
        run_supervised("reconcile_schedule", lambda: maintain_schedule(client, settings)),
        run_supervised("descriptions", lambda: arize.maintain(lambda: str(resources.policies.current().failures))),
    ]
    with lookup_threads(settings.worker_slots) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        decide = FirstDecider(resources.policies.current, arize.descriptions, workers_ask_arize=arize.has_key)
        grouping = PolicyGrouping(resources.policies.current, arize.descriptions)
        store = SuppressionStore(settings.dedup_store_url)
        finder = SuppressionFinder(store, resources.policies.current, OpenIncidents(client).is_open)
        reconciler = create_reconciler(settings, client, arize, decide, grouping, suppress_by(finder))
        ended = create_ended_incidents(
            settings, client, resources.log, resources.destinations, resources.policies.current
        )
        _log.info("worker_started", task_queue=settings.task_queue, policy=resources.policies.policy.digest)
        await _work(settings, part, resources, arize, _Checks(reconciler, ended), store, stop)
        _log.info("worker_stopped")
        for task in tasks:
            task.cancel()
        finder.close()
    await arize.close()
    await resources.destinations.close()
    resources.log.close()


def lookup_threads(slots: int) -> ThreadPoolExecutor:
    """asyncio's own executor: each connection looks up its host's name there, those of pages as well.

    So that no page waits for the names of others, it has more threads than the activities of both workers can hold.
    They start when they are needed.
    """
    return ThreadPoolExecutor(LOOKUPS_PER_SLOT * slots + 32, "lookups")


def _open(settings: Settings) -> _Resources:
    runtime = make_runtime(settings.worker_metrics)
    destinations = OpenDestinations(settings.environment)
    log = AuditLog(settings.database_url)
    archiver = PolicyArchiver(settings.database_url)
    schedules = DigestSchedules(settings.task_queue, DigestLedger(log.database).waiting, settings.speed)

    def accept(policy: Policy) -> None:
        destinations.update(policy)
        redact(destinations.secrets())
        archiver.add(policy.source)
        schedules.set_policy(policy)

    try:
        policies = PolicyWatcher(
            settings, accept=accept, count=create_metrics(runtime), count_failure=count_condition_failures(runtime)
        )
    except LookupError as error:
        raise StartError(f"{error.args[0]}\nset it, or TOCSIN_CONSOLE_FALLBACK=yes to print there instead") from None
    for name, missing in policies.missing_secrets.items():
        _log.info("console_fallback_used", destination=name, missing=missing)
    return _Resources(runtime, destinations, log, archiver, schedules, policies)


async def _connect_unless_stopped(settings: Settings, runtime: Runtime, stop: asyncio.Event) -> Client | None:
    connecting = asyncio.create_task(connect_with_retry(settings, runtime=runtime))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not connecting.done():
        connecting.cancel()
        return None
    return connecting.result()


async def _work(
    settings: Settings,
    part: Part,
    resources: _Resources,
    arize: Arize,
    checks: "_Checks",
    store: SuppressionStore,
    stop: asyncio.Event,
) -> None:
    dependencies = WorkerDependencies(
        resources.policies.current,
        resources.destinations,
        resources.log,
        links=Links(settings.public_url, settings.secrets(LINK_SECRET)),
        reconciler=checks.reconciler,
        ended=checks.ended,
        describer=arize.alert_describer,
        refresher=arize.refresher,
        speed=settings.speed,
        suppressions=store,
    )

    def create(client: Client) -> WorkerGroup:
        return create_worker_group(
            client,
            settings.task_queue,
            dependencies,
            part=part,
            slots=settings.worker_slots,
            cached=settings.worker_cache,
        )

    stopping = asyncio.create_task(stop.wait())
    stopping.add_done_callback(lambda _: _exit_after_timeout())
    await run_worker_groups(lambda: connect_verified(settings, runtime=resources.runtime), create, stop)


def run_supervised(task: str, start: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Run a background task, and restart it after an unexpected error: paging goes on without it."""

    async def supervise() -> None:
        attempts = retry_forever(
            "background_task_restarting",
            Exception,
            wait_initial=RESTART_WAIT,
            wait_max=RESTART_WAIT,
            traceback=True,
            task=task,
        )
        async for attempt in attempts:
            with attempt:
                await start()

    return asyncio.create_task(supervise(), name=task)


def _exit_after_timeout() -> None:
    """End the process even if Temporal is unavailable.

    The SDK then keeps retrying to report the results of its last tasks. Temporal repeats those tasks anyway.
    """

    def end() -> None:
        _log.warning("worker_stop_timed_out", after=STOP_TIMEOUT)
        os._exit(0)

    timer = threading.Timer(STOP_TIMEOUT, end)
    timer.daemon = True
    timer.start()


def create_metrics(runtime: Runtime) -> Callable[[str], None]:
    """Publish the build, and return the counter of policy reloads by their outcome."""
    meter = runtime.metric_meter
    build = {"version": version("tocsin"), "python": platform.python_version()}
    meter.create_gauge("tocsin_build_info", "The build that runs; always 1.").set(1, build)
    reloads = meter.create_counter("tocsin_policy_reloads_total", "Policy reloads: loaded, unchanged or rejected.")
    return lambda outcome: reloads.add(1, {"outcome": outcome})


def count_condition_failures(runtime: Runtime) -> Callable[[str], None]:
    """The counter of conditions that cannot be evaluated, by their place in the policy."""
    failures = runtime.metric_meter.create_counter(
        "tocsin_condition_failures_total",
        "Alerts for which a condition of the policy cannot be evaluated, by its place.",
    )
    return lambda place: failures.add(1, {"place": place})


def count_arize_requests(runtime: Runtime) -> Callable[[str, str], None]:
    """The counter of requests to Arize, by API and outcome."""
    requests = runtime.metric_meter.create_counter(
        "tocsin_arize_requests_total", "Requests to Arize's API for monitors and their descriptions, by outcome."
    )
    return lambda api, outcome: requests.add(1, {"api": api, "outcome": outcome})


class PolicyArchiver:
    """Archives every policy that comes into force. While the database is unavailable it retries, and delays nothing."""

    def __init__(self, url: str) -> None:
        """``url`` is an SQLAlchemy URL."""
        self._url = url
        self._pending: asyncio.Queue[PolicySource] = asyncio.Queue()

    def add(self, source: PolicySource) -> None:
        self._pending.put_nowait(source)

    async def run(self) -> None:
        while True:
            source = await self._pending.get()
            attempts = retry_forever(
                "policy_archive_failed", SQLAlchemyError, OSError, wait_max=30.0, policy=source.digest
            )
            async for attempt in attempts:
                with attempt:
                    await asyncio.to_thread(self._archive, source)

    def _archive(self, source: PolicySource) -> None:
        archive = PolicyArchive(self._url)
        try:
            archive.add(source, datetime.now(UTC))
        finally:
            archive.close()
