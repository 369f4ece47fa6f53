"""``tocsin worker``: runs workflows and activities until it is told to stop."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.runtime import Runtime

from activities.destinations import OpenDestinations
from audit import AuditLog, DigestLedger, KeptPolicies
from gateway.handover import Decide
from gateway.links import SETTING as LINK_SECRET
from gateway.links import Links
from policy import IncidentFacts, Policy, PolicySource
from worker.catching_up import arize_api, create_catch_up, keep_schedule
from worker.crew import AGAIN_AFTER, Crew, Part, create_crew, work
from worker.digest_schedules import DigestSchedules
from worker.errors import StartError
from worker.logs import keep_out
from worker.policy_in_force import PolicyInForce
from worker.settings import Settings
from worker.temporal import connect_patiently, connect_surely, keep_registered, make_runtime, register_search_attributes

STOP_WITHIN = 18.0  # seconds, of which what is under way has ten

_log = structlog.get_logger()


async def run_worker(settings: Settings, part: Part = "all") -> None:
    """Raises PolicyError where the policy is not usable, StartError where a secret is missing."""
    runtime = make_runtime(settings.worker_metrics)
    destinations = OpenDestinations(settings.environment, settings.public_url)
    log = AuditLog(settings.database_url)
    keeper = PolicyKeeper(settings.database_url)

    schedules = DigestSchedules(settings.task_queue, DigestLedger(log.database).waiting, settings.speed)

    def accept(policy: Policy) -> None:
        destinations.take(policy)
        keep_out(destinations.secrets())
        keeper.keep(policy.source)
        schedules.want(policy)

    try:
        in_force = PolicyInForce(settings, accept=accept, count=_counter(runtime))
    except LookupError as error:
        raise StartError(f"{error.args[0]}\nset it, or TOCSIN_CONSOLE_FALLBACK=yes to print there instead") from None
    for name, missing in in_force.lacking.items():
        _log.info("console stands in for a destination", destination=name, missing=missing)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, in_force.hang_up)
    connecting = asyncio.create_task(connect_patiently(settings, runtime=runtime))
    stopping = asyncio.create_task(stop.wait())
    beside = [_beside("the policy is looked after", in_force.watch), _beside("policies are kept", keeper.run)]
    await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():
        connecting.cancel()
        return
    client = connecting.result()
    await register_search_attributes(client)
    beside.append(_beside("search attributes are looked after", lambda: keep_registered(client, settings.speed)))
    beside.append(_beside("digests are scheduled", lambda: schedules.run(client)))
    beside.append(_beside("catching up is scheduled", lambda: keep_schedule(client, settings)))
    arize = arize_api(settings)
    with ThreadPoolExecutor(32, "vendors") as threads:
        loop.set_default_executor(threads)
        links = Links(settings.public_url, settings.secrets(LINK_SECRET))
        catch_up = create_catch_up(settings, client, arize, _decider(in_force))

        def crew(client: Client) -> Crew:
            return create_crew(
                client,
                settings.task_queue,
                in_force.current,
                destinations,
                log,
                settings.speed,
                links,
                catch_up,
                part=part,
                slots=settings.worker_slots,
                cached=settings.worker_cache,
            )

        _log.info("worker runs", task_queue=settings.task_queue, policy=in_force.policy.digest)
        stopping.add_done_callback(lambda _: _end_in_time())
        await work(lambda: connect_surely(settings, runtime=runtime), crew, stop)
        _log.info("worker stopped")
        for task in beside:
            task.cancel()
    await arize.close()
    await destinations.close()
    log.close()


def _beside(what: str, begin: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """Have it done beside the worker; what it does not expect ends neither."""

    async def again() -> None:
        while True:
            try:
                return await begin()
            except Exception:  # noqa: BLE001  # whatever it is: the worker pages without it, and it is heard
                _log.exception("it is begun again", what=what, after=AGAIN_AFTER)
                await asyncio.sleep(AGAIN_AFTER)

    return asyncio.create_task(again())


def _end_in_time() -> None:
    """While Temporal is away the SDK goes on trying to say what it has done. It need not: all that is known there."""

    def end() -> None:
        _log.warning("worker stopped without an end: Temporal does not answer", after=STOP_WITHIN)
        os._exit(0)

    timer = threading.Timer(STOP_WITHIN, end)
    timer.daemon = True
    timer.start()


def _decider(in_force: PolicyInForce) -> Decide:
    """What the policy in force makes of the first alerts of an incident that this worker begins."""
    return lambda alert, count: in_force.current().decide(alert, datetime.now(UTC), IncidentFacts(alerts=count))


def _counter(runtime: Runtime) -> Callable[[str], None]:
    """Counts reloads of the policy by their outcome, beside Temporal's own figures."""
    counter = runtime.metric_meter.create_counter("tocsin_policy_reloads", "loaded, unchanged or refused")
    return lambda outcome: counter.add(1, {"outcome": outcome})


class PolicyKeeper:
    """Keeps every policy that comes into force; the log's being away delays that, and never a decision."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: asyncio.Queue[PolicySource] = asyncio.Queue()

    def keep(self, source: PolicySource) -> None:
        self._waiting.put_nowait(source)

    async def run(self) -> None:
        while True:
            source = await self._waiting.get()
            wait = 1.0
            while not await asyncio.to_thread(self._keep, source):
                await asyncio.sleep(wait)
                wait = min(wait * 2, 30.0)

    def _keep(self, source: PolicySource) -> bool:
        try:
            kept = KeptPolicies(self._url)
            try:
                kept.keep(source, datetime.now(UTC))
            finally:
                kept.close()
        except (SQLAlchemyError, OSError) as error:
            _log.warning("policy is not kept yet", policy=source.digest, error=type(error).__name__)
            return False
        return True
