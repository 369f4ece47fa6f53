"""Runs an incident in one process: a Temporal server, real workers, stand-in vendors, a real audit log.

Time skips on the default server: ``advance(minutes=15)`` takes no real time.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, WorkflowRunner

from activities.ended import EndedIncidents
from activities.reconcile import Reconciler
from alerts import Alert, incident_id, normalise
from audit import AuditLog, AuditRecord, check
from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.first_decision import FirstDecider
from gateway.ingest.grouping import PolicyGrouping
from gateway.ingest.ingester import AlertIngester
from gateway.ingest.open_incidents import OpenIncidents
from gateway.ingest.spool import Spool
from gateway.ingest.submission import AcceptedAlert
from gateway.ingest.suppress import suppress_by
from incident.events import ActionType, EventIds, ResponderAction, Role
from incident.state import IncidentState, PendingNotification
from incident.view import IncidentView
from integrations.arize.health import ArizeHealth
from integrations.base.open_destinations import open_destinations
from integrations.base.registry import destination_types
from integrations.suppression.finder import SuppressionFinder
from integrations.suppression.store import SuppressionStore
from policy import Decision, Policy, Target, load_policy
from tests import DEV_SERVER, TEST_SERVER
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS, alert_body, write_policy
from tests.waiting import SLOW_MACHINE, wait_until
from worker.arize import Arize, open_arize
from worker.query_guard import QueryGuard
from worker.settings import read_settings
from worker.temporal import SEARCH_ATTRIBUTES
from worker.worker_group import SANDBOX, WORKFLOWS, WorkerDependencies, WorkerGroup, create_worker_group
from workflows.contracts import INCIDENT_QUERY, PROCESSED_EVENT_IDS_QUERY, RESPONDER_ACTION_SIGNAL

T = TypeVar("T")
QUEUE = "harness"
ARIZE_SPEED = 20
"""Divides the pauses after a failure of Arize's API, which are no time of Temporal's that a test can skip."""


def make_alert(metric: str = "error_rate", value: float = 0.31, **changes: Any) -> Alert:
    """An alert in Arize's words, read by the real reader."""
    return normalise(alert_body(metric, value, f"m-{metric}", **changes))


def broken_state(incident: str) -> IncidentState:
    """A state with a pending notification and no alert: its message cannot be built, so workflow code raises."""
    target = Target(name="primary", type="pagerduty", kind="page")
    return IncidentState(
        incident=incident,
        first_run_id="run",
        opened_at=datetime.now(UTC),
        decision=Decision(rule="r", reason="w", tier="critical"),
        pending=[PendingNotification(key="k", dedup_key="t", verb="notify", target=target)],
    )


@dataclass(kw_only=True)
class IncidentHarness:
    """One incident at a time: the one of the alert that fired last."""

    env: WorkflowEnvironment
    client: Client
    audit_log: AuditLog
    pagerduty: PagerDuty
    slack: Slack
    jira: Jira
    policies: list[Policy]
    """The last one is in force."""
    policy_file: Path
    create_worker: Callable[..., WorkerGroup]
    another_gateway: Callable[..., AlertIngester]
    """Another gateway's ingester, with the same database, or with the one whose URL is given."""
    suppressions: SuppressionStore
    arize: Arize
    """What the workers use of Arize; without an API key unless the fixture has a tenant."""
    ingester: AlertIngester = field(init=False)
    worker: WorkerGroup = field(init=False)
    alert: Alert = field(default_factory=make_alert)
    gateway_decides: bool = True
    """False: a worker decides about the first alert, as it does for a gateway without the destinations' secrets."""

    # ── Alerts and responders ───────────────────────────────────────────────────────────────────────────

    async def fire(self, alert: Alert | None = None, event_id: str = "") -> AcceptedAlert:
        """An alert arrives, through the gateway's own ingester."""
        self.alert = alert or self.alert
        return await self.send(self.alert, event_id)

    async def clear(self, value: float = 0.01) -> None:
        """The monitor of the last alert clears."""
        await self.send(self.alert.model_copy(update={"status": "cleared", "value": value}))

    async def send(self, alert: Alert, event_id: str = "") -> AcceptedAlert:
        """A message about a monitor arrives; it does not become the harness's own alert."""
        return await self.ingester.accept_alert(alert, event_id, received_at=await self.env.get_current_time())

    async def act(
        self, action: ActionType, by: str = "alice", role: Role = "responder", source: str = "api", **more: Any
    ) -> IncidentView:
        """A responder acts through the API: the gateway's signal, and the incident after it was processed."""
        more.setdefault("id", f"{source}-{uuid.uuid4().hex}")
        done = ResponderAction(type=action, by=by, role=role, source=source, **more)
        await self.handle.signal(RESPONDER_ACTION_SIGNAL, done)
        ids = EventIds(ids=(done.id,))
        await wait_until(lambda: self.handle.query(PROCESSED_EVENT_IDS_QUERY, ids), 0.02)
        return await self.view()

    async def callback(self, action: ActionType, by: str = "alice", **more: Any) -> None:
        """A responder acts in PagerDuty."""
        done = ResponderAction(type=action, by=by, source="pagerduty", **more)
        await self.handle.signal(RESPONDER_ACTION_SIGNAL, done)

    # ── Time, policy and workers ────────────────────────────────────────────────────────────────────────

    async def advance(self, **duration: float) -> None:
        """Let time pass, given as to ``timedelta``."""
        await self.env.sleep(timedelta(**duration))

    async def advance_until(self, condition: Callable[[IncidentView], T | None], **step: float) -> T:
        """Let time pass step by step, at most ten, until the condition's value is true.

        The time-skipping server ends an activity whose time is over when time next passes, and not always by then.
        """
        for _ in range(10):
            await self.advance(**step)
            if value := condition(await self.view()):
                return value
        return await self.until(condition)

    def change_policy(self, old: str, new: str) -> None:
        """Replace a part of the policy's text. Its destinations stay as they are."""
        text = self.policy_file.read_text()
        assert old in text
        self.policy_file.write_text(text.replace(old, new))
        self.policies.append(load_policy(self.policy_file, destination_types()))

    async def start_worker(self, **options: Any) -> None:
        """Start a worker group, which replaces the harness's own; options as for ``create_worker_group``."""
        self.worker = self.create_worker(**options)
        await self.worker.start()

    async def restart_worker(self, **options: Any) -> None:
        """Stop the workers, and start others with these options, which know only the histories."""
        await self.worker.shutdown()
        await self.start_worker(**options)

    @asynccontextmanager
    async def without_worker(self) -> AsyncGenerator[None]:
        """No worker runs inside the block; afterwards a new one does, which knows only the histories."""
        await self.worker.shutdown()
        yield
        await self.start_worker()

    # ── What there is to see ────────────────────────────────────────────────────────────────────────────

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(incident_id(self.alert))

    async def view(self) -> IncidentView:
        return await self.handle.query(INCIDENT_QUERY, result_type=IncidentView)

    async def until(self, condition: Callable[[IncidentView], T | None], seconds: float = SLOW_MACHINE) -> T:
        """Query the incident until the condition's value is true, and return that. No time is skipped."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            view = await self.view()
            if value := condition(view):
                return value
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"not met within {seconds:g} s: {view.model_dump_json(indent=1)}")
            await asyncio.sleep(0.02)

    async def until_state(self, state: str) -> IncidentView:
        """The incident in that state."""
        return await self.until(lambda view: view if view.state == state else None)

    async def until_closed(self) -> list[AuditRecord]:
        """Wait for the end of the workflow, and return the incident's audit records, whose chain must be intact."""
        await self.handle.result()
        records = list(self.audit_log.read(incident_id(self.alert)))
        assert check(records, whole=False) == []
        return records

    async def is_open(self) -> bool:
        return (await self.handle.describe()).status == WorkflowExecutionStatus.RUNNING

    def page_keys(self, service: str = "") -> list[str]:
        """The dedup keys of all triggers that PagerDuty received, in order; of one service."""
        key = SECRETS[service.upper()] if service else ""
        return [event["dedup_key"] for event in self.pagerduty.events("trigger", key)]

    async def replay(self) -> None:
        """Whatever happened in a test must replay to the same commands on a worker that knows only the history."""
        try:
            history = await self.handle.fetch_history()
        except RPCError:
            return  # no alert fired
        await replayer(self.client.data_converter).replay_workflow(history)


def replayer(converter: DataConverter = pydantic_data_converter) -> Replayer:
    """A replayer that runs workflows as the workers do."""
    return Replayer(workflows=WORKFLOWS, data_converter=converter, workflow_runner=QueryGuard(SANDBOX))


async def _server(real: bool, converter: DataConverter, limits: Mapping[str, int]) -> WorkflowEnvironment:
    if real:
        arguments = [f"{name}={value}" for name, value in limits.items()]
        return await WorkflowEnvironment.start_local(
            dev_server_existing_path=DEV_SERVER,
            data_converter=converter,
            dev_server_log_level="error",
            dev_server_extra_args=[part for one in arguments for part in ("--dynamic-config-value", one)],
        )
    return await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=TEST_SERVER, data_converter=pydantic_data_converter
    )


@asynccontextmanager
async def incident_harness(
    folder: Path,
    pagerduty: PagerDuty,
    slack: Slack,
    jira: Jira,
    *,
    real: bool = False,
    environment: Mapping[str, str] | None = None,
    converter: DataConverter = pydantic_data_converter,
    limits: Mapping[str, int] | None = None,
) -> AsyncGenerator[IncidentHarness]:
    """A harness with a server of its own.

    Args:
        folder: of the policy and the databases.
        pagerduty: the pagers.
        slack: the posts.
        jira: the tickets.
        real: the server that production uses, on which time does not skip.
        environment: the settings of an Arize tenant.
        converter: encrypts what the real server gets.
        limits: of the real server, by their names in its dynamic configuration.
    """
    policy_file = folder / "policy.yaml"
    write_policy(policy_file, pagerduty, slack, jira)
    policies = [load_policy(policy_file, destination_types())]
    destinations = open_destinations(policies[0], SECRETS)
    audit_log = AuditLog(f"sqlite:///{folder}/audit.db")
    database = f"sqlite:///{folder}/gateway.db"
    dedup_store, suppressions = DedupStore(database), SuppressionStore(database)
    health = ArizeHealth(clock=lambda: time.monotonic() * ARIZE_SPEED)
    arize = open_arize(read_settings({"TOCSIN_STATE_DIR": str(folder), **(environment or {})}), health)
    spool = Spool(folder / "spool.db")
    stores = [dedup_store]
    async with await _server(real, converter, limits or {}) as env:
        await env.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=env.client.namespace, search_attributes=SEARCH_ATTRIBUTES)
        )

        def create_worker(
            runner: WorkflowRunner = SANDBOX,
            reconciler: Reconciler | None = None,
            clients: Arize = arize,
            ended: EndedIncidents | None = None,
            **options: Any,
        ) -> WorkerGroup:
            dependencies = WorkerDependencies(
                lambda: policies[-1],
                destinations,
                audit_log,
                reconciler=reconciler,
                describer=clients.alert_describer,
                refresher=clients.refresher,
                ended=ended,
                suppressions=SuppressionStore(database),
            )
            return create_worker_group(env.client, QUEUE, dependencies, runner=runner, **options)

        def another_gateway(url: str = database) -> AlertIngester:
            stores.append(DedupStore(url))
            grouping = PolicyGrouping(lambda: policies[-1], arize.descriptions)
            return AlertIngester(env.client, QUEUE, stores[-1], spool, grouping=grouping)

        harness = IncidentHarness(
            env=env,
            client=env.client,
            audit_log=audit_log,
            pagerduty=pagerduty,
            slack=slack,
            jira=jira,
            policies=policies,
            policy_file=policy_file,
            create_worker=create_worker,
            another_gateway=another_gateway,
            suppressions=suppressions,
            arize=arize,
        )

        def policy() -> Policy | None:
            return policies[-1] if harness.gateway_decides else None

        decide = FirstDecider(policy, arize.descriptions, workers_ask_arize=arize.has_key)
        grouping = PolicyGrouping(lambda: policies[-1], arize.descriptions)
        finder = SuppressionFinder(suppressions, lambda: policies[-1], OpenIncidents(env.client).is_open)
        harness.ingester = AlertIngester(env.client, QUEUE, dedup_store, spool, decide, grouping, suppress_by(finder))
        await harness.start_worker()
        try:
            yield harness
            await harness.replay()
        finally:
            await harness.worker.shutdown()
    for destination in destinations.values():
        await destination.close()
    await arize.close()
    spool.close()
    for store in stores:
        store.close()
    audit_log.close()
