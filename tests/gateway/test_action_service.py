"""Responder actions are durable without workers and without Temporal; impossible ones are refused."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from alerts import incident_id
from audit import AuditRecord
from gateway.action_service import AcceptedAction, ActionService
from gateway.app import create_app
from gateway.incident_cache import IncidentCache
from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.ingester import AlertIngester
from gateway.ingest.spool import Spool
from gateway.known_runs import LIFETIME, KnownRuns
from gateway.problems import Problem
from incident.events import ActionType, ResponderAction
from incident.view import IncidentView
from tests.gateway.conftest import QUEUE, GatewayHarness
from tests.gateway.spool_harness import SpoolHarness, open_spool_harness
from tests.gateway.test_incident_page import path
from tests.gateway.test_pagerduty import key_of
from tests.gateway.test_spool import make_alert
from tests.tcp_proxy import TcpProxy
from tests.vendors import Jira, PagerDuty, Slack
from tests.waiting import wait_until
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


async def test_denied_action_is_only_recorded(real: IncidentHarness) -> None:
    """The person is answered 403; the attempt is on record, and nothing else changes."""
    await real.fire(real.alert.model_copy(update={"model": "underwriting"}))
    before = await real.until_state("notified")
    service = ActionService(real.client, real.ingester)
    with pytest.raises(Problem, match="only a person with the role compliance"):
        await service.apply(incident_id(real.alert), ACK.model_copy(update={"type": "resolve", "token": "a-token"}))
    after = await real.until(lambda view: view if any(one.event == "closure_denied" for one in view.timeline) else None)
    # Receipts of the page and the ticket may still arrive; nothing else may.
    assert {one.event for one in after.timeline if one not in before.timeline} <= {"notified", "closure_denied"}
    assert (after.state, after.acknowledged_by) == ("notified", "")
    denials = await wait_until(partial(_denials, real))
    assert [(one.by, one.data["token"]) for one in denials] == [("alice", "a-token")]
    allowed = ACK.model_copy(update={"type": "resolve", "role": "compliance"})
    assert isinstance(view := await service.apply(incident_id(real.alert), allowed), IncidentView)
    assert view.resolved_by == "alice"
    assert "alice" in repr(view.timeline)


async def _denials(harness: IncidentHarness) -> list[AuditRecord]:
    """The audit log's records of denied closings."""
    return [one for one in harness.audit_log.read(incident_id(harness.alert)) if one.event == "closure_denied"]


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


async def spooled_action(spool: Spool, incident: str) -> ResponderAction:
    (item,) = await spool.first(incident, 10, kind="action")
    return ResponderAction.model_validate_json(item.content)


@pytest.mark.parametrize("kind", ["acknowledge", "resolve"])
async def test_spooled_action_touches_no_newer_incident(
    real: IncidentHarness, tmp_path: Path, kind: ActionType
) -> None:
    """One of two gateways is cut off when its user acts on what it showed; then the incident closes and fires again."""
    await real.fire(event_id="1")
    first = await real.until_state("notified")
    runs = KnownRuns()
    await IncidentCache(real.client, runs=runs).view(await real.handle.describe())
    cut_off = await Client.connect("127.0.0.1:1", lazy=True, data_converter=pydantic_data_converter)
    spool, store = Spool(tmp_path / "cut-off.db"), DedupStore(f"sqlite:///{tmp_path}/gateway.db")
    service = ActionService(cut_off, AlertIngester(cut_off, QUEUE, store, spool), runs=runs)
    accepted = await service.apply(incident_id(real.alert), ACK.model_copy(update={"type": kind}))
    assert isinstance(accepted, AcceptedAction)
    assert (await spooled_action(spool, incident_id(real.alert))).seen_run_id == first.first_run_id
    await real.clear()
    await real.until_closed()
    await real.fire(event_id="2")
    await real.until_state("notified")
    drain = asyncio.create_task(AlertIngester(real.client, QUEUE, store, spool).drain())
    await wait_until(lambda: _is_empty(spool))
    drain.cancel()
    view = await real.act("annotate", note="read")  # after what the spool held
    assert (view.state, view.acknowledged_by) == ("notified", "")
    assert "older_action" in [entry.event for entry in view.timeline]
    spool.close()
    store.close()


async def test_spooled_action_is_for_the_incident_that_paged(real: IncidentHarness, tmp_path: Path) -> None:
    """The gateway had read the opening before: what a person acknowledges now is the one that paged."""
    await real.fire(event_id="1")
    await real.until_state("notified")
    runs = KnownRuns()
    await IncidentCache(real.client, runs=runs).view(await real.handle.describe())
    await real.clear()
    await real.until_closed()
    await real.fire(event_id="2")
    await real.until_state("notified")
    cut_off = await Client.connect("127.0.0.1:1", lazy=True, data_converter=pydantic_data_converter)
    spool, store = Spool(tmp_path / "cut-off.db"), DedupStore(f"sqlite:///{tmp_path}/gateway.db")
    await ActionService(cut_off, AlertIngester(cut_off, QUEUE, store, spool), runs=runs).apply(
        incident_id(real.alert), ACK
    )
    drain = asyncio.create_task(AlertIngester(real.client, QUEUE, store, spool).drain())
    assert (await real.until_state("acknowledged")).acknowledged_by == "alice"
    drain.cancel()
    spool.close()
    store.close()


async def _is_empty(spool: Spool) -> bool:
    return not spool.depth.items


@pytest.mark.parametrize("at", [None, datetime(2012, 12, 21, tzinfo=UTC)], ids=["none", "constant"])
async def test_spooled_action_without_a_usable_time_has_that_of_its_arrival(
    tmp_path: Path, at: datetime | None
) -> None:
    """Some vendors state none, or always the same one."""
    cut_off = await Client.connect("127.0.0.1:1", lazy=True, data_converter=pydantic_data_converter)
    spool, store = Spool(tmp_path / "spool.db"), DedupStore(f"sqlite:///{tmp_path}/gateway.db")
    before = datetime.now(UTC)
    action = ResponderAction(type="acknowledge", by="alice", source="splunk_oncall", occurred_at=at)
    assert not await AlertIngester(cut_off, QUEUE, store, spool).accept_action("incident-x-0123456789ab", action)
    spooled = await spooled_action(spool, "incident-x-0123456789ab")
    assert spooled.occurred_at is not None
    assert before <= spooled.occurred_at <= datetime.now(UTC)
    spool.close()
    store.close()


def test_runs_that_were_read_long_ago_are_forgotten() -> None:
    now = 0.0
    runs = KnownRuns(lambda: now)
    runs.note("incident-a", "run-1", is_open=True)
    runs.note("incident-b", "run-2", is_open=True)
    runs.note("incident-b", "run-1", is_open=False)  # an earlier opening
    assert (runs.find("incident-a"), runs.find("incident-b"), runs.find("incident-c")) == ("run-1", "run-2", "")
    runs.note("incident-b", "run-2", is_open=False)
    assert runs.find("incident-b") == ""
    now = LIFETIME
    assert runs.find("incident-a") == ""


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
