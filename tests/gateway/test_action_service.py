"""Responder actions are durable without workers and without Temporal; impossible ones are refused."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from alerts import incident_id
from gateway.action_service import AcceptedAction, ActionService
from gateway.app import create_app
from gateway.ingest.ingester import AlertIngester
from gateway.ingest.spool import Spool
from gateway.problems import Problem
from incident.events import ResponderAction
from incident.view import IncidentView
from tests.gateway.conftest import QUEUE, GatewayHarness
from tests.gateway.spool_harness import SpoolHarness, open_spool_harness
from tests.gateway.test_incident_page import path
from tests.gateway.test_pagerduty import key_of
from tests.gateway.test_spool import make_alert
from tests.tcp_proxy import TcpProxy
from tests.vendors import Jira, PagerDuty, Slack
from tests.workflows.harness import IncidentHarness, incident_harness
from worker.temporal import QUICK

ACK = ResponderAction(type="acknowledge", by="alice", role="responder")


@pytest.fixture
async def real(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> AsyncGenerator[IncidentHarness]:
    async with incident_harness(tmp_path, pagerduty, slack, jira, real=True) as harness:
        yield harness


async def test_action_without_worker_is_processed_by_next(real: IncidentHarness) -> None:
    await real.fire()
    await real.until_state("notified")
    service = ActionService(real.client, real.ingester)
    async with real.without_worker():
        accepted = await service.apply(incident_id(real.alert), ACK)
        assert isinstance(accepted, AcceptedAction)
        assert (accepted.state, accepted.incident) == ("accepted", incident_id(real.alert))
    view = await real.until_state("acknowledged")
    assert view.acknowledged_by == "alice"


async def test_new_worker_shows_action_result(real: IncidentHarness) -> None:
    await real.fire()
    await real.until_state("notified")
    async with real.without_worker():
        pass
    view = await ActionService(real.client, real.ingester).apply(incident_id(real.alert), ACK)
    assert isinstance(view, IncidentView)
    assert (view.state, view.acknowledged_by) == ("acknowledged", "alice")


async def test_denied_action_leaves_no_trace(real: IncidentHarness) -> None:
    await real.fire(real.alert.model_copy(update={"model": "underwriting"}))
    before = await real.until_state("notified")
    service = ActionService(real.client, real.ingester)
    with pytest.raises(Problem, match="only a person with the role compliance"):
        await service.apply(incident_id(real.alert), ACK.model_copy(update={"type": "resolve"}))
    # Receipts of the page and the ticket may still arrive; nothing else may.
    after = await real.view()
    assert {one.event for one in after.timeline if one not in before.timeline} <= {"notified"}
    assert "alice" not in repr(after.timeline)
    allowed = ACK.model_copy(update={"type": "resolve", "role": "compliance"})
    assert isinstance(view := await service.apply(incident_id(real.alert), allowed), IncidentView)
    assert view.resolved_by == "alice"
    assert "alice" in repr(view.timeline)


async def test_incident_checks_role_of_unchecked_action(real: IncidentHarness) -> None:
    """Without a worker the role cannot be checked, so the action is sent; the incident refuses it."""
    await real.fire(real.alert.model_copy(update={"model": "underwriting"}))
    await real.until_state("notified")
    service = ActionService(real.client, real.ingester)
    async with real.without_worker():
        sent = asyncio.create_task(service.apply(incident_id(real.alert), ACK.model_copy(update={"type": "resolve"})))
        await asyncio.sleep(4)
    with pytest.raises(Problem, match="only a person with the role compliance"):
        await sent
    assert (await real.until_state("awaiting_human")).resolved_by == ""


async def test_action_for_another_run_is_refused(real: IncidentHarness) -> None:
    await real.fire()
    await real.until_state("notified")
    with pytest.raises(Problem, match="the incident that is open now is another one") as refused:
        await ActionService(real.client, real.ingester).apply(
            incident_id(real.alert), ACK.model_copy(update={"first_run_id": "00000000"})
        )
    assert refused.value.status == 409
    assert (await real.view()).state == "notified"


@pytest_asyncio.fixture(loop_scope="session")
async def station(gateway: GatewayHarness, tmp_path: Path) -> AsyncIterator[SpoolHarness]:
    async with open_spool_harness(gateway, tmp_path) as station:
        yield station


@pytest.mark.asyncio(loop_scope="session")
async def test_action_is_spooled_without_temporal(station: SpoolHarness) -> None:
    alert = make_alert(station.gateway)
    await station.ingester.accept_alert(alert)
    await station.gateway.until(incident_id(alert), lambda one: one["state"] == "notified")
    service = ActionService(station.client, station.ingester)
    await station.proxy.cut()
    accepted = await service.apply(incident_id(alert), ACK)
    assert isinstance(accepted, AcceptedAction)
    assert accepted.state == "spooled"
    await station.proxy.restore()
    one = await station.gateway.until(incident_id(alert), lambda one: one["state"] == "acknowledged", 20)
    assert one["acknowledged_by"] == "alice"


@pytest.mark.asyncio(loop_scope="session")
async def test_full_spool_refuses_action(station: SpoolHarness, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "full.db", limit=10)
    ingester = AlertIngester(station.client, QUEUE, station.dedup_store, spool)
    await station.proxy.cut()
    with pytest.raises(Problem, match="the spool is full") as refused:
        await ActionService(station.client, ingester).apply("incident-x-0123456789ab", ACK)
    assert (refused.value.status, refused.value.error_code) == (503, "unavailable")
    spool.close()


@pytest.mark.asyncio(loop_scope="session")
async def test_api_and_page_acknowledge_without_temporal(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    link = path(await key_of(gateway, incident))
    async with TcpProxy(gateway.client.service_client.config.target_host) as wire:
        client = await Client.connect(wire.address, data_converter=pydantic_data_converter, retry_config=QUICK)
        app = create_app(gateway.settings(), client)
        await wire.cut()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
            answer = await http.post(
                f"/api/incidents/{incident}/acknowledge", json={}, headers={"Authorization": "Bearer r-token"}
            )
            assert (answer.status_code, answer.json()["state"], answer.json()["incident"]) == (202, "spooled", incident)
            blind = await http.get(link)
            assert (blind.status_code, "You can still acknowledge it" in blind.text) == (200, True)
            assert "<button>" in blind.text
            pressed = await http.post(link, data={"by": "Nora"})
            assert (pressed.status_code, "Your acknowledgement is accepted" in pressed.text) == (202, True)
            nameless = await http.post(link, data={"by": " "})
            assert (nameless.status_code, "<button>" in nameless.text) == (422, True)
