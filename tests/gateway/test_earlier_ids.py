"""The incidents that version 1.0 opened, whose ids depend on more than the monitor's id."""

import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from temporalio.client import Client

from alerts import Alert, incident_id, normalise
from gateway.ingest.earlier_ids import EarlierIds
from gateway.security.encryption import Keyring, data_converter
from tests.gateway.conftest import GatewayHarness
from tests.gateway.spool_harness import SpoolHarness, open_spool_harness
from tests.waiting import wait_until
from workflows.contracts import INCIDENT_WORKFLOW, MONITOR_MEMO, IncidentInput, MonitorMemo

pytestmark = pytest.mark.asyncio(loop_scope="session")


def make_alert(monitor: str, **changes: object) -> Alert:
    return normalise({"monitor_id": monitor, "metric": "error_rate", "value": 0.3, "model": "chatbot", **changes})


async def open_earlier_incident(
    gateway: GatewayHarness, monitor: str, *pairs: str, name: str = "its name", environment: str = "production"
) -> str:
    """An open incident with an id and a memo as 1.0 wrote them. No worker runs it."""
    incident = f"incident-chatbot-{uuid.uuid4().hex[:12]}"
    identity = (name, monitor, "chatbot", environment, *pairs)
    await gateway.client.start_workflow(
        INCIDENT_WORKFLOW,
        IncidentInput(),
        id=incident,
        task_queue="nobody",
        memo={MONITOR_MEMO: MonitorMemo(id=monitor, identity=identity)},
    )
    return incident


async def find(harness: SpoolHarness, alert: Alert, incident: str) -> None:
    """Visibility is eventually consistent."""

    async def found() -> bool:
        ids = EarlierIds(harness.client)
        await ids.load()
        return incident in await ids.current(incident_id(alert), alert)

    await wait_until(found)
    await harness.ingester.find_earlier_incidents()


@pytest.mark.parametrize(("pairs", "changes"), [((), {}), (("tier=gold",), {"segment": {"tier": "gold"}})])
async def test_alerts_reach_the_incident_that_1_0_opened(
    gateway: GatewayHarness, tmp_path: Path, pairs: tuple[str, ...], changes: dict[str, object]
) -> None:
    monitor = f"monitor-{uuid.uuid4().hex[:8]}"
    incident = await open_earlier_incident(gateway, monitor, *pairs)
    async with open_spool_harness(gateway, tmp_path) as harness:
        await find(harness, make_alert(monitor, **changes), incident)
        repeat = await harness.ingester.accept_alert(make_alert(monitor, **changes))
        assert (repeat.incident, repeat.state) == (incident, "joined")
        clear = await harness.ingester.accept_alert(make_alert(monitor, status="CLEARED", **changes))
        assert (clear.incident, clear.state) == (incident, "joined")
        other = await harness.ingester.accept_alert(make_alert(f"{monitor}-other"))
        assert other.state == "started"


async def test_memo_of_another_key_stops_no_alert(gateway: GatewayHarness, tmp_path: Path) -> None:
    """Two installations share a namespace, or a key was removed early."""
    config = gateway.client.config()
    config["data_converter"] = data_converter(Keyring([b"k" * 32]))
    await open_earlier_incident(replace(gateway, client=Client(**config)), "another")
    monitor = f"monitor-{uuid.uuid4().hex[:8]}"
    incident = await open_earlier_incident(gateway, monitor)
    async with open_spool_harness(gateway, tmp_path) as harness:
        with capture_logs() as logs:
            await find(harness, make_alert(monitor), incident)
        assert any(one["event"] == "memo_unreadable" for one in logs)
        accepted = await harness.ingester.accept_alert(make_alert(monitor))
        assert (accepted.incident, accepted.state) == (incident, "joined")


async def test_next_incident_has_the_new_id(gateway: GatewayHarness, tmp_path: Path) -> None:
    monitor = f"monitor-{uuid.uuid4().hex[:8]}"
    incident = await open_earlier_incident(gateway, monitor)
    async with open_spool_harness(gateway, tmp_path) as harness:
        await find(harness, make_alert(monitor), incident)
        await gateway.client.get_workflow_handle(incident).terminate()
        opened = await harness.ingester.accept_alert(make_alert(monitor))
        assert (opened.incident, opened.state) == (incident_id(make_alert(monitor)), "started")


async def test_alert_is_spooled_for_the_earlier_incident(gateway: GatewayHarness, tmp_path: Path) -> None:
    monitor = f"monitor-{uuid.uuid4().hex[:8]}"
    incident = await open_earlier_incident(gateway, monitor)
    async with open_spool_harness(gateway, tmp_path) as harness:
        await find(harness, make_alert(monitor), incident)
        await harness.proxy.cut()
        spooled = await harness.ingester.accept_alert(make_alert(monitor, status="CLEARED"))
        assert spooled.state == "spooled"
        await harness.proxy.restore()
        await harness.until_drained()
    assert await count_signals(gateway, incident) == 1


async def count_signals(gateway: GatewayHarness, incident: str) -> int:
    history = await gateway.client.get_workflow_handle(incident).fetch_history()
    return sum(event.HasField("workflow_execution_signaled_event_attributes") for event in history.events)


async def test_clear_reaches_both_environments(gateway: GatewayHarness, tmp_path: Path) -> None:
    monitor = f"monitor-{uuid.uuid4().hex[:8]}"
    production = await open_earlier_incident(gateway, monitor)
    staging = await open_earlier_incident(gateway, monitor, environment="staging")
    async with open_spool_harness(gateway, tmp_path) as harness:
        await find(harness, make_alert(monitor, environment="staging"), staging)
        await find(harness, make_alert(monitor, environment="production"), production)
        joined = await harness.ingester.accept_alert(make_alert(monitor, environment="staging"))
        assert joined.incident == staging
        assert (await count_signals(gateway, staging), await count_signals(gateway, production)) == (1, 0)
        await harness.ingester.accept_alert(make_alert(monitor, status="CLEARED"))
        assert (await count_signals(gateway, staging), await count_signals(gateway, production)) == (2, 1)


async def test_incident_without_monitor_id_is_found(gateway: GatewayHarness, tmp_path: Path) -> None:
    """1.0 found no id under a name that it did not know; and bodies without an id have other ids by now."""
    name = f"monitor {uuid.uuid4().hex[:8]}"
    incident = await open_earlier_incident(gateway, "", name=name)
    sent = {"monitor_name": name, "model": "chatbot", "environment": "production", "status": "CLEARED"}
    async with open_spool_harness(gateway, tmp_path) as harness:
        await find(harness, normalise(sent), incident)
        for clear in (sent, {**sent, "ref": "TW9uaXRvcjo2MTAwMDphWjYxMDAw"}):
            accepted = await harness.ingester.accept_alert(normalise(clear))
            assert (accepted.incident, accepted.state) == (incident, "joined")
        other = await harness.ingester.accept_alert(normalise({**sent, "environment": "staging"}))
        assert other.state == "recorded"


async def test_alert_before_the_list_joins(gateway: GatewayHarness, tmp_path: Path) -> None:
    monitor = f"monitor-{uuid.uuid4().hex[:8]}"
    incident = await open_earlier_incident(gateway, monitor)

    async def visible() -> bool:
        ids = EarlierIds(gateway.client)
        return await ids.current("", make_alert(monitor)) == (incident,)

    await wait_until(visible)
    async with open_spool_harness(gateway, tmp_path) as harness:
        await harness.proxy.cut()
        assert (await harness.ingester.accept_alert(make_alert(monitor))).state == "spooled"
        await harness.proxy.restore()
        await harness.until_drained()
        accepted = await harness.ingester.accept_alert(make_alert(monitor, status="CLEARED"))
        assert (accepted.incident, accepted.state) == (incident, "joined")
    assert await count_signals(gateway, incident) == 2
