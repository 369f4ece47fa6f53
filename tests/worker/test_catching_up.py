"""What never arrived is found by asking Arize: on a real Temporal server, with a stand-in for its API."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from activities.contracts import Mended
from gateway.vitals import Vitals
from policy import IncidentFacts
from tests.vendors import Arize, Fault, Jira, PagerDuty, Slack
from tests.workflows.stage import QUEUE, Stage, an_alert, staged
from worker.catching_up import NAME, arize_api, create_catch_up, keep_schedule
from worker.settings import read_settings
from workflows.messages import INCIDENT_QUERY, INCIDENT_WORKFLOW, Arrival, Arrivals, IncidentView
from workflows.state import Opening


@pytest.fixture
def arize() -> Iterator[Arize]:
    with Arize() as vendor:
        yield vendor
    assert vendor.violations == []


@dataclass
class Rounds:
    """Rounds of the real schedule, one after another, each knowing what the one before it said."""

    stage: Stage
    arize: Arize
    environment: dict[str, str]

    async def go(self) -> Mended:
        workflow = await self.begin()
        return Mended.model_validate(await workflow.result())

    async def begin(self) -> Any:
        handle = self.stage.client.get_schedule_handle(NAME)
        before = (await handle.describe()).info.num_actions
        await handle.trigger()
        while (info := (await handle.describe()).info).num_actions == before:
            await asyncio.sleep(0.05)
        begun: Any = info.recent_actions[-1].action
        return self.stage.client.get_workflow_handle(begun.workflow_id, run_id=begun.first_execution_run_id)

    async def open_ones(self) -> list[IncidentView]:
        query = f"WorkflowType = '{INCIDENT_WORKFLOW}' AND ExecutionStatus = 'Running'"
        found = [one.id async for one in self.stage.client.list_workflows(query)]
        handles = [self.stage.client.get_workflow_handle(one) for one in found]
        return [await one.query(INCIDENT_QUERY, result_type=IncidentView) for one in handles]

    async def the_one(self) -> IncidentView:
        """The only one that is open, once somebody was told of it."""
        async with asyncio.timeout(15):
            while True:
                ones = await self.open_ones()
                if len(ones) == 1 and ones[0].receipts:
                    return ones[0]
                await asyncio.sleep(0.1)

    async def none_is_open(self) -> None:
        async with asyncio.timeout(15):
            while await self.open_ones():
                await asyncio.sleep(0.1)


@pytest.fixture
async def rounds(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira, arize: Arize
) -> AsyncGenerator[Rounds]:
    environment = {
        "TOCSIN_STATE_DIR": str(tmp_path / "worker"),
        "TOCSIN_TASK_QUEUE": QUEUE,
        "TOCSIN_SPEED": "100",  # the grace is half a second
        "TOCSIN_CATCH_UP": "7d",  # and the schedule begins no round by itself
        "ARIZE_API_KEY": "arize-key",
        "ARIZE_API_URL": arize.base_url,
    }
    settings = read_settings(environment)
    async with staged(tmp_path, pagerduty, slack, jira, real=True) as stage:
        api = arize_api(settings)

        def decide(alert: Any, count: int) -> Any:
            return stage.policies[-1].decide(alert, datetime.now(UTC), IncidentFacts(alerts=count))

        await stage.crew.shutdown()
        stage.crew = stage.hire(catch_up=create_catch_up(settings, stage.client, api, decide))
        await stage.crew.start()
        await keep_schedule(stage.client, settings)
        yield Rounds(stage, arize, environment)
        await api.close()


async def test_a_fire_that_nobody_told_of_is_opened_once(rounds: Rounds) -> None:
    rounds.arize.put("m-1")
    mended = await rounds.go()
    one = await rounds.the_one()
    assert (mended.opened, mended.handled) == (1, {"m-1": one.id})
    assert one.headline.startswith("CRITICAL chatbot error_rate 31 % (limit 5 %)")
    assert len(rounds.stage.paged()) == 1
    rounds.arize.put("m-1")  # evaluated again, and still triggered
    assert await rounds.go() == Mended(handled={"m-1": one.id})
    assert (await rounds.the_one()).alerts == 1


async def test_all_pages_of_the_list_are_read(rounds: Rounds) -> None:
    rounds.arize.page = 2
    for number in range(5):
        rounds.arize.put(f"m-{number}")
    assert (await rounds.go()).opened == 5


async def test_what_a_person_closed_stays_closed_until_it_burns_anew(rounds: Rounds) -> None:
    rounds.arize.put("m-1")
    await rounds.go()
    one = await rounds.the_one()
    assert one.alert is not None
    rounds.stage.alert = one.alert
    await rounds.stage.act("resolve", "bob", note="known, harmless")
    await rounds.none_is_open()
    rounds.arize.put("m-1")
    assert (await rounds.go()).opened == 0
    assert (await rounds.go()).opened == 0
    rounds.arize.put("m-1", "CLEARED")
    assert (await rounds.go()).handled == {}


async def test_an_incident_whose_monitor_is_well_is_told_so(rounds: Rounds) -> None:
    """A delivery names more than the monitor does; the incident is found by its monitor all the same."""
    await rounds.stage.fire(an_alert(monitor_id="m-1", region="eu-west-1"))
    one = await rounds.the_one()
    rounds.arize.put("m-1")
    assert await rounds.go() == Mended(handled={"m-1": one.id})
    rounds.arize.put("m-1", "CLEARED", evaluated_at="2026-01-01T00:00:00Z")  # before it was opened
    assert (await rounds.go()).cleared == 0
    rounds.arize.put("m-1", "CLEARED")
    assert (await rounds.go()).cleared == 1
    await rounds.none_is_open()
    records = await rounds.stage.closed()
    assert [(one.what, one.by) for one in records if one.what == "cleared"] == [("cleared", "arize")]
    assert len(rounds.stage.pagerduty.events("resolve")) == 1


async def test_it_burns_again_where_it_burned_before(rounds: Rounds) -> None:
    """Cleared by a delivery, triggered again by none: it is the same incident's next opening."""
    rounds.arize.put("m-1")
    await rounds.stage.fire(an_alert(monitor_id="m-1", region="eu-west-1"))
    one = await rounds.the_one()
    await rounds.go()
    await rounds.stage.clear()
    await rounds.none_is_open()
    assert (await rounds.go()).opened == 0, "Arize has not evaluated it since"
    rounds.arize.put("m-1")
    assert (await rounds.go()).opened == 1
    again = await rounds.the_one()
    assert again.id == one.id
    assert again.opening != one.opening


async def test_what_was_on_its_way_is_not_doubled(rounds: Rounds) -> None:
    rounds.arize.put("m-1")
    begun = await rounds.begin()
    await rounds.stage.fire(an_alert(monitor_id="m-1", region="eu-west-1"))
    mended = Mended.model_validate(await begun.result())
    one = await rounds.the_one()
    assert (mended.opened, mended.handled) == (0, {"m-1": one.id})


async def test_a_regulated_one_is_told_once_and_stays_open(rounds: Rounds) -> None:
    await rounds.stage.fire(an_alert("bias", 0.2, model="underwriting", monitor_id="m-1"))
    await rounds.the_one()
    rounds.arize.put("m-1", "CLEARED")
    assert (await rounds.go()).cleared == 1
    await rounds.stage.settled("awaiting_human")
    rounds.arize.put("m-1", "CLEARED")
    assert (await rounds.go()).cleared == 0
    notes = [one for one in (await rounds.stage.view()).timeline if one.what == "noted"]
    assert len(notes) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"notifications_enabled": False},
        {"notification_configs": [{"type": "EMAIL", "email": "a@example.com"}]},
        {"notification_configs": [{"type": "WEBHOOK", "id": "x", "url": "https://elsewhere/hook"}]},
    ],
)
async def test_a_monitor_that_is_not_to_tell_us_opens_nothing(rounds: Rounds, changes: dict[str, Any]) -> None:
    rounds.arize.put("m-1", **changes)
    assert await rounds.go() == Mended()


async def test_an_incident_of_an_earlier_release_is_found_too(rounds: Rounds) -> None:
    """0.2.0 left no memo: the incident itself is asked."""
    alert = an_alert(monitor_id="m-1")
    rounds.stage.alert = alert
    opening = Opening(arrivals=Arrivals(arrivals=(Arrival(alert=alert),)), chronicle=True)
    await rounds.stage.client.start_workflow(INCIDENT_WORKFLOW, opening, id=rounds.stage.handle.id, task_queue=QUEUE)
    one = await rounds.the_one()
    rounds.arize.put("m-1")
    assert await rounds.go() == Mended(handled={"m-1": one.id})


async def test_arize_that_is_busy_is_asked_again(rounds: Rounds) -> None:
    rounds.arize.put("m-1")
    rounds.arize.script(Fault(status=429, headers={"Retry-After": "1"}), Fault(status=503), Fault(reset=True))
    assert (await rounds.go()).opened == 1


async def test_a_wrong_key_fails_the_round_and_says_why(rounds: Rounds) -> None:
    rounds.arize.key = "another"
    with pytest.raises(WorkflowFailureError) as failure:
        await rounds.go()
    said = failure.value.cause.__cause__ if failure.value.cause else None
    assert "Arize answered 401" in str(said)
    assert "check ARIZE_API_KEY" in str(said)
    vitals = Vitals(rounds.stage.client, QUEUE)
    assert (await vitals.look())["schedules"].troubles == (
        "catch-up failed the last time; its page in the Temporal UI says why",
    )
    rounds.arize.key = "arize-key"
    rounds.arize.put("m-1")
    assert (await rounds.go()).opened == 1
    assert (await vitals.look())["schedules"].troubles == ()


async def test_off_means_off(rounds: Rounds) -> None:
    client = rounds.stage.client
    await keep_schedule(client, read_settings({**rounds.environment, "ARIZE_API_KEY": ""}))
    handle = client.get_schedule_handle(NAME)
    spec = (await handle.describe()).schedule.spec
    assert [one.every for one in spec.intervals] == [timedelta(days=7) / 100], "another worker's key is still good"
    await keep_schedule(client, read_settings({**rounds.environment, "TOCSIN_CATCH_UP": "off"}))
    async with asyncio.timeout(10):
        while [one async for one in await client.list_schedules()]:
            await asyncio.sleep(0.1)
