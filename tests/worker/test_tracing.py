"""The request id on its way through Temporal: from the request to the log lines of activities, on a real server."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture
from temporalio.client import Client, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, WorkflowRunner

from alerts import incident_id
from audit import AuditLog
from incident.events import ActionType, AlertBatch, GroupedAlert, ResponderAction
from integrations.base.open_destinations import open_destinations
from integrations.base.registry import destination_types
from policy import load_policy
from tests import DEV_SERVER
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS, write_policy
from tests.worker.waiting import eventually
from tests.workflows.harness import make_alert
from worker.query_guard import QueryGuard
from worker.settings import read_settings
from worker.temporal import connect, register_search_attributes
from worker.tracing import RequestIdWorkerInterceptor
from worker.worker_group import SANDBOX, UNSANDBOXED, WORKFLOWS, WorkerDependencies, create_worker_group
from workflows.contracts import INCIDENT_WORKFLOW, RESPONDER_ACTION_SIGNAL, IncidentInput

ALERT = make_alert()
INCIDENT = incident_id(ALERT)


@dataclass
class TracingHarness:
    """An incident on a real server, and the log lines of its activities."""

    client: Client
    logs: LogCapture

    async def start(self, **bound: str) -> None:
        with structlog.contextvars.bound_contextvars(**bound):
            await self.client.start_workflow(
                INCIDENT_WORKFLOW,
                IncidentInput(alerts=AlertBatch(alerts=(GroupedAlert(alert=ALERT),))),
                id=INCIDENT,
                task_queue="q",
            )

    async def act(self, action: ActionType, **bound: str) -> None:
        with structlog.contextvars.bound_contextvars(**bound):
            await self.handle.signal(
                RESPONDER_ACTION_SIGNAL, ResponderAction(type=action, by="alice", role="responder", source="api")
            )

    async def sent(self, verb: str) -> dict[str, Any]:
        """The log line of the first notification with this verb."""

        def found() -> dict[str, Any] | None:
            lines = [one for one in self.logs.entries if one["event"] == "notification_sent" and one["verb"] == verb]
            return dict(lines[0]) if lines else None

        return await eventually(found)

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(INCIDENT)


@pytest.fixture(params=[SANDBOX, UNSANDBOXED], ids=["sandboxed", "unsandboxed"])
async def harness(
    request: pytest.FixtureRequest, tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira
) -> AsyncGenerator[TracingHarness]:
    runner: WorkflowRunner = request.param
    write_policy(tmp_path / "policy.yaml", pagerduty, slack, jira)
    policy = load_policy(tmp_path / "policy.yaml", destination_types())
    destinations = open_destinations(policy, SECRETS)
    log = AuditLog(f"sqlite:///{tmp_path}/audit.db")
    logs = LogCapture()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, logs])
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=DEV_SERVER, dev_server_log_level="error"
    ) as env:
        address = env.client.service_client.config.target_host
        client = await connect(read_settings({"TEMPORAL_ADDRESS": address, "TOCSIN_STATE_DIR": str(tmp_path)}))
        await register_search_attributes(client)
        dependencies = WorkerDependencies(lambda: policy, destinations, log)
        async with create_worker_group(client, "q", dependencies, runner=runner):
            yield TracingHarness(client, logs)
    for destination in destinations.values():
        await destination.close()
    log.close()


async def test_request_id_reaches_notification_log_lines(harness: TracingHarness) -> None:
    await harness.start(request_id="request-of-alert")
    page = await harness.sent("notify")
    assert (page["incident"], page["request_id"]) == (INCIDENT, "request-of-alert")
    await harness.act("acknowledge", request_id="request-of-ack")
    acknowledged = await harness.sent("acknowledge")
    assert (acknowledged["incident"], acknowledged["request_id"]) == (INCIDENT, "request-of-ack")
    await harness.act("resolve")
    resolved = await harness.sent("resolve")
    assert resolved["incident"] == INCIDENT
    assert "request_id" not in resolved, "this signal had none, and nothing is left of the one before"


async def test_history_replays_with_and_without_interceptor(harness: TracingHarness) -> None:
    await harness.start(request_id="request-of-alert")
    await harness.sent("notify")
    await harness.act("resolve", request_id="request-of-resolve")
    await harness.handle.result()
    history = await harness.handle.fetch_history()
    for interceptors in ([], [RequestIdWorkerInterceptor()]):
        replayer = Replayer(
            workflows=WORKFLOWS,
            data_converter=pydantic_data_converter,
            workflow_runner=QueryGuard(SANDBOX),
            interceptors=interceptors,
        )
        await replayer.replay_workflow(history)
