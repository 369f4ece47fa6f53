"""Tocsin as it runs: a real Temporal server, a worker, stand-in vendors over HTTP, and a gateway for each stream.

Time does not jump here: the policy's durations are divided by ``SPEED``, and many streams are played at the same time.
"""

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from audit import AuditLog
from gateway.app import create_app
from gateway.ingest.actions import IncidentClosedError
from gateway.ingest.first_decision import FirstDecider
from gateway.services import Services
from gateway.settings import GatewaySettings
from incident.events import EventIds, ResponderAction
from integrations.base.open_destinations import open_destinations
from integrations.base.registry import destination_types
from policy import Policy, load_policy
from tests import DEV_SERVER
from tests.chaos.harness import Pager
from tests.invariant.player import POLICY, SECRET, Log, Play, Player
from tests.invariant.stream import Break, Recover, Stream, Wait
from tests.tcp_proxy import TcpProxy
from tests.vendors import Jira, Slack
from tests.vendors.policy import SECRETS
from tests.waiting import SLOW_MACHINE
from worker.temporal import QUICK, register_search_attributes
from worker.worker_group import WorkerDependencies, create_worker_group
from workflows.contracts import PROCESSED_EVENT_IDS_QUERY

SPEED = 40.0
"""The policy's fifteen minutes take 22 seconds, and a step of a stream takes one and a half."""
TOLERANCE = timedelta(minutes=4)
QUEUE = "invariant"


@dataclass
class Site:
    """What all streams share."""

    client: Client
    policy: Policy
    folder: Path
    pager: Pager
    slack: Slack
    jira: Jira

    async def faults(self, streams: Sequence[Stream], log: Log = lambda line: None) -> list[tuple[Stream, list[str]]]:
        """Play streams at the same time; returns those that show violations."""
        numbers = itertools.count(len(list(self.folder.iterdir())))
        found = await asyncio.gather(*(self._play(one, self.folder / str(next(numbers)), log) for one in streams))
        return [(stream, faults) for stream, faults in zip(streams, found, strict=True) if faults]

    async def _play(self, stream: Stream, folder: Path, log: Log) -> list[str]:
        async with TcpProxy(self.client.service_client.config.target_host) as proxy:
            client = await Client.connect(proxy.address, data_converter=pydantic_data_converter, retry_config=QUICK)
            world = GatewayWorld(self, proxy, client, folder, log)
            try:
                return await world.play(shortened(stream))
            finally:
                await world.close()


class GatewayWorld(Player):
    """A gateway of its own for one stream, whose connection to Temporal can be cut."""

    def __init__(self, site: Site, proxy: TcpProxy, client: Client, folder: Path, log: Log) -> None:
        super().__init__(log, SPEED, TOLERANCE)
        self._site, self._proxy = site, proxy
        self.prefix = f"s{uuid.uuid4().hex[:8]}"
        folder.mkdir()
        settings = GatewaySettings(
            task_queue=QUEUE,
            namespace="default",
            policy=lambda: site.policy.digest,
            rules=lambda: [rule.name for rule in site.policy.rules],
            dedup_store_url=f"sqlite:///{folder}/gateway.db",
            spool=folder / "spool.db",
            arize_secrets=(SECRET,),
            decide=FirstDecider(lambda: site.policy, _NoDescriptions(), workers_ask_arize=False),
        )
        self._app = create_app(settings, client)
        self._services: Services = self._app.state.services
        self._draining = asyncio.create_task(self._services.ingester.drain())
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://gateway")

    async def close(self) -> None:
        self._draining.cancel()
        await asyncio.wait([self._draining])
        await self.http.aclose()
        for store in (self._services.spool, self._services.dedup_store):
            store.close()
        self._services.quarantine.store.close()
        self._services.changes.store.close()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def break_down(self, what: str) -> None:
        del what  # the worker is everybody's: here it is always the connection
        await self._proxy.cut()

    async def recover(self, play: Play) -> None:
        await self._proxy.restore()
        await self._until_drained(play)

    async def _until_drained(self, play: Play) -> None:
        try:
            async with asyncio.timeout(2 * SLOW_MACHINE):
                while self._services.spool.depth.items:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            play.faults.append(f"{self._services.spool.depth.items} items stay spooled although Temporal is available")

    async def act(self, incident: str, action: ResponderAction) -> bool:
        try:
            in_temporal = await self._services.ingester.accept_action(incident, action)
        except IncidentClosedError:
            return False
        if in_temporal:
            # Nothing else shows when it has been processed; only what follows must not come before it.
            ids = EventIds(ids=(action.id,))
            handle = self._site.client.get_workflow_handle(incident)
            async with asyncio.timeout(SLOW_MACHINE):
                while not await handle.query(PROCESSED_EVENT_IDS_QUERY, ids):
                    await asyncio.sleep(0.05)
        return True

    async def is_open(self, incident: str) -> bool:
        try:
            description = await self._site.client.get_workflow_handle(incident).describe()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return False
        return description.status is WorkflowExecutionStatus.RUNNING

    def notified(self, incident: str) -> Counter[str]:
        if not incident:
            return Counter()
        names = {SECRETS[name.upper()]: name for name in ("primary", "secondary")}
        found = Counter(names[one.body["routing_key"]] for one in self._site.pager.audible_pages(incident))
        posts = [one for one in self._site.slack.messages if not one["thread_ts"] and incident in str(one["metadata"])]
        tickets = [one for one in self._site.jira.issues.values() if incident in str(one["labels"])]
        return found + Counter({"ops": len(posts), "compliance": len(tickets)})

    async def judge(self, play: Play) -> None:
        """A difference counts if it stays: vendors, worker and server take the time that the machine takes."""
        await self._until_drained(play)
        loop = asyncio.get_running_loop()
        end = loop.time() + SLOW_MACHINE / 2
        while (found := await self.differences(play)) and loop.time() < end:
            await asyncio.sleep(0.2)
        play.faults += found


class _NoDescriptions:
    def get(self, monitor_id: str, /) -> None:
        del monitor_id


def shortened(stream: Stream, minutes: int = 80) -> Stream:
    """The stream with no more waiting than that in total, and a recovery for each break."""
    steps, left = [], minutes
    for step in stream.steps:
        if isinstance(step, Wait):
            if step.minutes > left:
                continue
            left -= step.minutes
        steps.append(step)
        if isinstance(step, Break) and not any(isinstance(one, Recover) for one in stream.steps):
            steps.append(Wait(1))
    return Stream(stream.monitors, tuple(steps))


@asynccontextmanager
async def open_site(folder: Path) -> AsyncGenerator[Site]:
    """A Temporal server, a worker and stand-in vendors."""
    with Pager() as pager, Slack() as slack, Jira() as jira:
        file = folder / "policy.yaml"
        file.write_text(POLICY.format(pagerduty=pager.base_url, slack=f"{slack.base_url}/api", jira=jira.base_url))
        policy = load_policy(file, destination_types()).scaled(SPEED)
        destinations = open_destinations(policy, SECRETS)
        log = AuditLog(f"sqlite:///{folder}/audit.db")
        (folder / "gateways").mkdir()
        async with await WorkflowEnvironment.start_local(
            dev_server_existing_path=DEV_SERVER, data_converter=pydantic_data_converter, dev_server_log_level="error"
        ) as env:
            await register_search_attributes(env.client)
            async with create_worker_group(env.client, QUEUE, WorkerDependencies(lambda: policy, destinations, log)):
                yield Site(env.client, policy, folder / "gateways", pager, slack, jira)
        for one in destinations.values():
            await one.close()
        log.close()
        assert pager.violations == slack.violations == jira.violations == []
