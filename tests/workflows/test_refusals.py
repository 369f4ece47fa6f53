"""What Temporal refuses although it is bounded, on real servers with lower limits: split, reduced, quarantined."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from temporalio.api.operatorservice.v1 import RemoveSearchAttributesRequest

from alerts import Alert
from incident.events import ResponderAction
from tests.vendors import Jira, PagerDuty, Slack
from tests.waiting import wait_until
from tests.workflows.harness import IncidentHarness, incident_harness, make_alert
from workflows import search_attributes


@asynccontextmanager
async def limited(
    folder: Path, vendors: tuple[PagerDuty, Slack, Jira], **limits: int
) -> AsyncGenerator[IncidentHarness]:
    """A harness whose server has these limits; ``__`` in a name is a dot."""
    named = {name.replace("__", "."): value for name, value in limits.items()}
    async with incident_harness(folder, *vendors, real=True, limits=named) as harness:
        drain = asyncio.create_task(harness.ingester.drain())
        yield harness
        drain.cancel()


@pytest.fixture
def vendors(pagerduty: PagerDuty, slack: Slack, jira: Jira) -> tuple[PagerDuty, Slack, Jira]:
    return pagerduty, slack, jira


def with_labels(alert: Alert, size: int) -> Alert:
    labels = {f"label {number}": "x" * 200 for number in range(size // 215)}
    return alert.model_copy(update={"tags": labels})


async def test_refused_alert_costs_no_other(tmp_path: Path, vendors: Any) -> None:
    """One of six that arrive together is too large for this server: it is delivered with less, the others whole."""
    async with limited(tmp_path, vendors, limit__blobSize__error=24_000, limit__blobSize__warn=20_000) as harness:
        await harness.fire()
        await harness.until_state("notified")
        alerts = [make_alert(value=0.31 + number / 100) for number in range(6)]
        alerts[3] = with_labels(alerts[3], 90_000)
        with capture_logs() as logs:
            accepted = await asyncio.gather(*(harness.send(one) for one in alerts))
        assert {one.state for one in accepted} == {"joined"}
        assert [one["form"] for one in logs if one["event"] == "alert_reduced"] == ["bare"]
        view = await harness.until(lambda view: view if view.alert_count == 7 else None)
        assert view.alert is not None
        assert view.alert.value == 0.36, "in their order"


async def test_refused_first_alert_is_paged(tmp_path: Path, vendors: Any) -> None:
    async with limited(tmp_path, vendors, limit__blobSize__error=24_000, limit__blobSize__warn=20_000) as harness:
        alert = with_labels(make_alert(), 90_000)
        assert (await harness.fire(alert)).state == "started"
        view = await harness.until_state("notified")
        assert view.alert is not None
        assert (view.tier, view.alert.value) == ("critical", 0.31)
        assert view.alert.tags["…"].startswith("and "), "what is missing is said"


async def test_alert_refused_in_every_form_is_quarantined(tmp_path: Path, vendors: Any) -> None:
    taken: list[tuple[dict[str, Any], str, str]] = []

    async def take_in(content: bytes, event_id: str, reason: str) -> None:
        taken.append((json.loads(content), event_id, reason))

    async with limited(tmp_path, vendors, limit__blobSize__error=700, limit__blobSize__warn=600) as harness:
        harness.ingester.quarantine_with(take_in)
        accepted = await harness.send(make_alert(monitor_name="checkout errors"), "evt-1")
        assert accepted.state == "quarantined"
        ((content, event_id, reason),) = taken
        assert (content["monitor"], content["value"], event_id) == ("checkout errors", 0.31, "evt-1")
        assert reason.startswith("Temporal refuses the alert: RPCError: Blob data size exceeds limit")


async def test_incident_without_search_attributes_notifies(tmp_path: Path, vendors: Any) -> None:
    """A namespace without them, and a worker without the permission to add them."""
    async with limited(tmp_path, vendors) as harness:
        names = [search_attributes.TEAM.name, search_attributes.STATE.name]
        await harness.client.operator_service.remove_search_attributes(
            RemoveSearchAttributesRequest(namespace=harness.client.namespace, search_attributes=names)
        )
        assert (await harness.fire()).state == "started"
        await harness.until_state("notified")
        await harness.act("acknowledge")
        await harness.clear()
        await harness.until_closed()


async def test_full_run_blocks_no_other_incident(tmp_path: Path, vendors: Any) -> None:
    """One run has all the signals that fit: it is named, nothing waits for it, and Temporal counts as available."""
    async with limited(tmp_path, vendors, history__maximumSignalsPerExecution=3) as harness:
        async with harness.without_worker():
            states = [(await harness.fire(make_alert(value=value / 100))).state for value in (31, 32, 33, 34, 35)]
            assert states == ["started", "joined", "joined", "joined", "spooled"]
            full = harness.handle.id

            async def named() -> bool:
                return any(full in text and "signal events" in text for text in harness.ingester.stuck.texts())

            with capture_logs() as logs:
                await wait_until(named)
                for number in range(5):
                    other = make_alert(monitor_id=f"m-other-{number}")
                    assert (await harness.send(other)).state == "started"
                    action = ResponderAction(type="annotate", by="bob", note="n", id=f"a-{number}")
                    assert not await harness.ingester.accept_action(full, action), "it is kept, like the alert"
                    await asyncio.sleep(0.5)
            assert not harness.ingester.temporal_unavailable
            assert not [one for one in logs if one["event"] in {"temporal_unavailable", "temporal_recovered"}]
        await harness.until_state("notified")
