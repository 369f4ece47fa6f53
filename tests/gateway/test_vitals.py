"""What is not well behind the gateway is seen: on a real Temporal server, with what really breaks there."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

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

from gateway.app import create_app
from gateway.vitals import NAMES, SCHEDULES, Vital, Vitals
from tests.gateway.conftest import House
from tests.ports import unused_port
from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.workflows.stage import QUEUE, Stage, an_alert, broken_state, staged
from workflows.messages import CHANGE_WORKFLOW, INCIDENT_WORKFLOW
from workflows.state import Opening


@pytest.fixture
async def real(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[Stage]:
    async with staged(tmp_path, pagerduty, slack, jira, real=True) as stage:
        yield stage


async def seen(vitals: Vitals, name: str, wanted: Callable[[Vital], object], seconds: float = 60) -> Vital:
    async with asyncio.timeout(seconds):
        while not wanted(vital := (await vitals.look())[name]):
            await asyncio.sleep(0.3)
        return vital


async def test_what_is_well_is_ok(real: Stage) -> None:
    await real.fire()
    await real.settled("notified")
    looked = await Vitals(real.client, QUEUE).look()
    assert {name: str(vital) for name, vital in looked.items()} == dict.fromkeys(NAMES, "ok")


async def test_nobody_asks_for_work(real: Stage) -> None:
    vital = (await Vitals(real.client, "another-queue").look())["workers"]
    assert vital.troubles == (
        "no worker asks for incidents",
        "no worker asks for pages",
        "no worker asks for posts, tickets and records",
    )


async def test_code_that_keeps_failing_is_named(real: Stage) -> None:
    await real.client.start_workflow(
        INCIDENT_WORKFLOW, Opening(state=broken_state("incident-x-0")), id="incident-x-0", task_queue=QUEUE
    )
    vital = await seen(Vitals(real.client, QUEUE), "workflow_tasks", lambda vital: vital.troubles)
    assert vital.troubles[0].startswith("incident-x-0: its code fails")


async def test_a_workflow_that_nobody_takes_up_is_named(real: Stage) -> None:
    async with real.unattended():
        await real.fire()
        vitals = Vitals(real.client, QUEUE, overdue=timedelta(seconds=1))
        vital = await seen(vitals, "workflow_tasks", lambda vital: vital.troubles)
        assert f"{real.handle.id}: no worker takes it up" in str(vital)


async def test_an_activity_that_is_tried_again_and_again_is_named(real: Stage) -> None:
    real.pagerduty.always = Fault(status=429, headers={"Retry-After": "0.1"}, body="slow down")
    await real.fire()
    vitals = Vitals(real.client, QUEUE)
    vital = await seen(vitals, "activities", lambda vital: vital.troubles)
    assert f"{real.handle.id}: page was tried" in str(vital)
    assert "PagerDuty answered 429: slow down" in str(vital)
    real.pagerduty.always = None
    await seen(vitals, "activities", lambda vital: not vital.troubles)


async def test_all_are_looked_into_in_turn(real: Stage) -> None:
    """Two of the newest and two of all the others at each look: the oldest of nine is found all the same."""
    real.pagerduty.choose = lambda request: (
        Fault(status=429, headers={"Retry-After": "0.1"}, body="slow down")
        if "m-error_rate" in str(request.body)
        else None
    )
    await real.fire()
    oldest = real.handle.id
    for number in range(8):
        await real.fire(an_alert("answer_relevance", 0.7, model=f"model-{number}"))
        await real.settled("notified")
    vitals = Vitals(real.client, QUEUE, looked_into=2)
    vital = await seen(vitals, "activities", lambda vital: vital.troubles)
    assert oldest in str(vital)


async def test_a_schedule_that_stopped_is_named_and_one_that_a_person_paused_is_not(real: Stage) -> None:
    async def put(name: str, memo: str = QUEUE, end: datetime | None = None, *, paused: bool = False) -> None:
        schedule = Schedule(
            action=ScheduleActionStartWorkflow(CHANGE_WORKFLOW, id=name, task_queue=QUEUE),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))], end_at=end),
            state=ScheduleState(paused=paused),
        )
        await real.client.create_schedule(name, schedule, memo={SCHEDULES: memo})

    past = datetime.now(UTC) - timedelta(days=1)
    await put("runs")
    await put("paused", paused=True)
    await put("ended", end=past)
    await put("somebody-elses", "their-queue", past)
    vital = await seen(Vitals(real.client, QUEUE), "schedules", lambda vital: vital.troubles)
    assert vital.troubles == ("ended is not going to begin anything any more",)


async def test_a_temporal_that_is_away_is_all_that_is_known() -> None:
    client = await Client.connect(f"127.0.0.1:{unused_port()}", lazy=True)
    looked = await Vitals(client, QUEUE).look()
    assert list(looked) == ["temporal"]
    assert str(looked["temporal"]) == "it does not answer: no connection can be made"


async def test_what_is_well_again_is_said_soon(real: Stage) -> None:
    """A gateway that is up before its worker says so for seconds, and not until its next regular look."""
    vitals = Vitals(real.client, "late-queue")
    watching = asyncio.create_task(vitals.watch(every=3600))
    async with asyncio.timeout(40):
        while not vitals.seen:
            await asyncio.sleep(0.1)
        assert vitals.seen["workers"].troubles
        vitals.task_queue = QUEUE  # where a worker is
        while vitals.seen["workers"].troubles:
            await asyncio.sleep(0.1)
    watching.cancel()


@pytest.mark.asyncio(loop_scope="session")
async def test_it_stands_in_readyz_and_metrics(house: House) -> None:
    app = create_app(house.settings(task_queue="nobody-polls-this", vitals_every=0.2), house.client)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
    ):
        async with asyncio.timeout(15):
            while not (said := (await http.get("/readyz")).json())["vitals"]:
                await asyncio.sleep(0.1)
        assert said["ready"] is True, "alerts are taken all the same"
        assert said["vitals"]["workers"].startswith("no worker asks for incidents; no worker asks for pages")
        assert said["vitals"]["temporal"] == "ok"
        figures = (await http.get("/metrics")).text
        assert 'tocsin_troubles{of="workers"} 3.0' in figures
        assert 'tocsin_troubles{of="temporal"} 0.0' in figures
