"""An answer is kept whoever is away: no worker, or Temporal itself; and what cannot be done is refused beforehand."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from alerts import incident_id
from gateway.answering import Answering, Kept
from gateway.app import create_app
from gateway.problems import Problem
from tests.gateway.conftest import House
from tests.gateway.test_incident_page import path
from tests.gateway.test_pagerduty import key_of
from tests.gateway.test_spool import Station, an_alert, opened
from tests.vendors import Jira, PagerDuty, Slack
from tests.wire import Wire
from tests.workflows.stage import Stage, staged
from worker.temporal import QUICK
from workflows.messages import Answer, IncidentView

ACK = Answer(act="acknowledge", by="alice", role="responder")


@pytest.fixture
async def real(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[Stage]:
    async with staged(tmp_path, pagerduty, slack, jira, real=True) as stage:
        yield stage


async def test_without_a_worker_it_is_taken_and_carried_out_by_the_next(real: Stage) -> None:
    await real.fire()
    await real.settled("notified")
    answering = Answering(real.client, real.intake)
    async with real.unattended():
        kept = await answering.tell(incident_id(real.alert), ACK)
        assert isinstance(kept, Kept)
        assert (kept.state, kept.incident) == ("accepted", incident_id(real.alert))
    view = await real.settled("acknowledged")
    assert view.acknowledged_by == "alice"


async def test_a_worker_that_knows_nothing_shows_what_came_of_it(real: Stage) -> None:
    await real.fire()
    await real.settled("notified")
    async with real.unattended():
        pass
    view = await Answering(real.client, real.intake).tell(incident_id(real.alert), ACK)
    assert isinstance(view, IncidentView)
    assert (view.state, view.acknowledged_by) == ("acknowledged", "alice")


async def test_what_a_role_may_not_do_leaves_no_trace(real: Stage) -> None:
    await real.fire(real.alert.model_copy(update={"model": "underwriting"}))
    before = await real.settled("notified")
    answering = Answering(real.client, real.intake)
    with pytest.raises(Problem, match="only a person with the role compliance"):
        await answering.tell(incident_id(real.alert), ACK.model_copy(update={"act": "resolve"}))
    # The page and the ticket of its opening may still be arriving: nothing else may.
    after = await real.view()
    assert {one.what for one in after.timeline if one not in before.timeline} <= {"notified"}
    assert "alice" not in repr(after.timeline)
    allowed = ACK.model_copy(update={"act": "resolve", "role": "compliance"})
    assert isinstance(view := await answering.tell(incident_id(real.alert), allowed), IncidentView)
    assert view.resolved_by == "alice"
    assert "alice" in repr(view.timeline)


async def test_a_role_that_nobody_could_check_beforehand_is_checked_by_the_incident(real: Stage) -> None:
    """No worker answers when it comes, so it is sent; the next worker obeys the incident's rules, not the sender."""
    await real.fire(real.alert.model_copy(update={"model": "underwriting"}))
    await real.settled("notified")
    answering = Answering(real.client, real.intake)
    async with real.unattended():
        sent = asyncio.create_task(answering.tell(incident_id(real.alert), ACK.model_copy(update={"act": "resolve"})))
        await asyncio.sleep(4)
    with pytest.raises(Problem, match="only a person with the role compliance"):
        await sent
    assert (await real.settled("awaiting_human")).resolved_by == ""


async def test_one_for_another_opening_is_refused(real: Stage) -> None:
    await real.fire()
    await real.settled("notified")
    with pytest.raises(Problem, match="what burns now is another incident") as refused:
        await Answering(real.client, real.intake).tell(
            incident_id(real.alert), ACK.model_copy(update={"opening": "00000000"})
        )
    assert refused.value.status == 409
    assert (await real.view()).state == "notified"


@pytest_asyncio.fixture(loop_scope="session")
async def station(house: House, tmp_path: Path) -> AsyncIterator[Station]:
    async with opened(house, tmp_path) as station:
        yield station


@pytest.mark.asyncio(loop_scope="session")
async def test_while_temporal_is_away_it_is_kept(station: Station) -> None:
    alert = an_alert(station.house)
    await station.intake.take(alert)
    await station.house.until(incident_id(alert), lambda one: one["state"] == "notified")
    answering = Answering(station.client, station.intake)
    await station.wire.cut()
    kept = await answering.tell(incident_id(alert), ACK)
    assert isinstance(kept, Kept)
    assert kept.state == "spooled"
    await station.wire.mend()
    one = await station.house.until(incident_id(alert), lambda one: one["state"] == "acknowledged", 20)
    assert one["acknowledged_by"] == "alice"


@pytest.mark.asyncio(loop_scope="session")
async def test_with_no_room_left_nobody_is_told_that_it_is_kept(station: Station) -> None:
    station.spool._limit = 10
    await station.wire.cut()
    with pytest.raises(Problem, match="the spool is full") as refused:
        await Answering(station.client, station.intake).tell("incident-x-0123456789ab", ACK)
    assert refused.value.status == 503


@pytest.mark.asyncio(loop_scope="session")
async def test_api_and_page_take_an_acknowledgement_while_temporal_is_away(house: House) -> None:
    incident = await house.open()
    link = path(await key_of(house, incident))
    async with Wire(house.client.service_client.config.target_host) as wire:
        client = await Client.connect(wire.address, data_converter=pydantic_data_converter, retry_config=QUICK)
        app = create_app(house.settings(), client)
        await wire.cut()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
            said = await http.post(
                f"/api/incidents/{incident}/acknowledge", json={}, headers={"Authorization": "Bearer r-token"}
            )
            assert (said.status_code, said.json()["state"], said.json()["incident"]) == (202, "spooled", incident)
            blind = await http.get(link)
            assert (blind.status_code, "You can acknowledge it all the same" in blind.text) == (200, True)
            assert "<button>" in blind.text
            pressed = await http.post(link, data={"by": "Nora"})
            assert (pressed.status_code, "Your acknowledgement is taken" in pressed.text) == (202, True)
            nameless = await http.post(link, data={"by": " "})
            assert (nameless.status_code, "<button>" in nameless.text) == (422, True)
