"""Where an incident is played: the time-skipping server, a real worker, stand-in vendors, a real audit log."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, WorkflowRunner

from activities.destinations import destination_types, open_destinations
from alerts import Alert, incident_id, normalise
from audit import AuditLog, Record, check
from gateway.deliveries import Deliveries
from gateway.handover import Taken
from gateway.intake import Intake
from gateway.spool import Spool
from policy import Decision, IncidentFacts, Policy, Target, load_policy
from tests import DEV_SERVER, TEST_SERVER
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS, alert_body, write_policy
from worker.crew import SANDBOX, WORKFLOWS, Crew, create_crew
from worker.in_step import InStep
from worker.temporal import SEARCH_ATTRIBUTES
from workflows.messages import ANSWER_SIGNAL, INCIDENT_QUERY, Act, Answer, IncidentView, Role
from workflows.state import IncidentState, Owed

T = TypeVar("T")
QUEUE = "stage"


def an_alert(metric: str = "error_rate", value: float = 0.31, **changes: Any) -> Alert:
    """An alert as Arize tells it, through the real reader."""
    return normalise(alert_body(metric, value, f"m-{metric}", **changes))


def broken_state(incident: str) -> IncidentState:
    """A delivery about no alert is owed: it cannot be written, and the workflow's code fails."""
    target = Target(name="primary", type="pagerduty", kind="page")
    return IncidentState(
        incident=incident,
        opening="run",
        opened_at=datetime.now(UTC),
        decision=Decision(rule="r", why="w", tier="critical"),
        owed=[Owed(key="k", thread="t", verb="notify", target=target)],
    )


@dataclass
class Stage:
    env: WorkflowEnvironment
    client: Client
    intake: Intake
    log: AuditLog
    pagerduty: PagerDuty
    slack: Slack
    jira: Jira
    policies: list[Policy]
    """The last one is in force."""
    file: Path
    hire: Callable[..., Crew]
    crew: Crew
    alert: Alert = field(default_factory=an_alert)

    @asynccontextmanager
    async def unattended(self) -> AsyncGenerator[None]:
        """No worker is there meanwhile; then another one comes, which knows nothing but the histories."""
        await self.crew.shutdown()
        yield
        self.crew = self.hire()
        await self.crew.start()

    def change_policy(self, old: str, new: str) -> None:
        """Replace a part of the policy's text; its destinations stay as they are."""
        text = self.file.read_text()
        assert old in text
        self.file.write_text(text.replace(old, new))
        self.policies.append(load_policy(self.file, destination_types()))

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(incident_id(self.alert))

    async def fire(self, alert: Alert | None = None, event_id: str = "") -> Taken:
        """An alert comes in, by the way that the gateway takes."""
        self.alert = alert or self.alert
        return await self.intake.take(self.alert, event_id)

    async def clear(self, value: float = 0.01) -> None:
        await self.intake.take(self.alert.model_copy(update={"status": "cleared", "value": value}))

    async def view(self) -> IncidentView:
        return await self.handle.query(INCIDENT_QUERY, result_type=IncidentView)

    async def act(
        self, act: Act, by: str = "alice", role: Role = "responder", via: str = "api", **more: Any
    ) -> IncidentView:
        answer = Answer(act=act, by=by, role=role, via=via, **more)
        return await self.handle.execute_update(act, answer, result_type=IncidentView)

    async def callback(self, act: Act, by: str = "alice", **more: Any) -> None:
        """What a responder did in PagerDuty."""
        await self.handle.signal(ANSWER_SIGNAL, Answer(act=act, by=by, via="pagerduty", **more))

    async def after(self, **duration: float) -> None:
        """Let that much time pass."""
        await self.env.sleep(timedelta(**duration))

    async def until(self, wanted: Callable[[IncidentView], T | None], seconds: float = 15) -> T:
        """What ``wanted`` gives of the incident, as soon as it is true. Needs no more than the real moment."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            view = await self.view()
            if found := wanted(view):
                return found
            if asyncio.get_running_loop().time() > end:
                raise AssertionError(f"not so within {seconds} s: {view.model_dump_json(indent=1)}")
            await asyncio.sleep(0.02)

    async def in_time(self, wanted: Callable[[IncidentView], T | None], **step: float) -> T:
        """Let time pass, step by step, until it is so.

        The test server ends an activity that has been tried for too long when time next passes, and not always by then.
        """
        for _ in range(10):
            await self.after(**step)
            if found := wanted(await self.view()):
                return found
        return await self.until(wanted, 5)

    async def settled(self, state: str) -> IncidentView:
        """The incident in that state."""
        return await self.until(lambda view: view if view.state == state else None)

    async def closed(self) -> list[Record]:
        """Wait for the end, and give the record, which must be whole."""
        await self.handle.result()
        records = list(self.log.read(incident_id(self.alert)))
        assert check(records, whole=False) == []
        return records

    async def is_open(self) -> bool:
        return (await self.handle.describe()).status == WorkflowExecutionStatus.RUNNING

    async def replay(self) -> None:
        """Whatever happened in a test must come out the same when a worker that knows nothing does it over."""
        try:
            history = await self.handle.fetch_history()
        except RPCError:
            return  # nothing was fired
        runner = InStep(SANDBOX)
        replayer = Replayer(workflows=WORKFLOWS, data_converter=pydantic_data_converter, workflow_runner=runner)
        await replayer.replay_workflow(history)

    def paged(self, who: str = "") -> list[str]:
        """The keys of all triggers, in their order; of one service."""
        key = SECRETS[who.upper()] if who else ""
        return [event["dedup_key"] for event in self.pagerduty.events("trigger", key)]


async def _server(real: bool) -> WorkflowEnvironment:
    if real:
        return await WorkflowEnvironment.start_local(
            dev_server_existing_path=DEV_SERVER, data_converter=pydantic_data_converter, dev_server_log_level="error"
        )
    return await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=TEST_SERVER, data_converter=pydantic_data_converter
    )


@asynccontextmanager
async def staged(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira, *, real: bool = False
) -> AsyncGenerator[Stage]:
    """A stage of its own for each test; on the ``real`` server time does not skip."""
    file = tmp_path / "policy.yaml"
    write_policy(file, pagerduty, slack, jira)
    policy = load_policy(file, destination_types())
    destinations = open_destinations(policy, SECRETS, "http://127.0.0.1")
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    deliveries = Deliveries(f"sqlite:///{tmp_path}/gateway.db")
    async with await _server(real) as env:
        await env.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=env.client.namespace, search_attributes=SEARCH_ATTRIBUTES)
        )
        policies = [policy]
        spool = Spool(tmp_path / "spool.db")
        intake = Intake(
            env.client,
            QUEUE,
            deliveries,
            spool,
            lambda alert, count: policies[-1].decide(alert, datetime.now(UTC), IncidentFacts(alerts=count)),
        )

        def hire(runner: WorkflowRunner = SANDBOX, **more: Any) -> Crew:
            return create_crew(env.client, QUEUE, lambda: policies[-1], destinations, log, runner=runner, **more)

        crew = hire()
        await crew.start()
        stage = Stage(env, env.client, intake, log, pagerduty, slack, jira, policies, file, hire, crew)
        try:
            yield stage
            await stage.replay()
        finally:
            await stage.crew.shutdown()
    for destination in destinations.values():
        await destination.close()
    spool.close()
    deliveries.close()
    log.close()
