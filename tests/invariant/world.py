"""Tocsin without a Temporal server: the gateway's HTTP app, its stores, the policy, the workflow.

Real: every line of Tocsin from the request to the notification. Replaced: Temporal (``temporal.ServerlessTemporal``),
the clock, and the vendors, which here only count what makes a sound.
"""

import asyncio
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import structlog
from temporalio.api.common.v1 import Payload
from temporalio.testing import ActivityEnvironment

from activities.classify import Classifier
from activities.contracts import ClassifyRequest, DigestRequest, NotificationResult
from gateway.app import create_app
from gateway.ingest.actions import IncidentClosedError
from gateway.ingest.first_decision import FirstDecider
from gateway.services import Services
from gateway.settings import GatewaySettings
from incident.audit_events import AuditBatch
from incident.events import ResponderAction
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.registry import destination_types
from policy import Policy, load_policy
from tests.invariant.player import POLICY, SECRET, Log, Play, Player
from tests.invariant.stream import Stream
from tests.invariant.temporal import CONVERTER, ServerlessTemporal
from tests.invariant.virtual_time import VirtualTimeLoop, virtual_time
from tests.signing import Signer

RECOVERY = 60.0
"""Seconds within which the gateway delivers its spool once Temporal is available."""


class Recipients:
    """What people were notified of: pages that made a sound, posts and tickets, by incident and destination."""

    def __init__(self) -> None:
        self.notified: dict[str, Counter[str]] = {}
        self._open: set[tuple[str, str]] = set()
        self._openings: dict[str, str] = {}
        self.faults: list[str] = []

    def accept(self, one: Notification) -> None:
        name, incident = one.target.name, one.audit.incident
        if one.verb == "resolve":
            self._open.discard((name, one.dedup_key))
            return
        if one.verb != "notify":
            return
        opening = self._openings.setdefault(one.key, one.audit.first_run_id)
        if opening != one.audit.first_run_id:
            # A vendor that is asked whether it has this message has that of the earlier opening.
            self.faults.append(f"two openings of {incident} notify {name} under one key")
        if one.target.kind == "page":
            # PagerDuty folds a trigger with the key of an open incident, without a sound.
            if (name, one.dedup_key) in self._open:
                return
            self._open.add((name, one.dedup_key))
        self.notified.setdefault(incident, Counter())[name] += 1

    def add_to_digest(self, one: DigestRequest) -> None:
        self.notified.setdefault(one.audit.incident, Counter())[one.target.name] += 1


class World(Player):
    """A gateway and its workers, for one stream."""

    def __init__(self, loop: VirtualTimeLoop, folder: Path, policy: Policy, log: Log) -> None:
        super().__init__(log)
        self.folder, self.policy = folder, policy
        self.recipients = Recipients()
        self.signer = Signer()  # each stream has a gateway of its own, whose clock starts again
        self._classifier = Classifier(lambda: policy)
        activities = {
            **dict.fromkeys(("page", "post", "ticket", "console"), self._notify),
            "classify": self._classify,
            "add_to_digest": self._add_to_digest,
            "write_audit_events": self._write,
        }
        self.temporal = ServerlessTemporal(loop, activities)

    async def open(self) -> None:
        settings = GatewaySettings(
            task_queue="tocsin",
            namespace="default",
            policy=lambda: self.policy.digest,
            rules=lambda: [rule.name for rule in self.policy.rules],
            dedup_store_url=f"sqlite:///{self.folder}/gateway.db",
            spool=self.folder / "spool.db",
            arize_secrets=(SECRET,),
            decide=FirstDecider(lambda: self.policy, _NoDescriptions(), workers_ask_arize=False),
        )
        self.app = create_app(settings, await self.temporal.client())
        self.services: Services = self.app.state.services
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://gateway")

    async def close(self) -> None:
        self.temporal.discard()
        await self.http.aclose()
        for store in (self.services.spool, self.services.dedup_store):
            store.close()
        self.services.quarantine.store.close()
        self.services.changes.store.close()

    # ── Activities ──────────────────────────────────────────────────────────────────────────────────────

    async def _classify(self, payloads: Sequence[Payload]) -> Any:
        (request,) = CONVERTER.from_payloads(payloads, [ClassifyRequest])
        return await ActivityEnvironment().run(self._classifier.classify, request)

    async def _notify(self, payloads: Sequence[Payload]) -> NotificationResult:
        (one,) = CONVERTER.from_payloads(payloads, [Notification])
        self.recipients.accept(one)
        return _result(one.target.name, one.target.type, one.dedup_key, one.key)

    async def _add_to_digest(self, payloads: Sequence[Payload]) -> NotificationResult:
        (one,) = CONVERTER.from_payloads(payloads, [DigestRequest])
        self.recipients.add_to_digest(one)
        return _result(one.target.name, one.target.type, one.key, one.key)

    async def _write(self, payloads: Sequence[Payload]) -> None:
        CONVERTER.from_payloads(payloads, [AuditBatch])

    # ── Steps ───────────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def break_down(self, what: str) -> None:
        if what == "Temporal":
            self.temporal.available = False
        else:
            self.temporal.set_worker(False)

    async def recover(self, play: Play) -> None:
        self.temporal.available = True
        self.temporal.set_worker(True)
        await self._drain(play)

    async def _drain(self, play: Play) -> None:
        """The gateway's own task, while the spool holds anything."""
        if not self.services.spool.depth.items:
            return
        draining = asyncio.create_task(self.services.ingester.drain())
        try:
            async with asyncio.timeout(RECOVERY):
                while self.services.spool.depth.items:
                    await asyncio.sleep(1)
        except TimeoutError:
            play.faults.append(f"{self.services.spool.depth.items} items stay spooled although Temporal is available")
        finally:
            draining.cancel()
            await asyncio.wait([draining])

    async def act(self, incident: str, action: ResponderAction) -> bool:
        try:
            await self.services.ingester.accept_action(incident, action)
        except IncidentClosedError:
            return False
        return True

    async def is_open(self, incident: str) -> bool:
        return self.temporal.open_execution(incident) is not None

    def notified(self, incident: str) -> Counter[str]:
        return self.recipients.notified.get(incident, Counter())

    async def judge(self, play: Play) -> None:
        await self._drain(play)
        play.faults += [f"{one.id}: {one.frozen}" for one in self.temporal.executions.values() if one.frozen]
        play.faults += self.recipients.faults
        play.faults += await self.differences(play)


def _result(name: str, kind: str, vendor_id: str, key: str) -> NotificationResult:
    receipt = Receipt(destination=name, type=kind, id=vendor_id, at=datetime.now(UTC), key=key)
    return NotificationResult(receipt=receipt, audit_written=True)


class _NoDescriptions:
    def get(self, monitor_id: str, /) -> None:
        del monitor_id


class Search:
    """Plays streams, each in a world of its own: a stream shows the same whenever it is played."""

    def __init__(self, loop: VirtualTimeLoop, folder: Path, log: Log) -> None:
        self._loop, self._folder, self._log = loop, folder, log
        file = folder / "policy.yaml"
        file.write_text(POLICY.format(pagerduty="https://pager", slack="https://chat", jira="https://tickets"))
        self._policy = load_policy(file, destination_types())

    def faults(self, stream: Stream) -> list[str]:
        """The violations that a stream shows."""
        self._loop.restart_clock()
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            return self._loop.run_until_complete(self._play(stream, Path(folder)))

    async def _play(self, stream: Stream, folder: Path) -> list[str]:
        world = World(self._loop, folder, self._policy, self._log)
        await world.open()
        try:
            return await world.play(stream)
        finally:
            await world.close()


@contextmanager
def search(log: Log = lambda line: None) -> Generator[Callable[[Stream], list[str]]]:
    """A function that plays a stream and returns its violations. ``log`` gets a line for each step."""
    with quiet_logs(), virtual_time() as loop, tempfile.TemporaryDirectory(prefix="tocsin-invariant-") as folder:
        yield Search(loop, Path(folder), log).faults


@contextmanager
def quiet_logs() -> Generator[None]:
    """Thousands of streams log nothing."""
    before, logger = structlog.get_config(), logging.getLogger("temporalio")
    level = logger.level
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        structlog.configure(**before)
        logger.setLevel(level)
