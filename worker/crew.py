"""The workers of one process: one for what is urgent, and one for what a page must never wait behind."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Literal

import structlog
from temporalio.client import Client
from temporalio.worker import PollerBehaviorAutoscaling, UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.catch_up import CatchUp
from activities.classify import Classifier
from activities.deliver import Deliverer
from activities.destinations import Destination
from activities.digest import Digester
from activities.record import Recorder
from audit import AuditLog
from gateway.links import Links
from policy import Policy
from worker.in_step import InStep
from workflows.catch_up import CatchUp as CatchUpRound
from workflows.change import ChangeReport
from workflows.digest import Digest
from workflows.digest_issue import DigestIssue
from workflows.incident import Incident
from workflows.messages import ASIDE

WORKFLOWS = (Incident, Digest, DigestIssue, ChangeReport, CatchUpRound)
SANDBOX = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        "activities", "alerts", "policy", "workflows", "cel_expr_python"
    )
)
"""For tests and replays, where it finds what is not deterministic. Our pure modules pass through."""
UNSANDBOXED = UnsandboxedWorkflowRunner()
"""For production: the sandbox is two thirds of what a worker's workflow code costs, and has found in the tests what
there is to find."""

WORKFLOW_TASKS = 16
"""At once, of one process. They are its processor's work alone, so that more take no less time together; and a worker
that comes after another one died has every incident's history to do over. One that waits for its turn at the server
costs nothing; one that takes over ten seconds is given to somebody else, and was done in vain."""

Part = Literal["all", "urgent", "aside"]
AGAIN_AFTER = 5.0  # seconds

_log = structlog.get_logger()


class Crew:
    """``run`` it; or, in tests, use it as an asynchronous context manager, or ``start`` and ``shutdown`` it."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers

    async def run(self, stop: asyncio.Event) -> None:
        """Work until told to stop. Raises RuntimeError where a worker cannot go on, once both have ended."""
        working = [asyncio.create_task(worker.run()) for worker in self._workers]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({*working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await self.shutdown()
        await asyncio.gather(*working)

    async def start(self) -> None:
        for worker in self._workers:
            await worker.__aenter__()

    async def shutdown(self) -> None:
        """Stop taking work, and let what is under way come to its end."""
        await asyncio.gather(*(worker.shutdown() for worker in self._workers))

    async def __aenter__(self) -> "Crew":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(worker.__aexit__(kind, error, trace) for worker in self._workers))


def create_crew(
    client: Client,
    task_queue: str,
    policy: Callable[[], Policy],
    destinations: Mapping[str, Destination],
    log: AuditLog,
    speed: float = 1.0,
    links: Links | None = None,
    catch_up: CatchUp | None = None,
    *,
    part: Part = "all",
    runner: WorkflowRunner = UNSANDBOXED,
    slots: int = 200,
    cached: int = 300,
) -> Crew:
    """The workers of a process, or a part of them.

    Urgent is what pages: workflow tasks, pages, and what is told in place of one. Everything else is aside, on a task
    queue and in slots of its own: posts, tickets, records, digests, changes. ``policy`` gives the one that is in force
    at the moment; ``slots`` is how many activities each side does at once, and ``cached`` how many incidents are kept
    in memory: another one is replayed from its history, of some thirty events.
    """
    recorder = Recorder(log)
    page = links.page if links else _no_page
    deliverer = Deliverer(destinations, recorder, page)
    digester = Digester(policy, destinations, log, recorder, speed, page)
    activities = [
        recorder.record,
        deliverer.page,
        deliverer.post,
        deliverer.ticket,
        deliverer.console,
        deliverer.send_digest,
        deliverer.hearers,
        deliverer.tell_change,
        digester.digest,
        digester.issue_digest,
        *([catch_up.survey_monitors, catch_up.mend] if catch_up else []),
    ]
    shared: dict[str, Any] = {
        "max_concurrent_activities": slots,
        "activity_task_poller_behavior": PollerBehaviorAutoscaling(),
        "graceful_shutdown_timeout": timedelta(seconds=10),
    }
    workers: list[Worker] = []
    if part != "aside":
        urgent = Worker(
            client,
            task_queue=task_queue,
            workflows=WORKFLOWS,
            # Those of the other side, too: what began before there were two sides still asks for them here.
            activities=[Classifier(policy).classify, *activities],
            workflow_runner=InStep(runner),
            max_cached_workflows=cached,
            max_concurrent_workflow_tasks=min(WORKFLOW_TASKS, slots, cached),
            max_concurrent_local_activities=2 * slots,
            workflow_task_poller_behavior=PollerBehaviorAutoscaling(),
            # A worker that died held its incidents in its own queue: after this, any other worker takes them up.
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=4),
            **shared,
        )
        workers.append(urgent)
    if part != "urgent":
        aside = Worker(
            client,
            task_queue=f"{task_queue}{ASIDE}",
            activities=activities,
            **shared,
        )
        workers.append(aside)
    return Crew(workers)


async def work(connect: Callable[[], Awaitable[Client]], crew: Callable[[Client], Crew], stop: asyncio.Event) -> None:
    """One crew after the other until told to stop, each on a connection of its own, as the SDK wants it.

    The SDK gives up where the cluster says what asking again will not change, such as that the namespace is not there;
    yet a cluster says so while it starts, too, and somebody mends it.
    """
    while not stop.is_set():
        try:
            await crew(await connect()).run(stop)
        except Exception as error:  # noqa: BLE001  # whatever ends it, nobody else would page
            _log.error("the worker cannot go on; it is begun again", error=repr(error)[:500], after=AGAIN_AFTER)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), AGAIN_AFTER)


def _no_page(opening: str) -> str:
    del opening
    return ""
