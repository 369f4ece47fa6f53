"""Health checks against a real Temporal server, with real faults."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleSpec,
    ScheduleState,
)

from alerts import normalise
from gateway.app import create_app
from gateway.health_monitor import CHECKS, SCHEDULE_MEMO, HealthCheck, HealthMonitor
from integrations.arize.description_cache import DescriptionCache
from tests.gateway.conftest import GatewayHarness
from tests.ports import unused_port
from tests.vendors import ArizeTenant, Fault, Jira, PagerDuty, Slack
from tests.waiting import SLOW_MACHINE
from tests.workflows.harness import QUEUE, IncidentHarness, broken_state, incident_harness, make_alert
from workflows.contracts import CHANGE_WORKFLOW, INCIDENT_WORKFLOW, IncidentInput


@pytest.fixture
async def real(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[IncidentHarness]:
    async with incident_harness(tmp_path, pagerduty, slack, jira, real=True) as harness:
        yield harness


async def until(
    monitor: HealthMonitor, name: str, wanted: Callable[[HealthCheck], object], seconds: float = 120
) -> HealthCheck:
    """Repeat the checks until ``wanted`` is true of one."""
    async with asyncio.timeout(seconds):
        while not wanted(check := (await monitor.check()).get(name, HealthCheck())):
            await asyncio.sleep(0.3)
        return check


async def test_healthy_system_is_ok(real: IncidentHarness) -> None:
    await real.fire()
    await real.until_state("notified")
    results = await HealthMonitor(real.client, QUEUE).check()
    assert {name: str(check) for name, check in results.items()} == dict.fromkeys(CHECKS, "ok")


async def test_missing_workers_are_named(real: IncidentHarness) -> None:
    check = (await HealthMonitor(real.client, "another-queue").check())["workers"]
    assert check.problems == (
        "no worker polls for incidents",
        "no worker polls for pages",
        "no worker polls for posts, tickets and records",
    )


async def test_failing_workflow_code_is_named(real: IncidentHarness) -> None:
    await real.client.start_workflow(
        INCIDENT_WORKFLOW, IncidentInput(state=broken_state("incident-x-0")), id="incident-x-0", task_queue=QUEUE
    )
    check = await until(HealthMonitor(real.client, QUEUE), "workflow_tasks", lambda check: check.problems)
    assert check.problems[0].startswith("incident-x-0: its workflow task has failed or timed out ")


async def test_unstarted_workflow_task_is_named(real: IncidentHarness) -> None:
    async with real.without_worker():
        await real.fire()
        monitor = HealthMonitor(real.client, QUEUE, overdue=timedelta(seconds=1))
        check = await until(monitor, "workflow_tasks", lambda check: check.problems)
        assert f"{real.handle.id}: no worker has started its task" in str(check)


async def test_retrying_activity_is_named(real: IncidentHarness) -> None:
    real.pagerduty.always = Fault(status=429, headers={"Retry-After": "0.1"}, body="slow down")
    await real.fire()
    monitor = HealthMonitor(real.client, QUEUE)
    check = await until(monitor, "activities", lambda check: check.problems)
    assert f"{real.handle.id}: page has failed" in str(check)
    assert "PagerDuty answered 429: slow down" in str(check)
    real.pagerduty.always = None
    await until(monitor, "activities", lambda check: not check.problems)


async def test_every_workflow_is_checked_in_turn(real: IncidentHarness) -> None:
    """Each check describes two of the newest and two of the others: the oldest of nine is found too."""
    real.pagerduty.choose = lambda request: (
        Fault(status=429, headers={"Retry-After": "0.1"}, body="slow down")
        if "m-error_rate" in str(request.body)
        else None
    )
    await real.fire()
    oldest = real.handle.id
    for number in range(8):
        await real.fire(make_alert("answer_relevance", 0.7, model=f"model-{number}"))
        await real.until_state("notified")
    monitor = HealthMonitor(real.client, QUEUE, sample_size=2)
    check = await until(monitor, "activities", lambda check: check.problems)
    assert oldest in str(check)


async def test_stopped_schedule_is_named_but_not_paused(real: IncidentHarness) -> None:
    async def put(name: str, memo: str = QUEUE, end: datetime | None = None, *, paused: bool = False) -> None:
        schedule = Schedule(
            action=ScheduleActionStartWorkflow(CHANGE_WORKFLOW, id=name, task_queue=QUEUE),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))], end_at=end),
            state=ScheduleState(paused=paused),
        )
        await real.client.create_schedule(name, schedule, memo={SCHEDULE_MEMO: memo})

    past = datetime.now(UTC) - timedelta(days=1)
    await put("runs")
    await put("paused", paused=True)
    await put("ended", end=past)
    await put("of-another-queue", "their-queue", past)
    check = await until(HealthMonitor(real.client, QUEUE), "schedules", lambda check: check.problems)
    assert check.problems == ("ended has no next run",)


async def test_unavailable_temporal_is_the_only_result() -> None:
    client = await Client.connect(f"127.0.0.1:{unused_port()}", lazy=True)
    results = await HealthMonitor(client, QUEUE).check()
    assert list(results) == ["temporal"]
    assert str(results["temporal"]) == "Temporal is unavailable: no connection"


async def test_recovery_shows_before_next_interval(real: IncidentHarness) -> None:
    """A gateway that starts before its worker reports the problem for seconds, and not for a whole interval."""
    monitor = HealthMonitor(real.client, "late-queue")
    running = asyncio.create_task(monitor.run(interval=3600))
    async with asyncio.timeout(120):
        while not monitor.latest:
            await asyncio.sleep(0.1)
        assert monitor.latest["workers"].problems
        monitor.task_queue = QUEUE  # which has a worker
        while monitor.latest["workers"].problems:
            await asyncio.sleep(0.1)
    running.cancel()


@pytest.mark.asyncio(loop_scope="session")
async def test_health_is_in_readyz_and_metrics(gateway: GatewayHarness) -> None:
    app = create_app(gateway.settings(task_queue="nobody-polls-this", health_interval=0.2), gateway.client)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        async with asyncio.timeout(60):
            while not (ready := (await http.get("/readyz", headers={"Authorization": "Bearer v-token"})).json())[
                "health"
            ]:
                await asyncio.sleep(0.1)
        assert ready["ready"] is True, "alerts are accepted without workers"
        assert ready["health"]["workers"].startswith("no worker polls for incidents; no worker polls for pages")
        assert ready["health"]["temporal"] == "ok"
        figures = (await http.get("/metrics", headers={"Authorization": "Bearer v-token"})).text
        assert 'tocsin_health_problems{check="workers"} 3.0' in figures
        assert 'tocsin_health_problems{check="temporal"} 0.0' in figures


@pytest.mark.asyncio(loop_scope="session")
async def test_problem_of_arize_is_in_readyz_and_metrics(gateway: GatewayHarness, tmp_path: Path) -> None:
    """A worker reports it through the database; the gateway accepts alerts all the same."""
    url = f"sqlite:///{tmp_path}/gateway.db"
    worker = DescriptionCache(url)
    await worker.report({"rest": "Arize answered 503: down", "graphql": "Arize answered 503: down"})  # shown once
    settings = gateway.settings(descriptions=DescriptionCache(url), dedup_store_url=url)
    app = create_app(settings, gateway.client)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        ready = (await http.get("/readyz", headers={"Authorization": "Bearer v-token"})).json()
        assert (ready["ready"], ready["arize"]) == (True, "Arize answered 503: down")
        assert "tocsin_arize_up 0.0" in (await http.get("/metrics", headers={"Authorization": "Bearer v-token"})).text
    worker.close()


async def test_late_description_is_no_failing_activity(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira, arize_tenant: ArizeTenant
) -> None:
    """It is attempted for as long as the incident is open: Arize's own check reports what is wrong."""
    arize_tenant.rest.broken(503)
    arize_tenant.graphql.broken(503)
    options: dict[str, Any] = {"real": True, "environment": arize_tenant.environment}
    async with incident_harness(tmp_path, pagerduty, slack, jira, **options) as harness:
        await harness.fire(normalise({"monitor_id": arize_tenant.add_monitor()["id"]}))
        await harness.until_state("notified")
        monitor = HealthMonitor(harness.client, QUEUE, max_activity_attempts=1)
        pending = 0
        async with asyncio.timeout(SLOW_MACHINE):
            while pending < 3:
                raw = (await harness.handle.describe()).raw_description
                pending = max((one.attempt for one in raw.pending_activities), default=0)
                await asyncio.sleep(0.2)
        assert (await monitor.check())["activities"].problems == ()
