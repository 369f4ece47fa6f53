"""Nothing that Temporal refuses is lost: on the real server, with its own limits, with and without encryption."""

import asyncio
import os
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.converter import DataConverter
from temporalio.service import RPCError

from alerts import Alert, incident_id
from alerts.bounded import json_size
from gateway.ingest.changes import change_workflow
from gateway.security.encryption import Keyring, data_converter
from incident.change import Change
from incident.events import AlertBatch, GroupedAlert, ResponderAction
from incident.limits import (
    AUDIT_BATCH_BYTES,
    BARE_ALERT_BYTES,
    BLOB_LIMIT,
    INBOX_BYTES,
    MEMO_BYTES,
    MESSAGE_BYTES,
    REQUEST_LIMIT,
    STATE_BYTES,
)
from incident.message import Fact
from incident.receipt import Receipt
from incident.view import IncidentView
from tests.vendors import Jira, PagerDuty, Slack
from tests.waiting import wait_until
from tests.workflows.harness import IncidentHarness, broken_state, incident_harness, make_alert
from tests.workflows.limit_scenarios import EMOJI, NOTES, full_while_sending, large_alert, large_audit_events
from workflows.bounds import bounded_state
from workflows.contracts import ADD_ALERTS_SIGNAL, INCIDENT_QUERY, IncidentInput

CONVERTERS = {"plain": pydantic_data_converter, "encrypted": data_converter(Keyring([os.urandom(32)]))}
LENGTHS = (250, 12_000, 1_100_000)
"""In four-byte characters: past the limits of a search attribute, of a memo, and of a blob and a request."""
TEXTS = [name for name, field in Alert.model_fields.items() if field.annotation is str]
MAPS = ["segment", "excluded", "tags", "raw"]
ACTIONS = ["by", "source", "token", "note", "first_run_id", "id"]


@pytest.fixture(params=CONVERTERS, scope="module")
def converter(request: pytest.FixtureRequest) -> DataConverter:
    return CONVERTERS[request.param]


@pytest.fixture
async def harness(
    tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira, converter: DataConverter
) -> AsyncGenerator[IncidentHarness]:
    async with incident_harness(tmp_path, pagerduty, slack, jira, real=True, converter=converter) as harness:
        yield harness


def past_the_limit(name: str, length: int) -> Alert:
    alert = make_alert(monitor_id=f"m-{name}-{length}", monitor_name="checkout errors")
    identity = ("monitor", f"{name}-{length}")
    many: dict[str, Any] = {f"key {key}": EMOJI * (length // 64 + 1) for key in range(64)}
    if name == "identity":
        return alert.model_copy(update={"identity": (*identity, EMOJI * length)})
    value = many if name in MAPS else EMOJI * length
    return alert.model_copy(update={name: value, "identity": identity})


async def read(harness: IncidentHarness, incident: str) -> IncidentView:
    handle = harness.client.get_workflow_handle(incident)
    return await handle.query(INCIDENT_QUERY, result_type=IncidentView)


async def until_notified(harness: IncidentHarness, incident: str) -> IncidentView:
    async def notified() -> IncidentView | None:
        try:
            view = await read(harness, incident)
        except RPCError:
            return None  # it is spooled yet
        return view if view.receipts else None

    view = await wait_until(notified, 0.2)
    assert view is not None
    return view


@pytest.mark.parametrize("by", ["gateway", "worker"])
async def test_every_text_field_past_every_limit_is_notified(harness: IncidentHarness, by: str) -> None:
    """Each alert is sent twice: in its incident's start, and in a signal."""
    harness.gateway_decides = by == "gateway"
    fields = [name for name in (*TEXTS, *MAPS, "identity") if name not in {"drill", "quarantined", "interpreted"}]
    alerts = [past_the_limit(name, length) for name in fields for length in LENGTHS[:: 2 if by == "gateway" else -3]]
    drain = asyncio.create_task(harness.ingester.drain())
    for position in range(0, len(alerts), 6):
        batch = alerts[position : position + 6]
        started = await asyncio.gather(*(harness.send(one) for one in batch))
        joined = await asyncio.gather(*(harness.send(one.model_copy(update={"value": 0.4})) for one in batch))
        # On a slow machine a request may time out: then the spool delivers it.
        assert {one.state for one in (*started, *joined)} <= {"started", "joined", "spooled"}
        for one in started:
            await until_notified(harness, one.incident)
            handle = harness.client.get_workflow_handle(one.incident)
            await wait_until(lambda handle=handle: _has_alerts(handle, 2), 0.2)
            await handle.terminate()
    drain.cancel()


async def _has_alerts(handle: Any, count: int) -> bool:
    return (await handle.query(INCIDENT_QUERY, result_type=IncidentView)).alert_count == count


async def test_every_text_of_an_action_is_processed(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    done = 0
    for name in ACTIONS:
        for length in LENGTHS:
            texts = {"by": "alice", "note": "looking", "id": f"{name}-{length}", name: EMOJI * length}
            action = ResponderAction(type="annotate", **texts)  # pyright: ignore[reportArgumentType]
            assert await harness.ingester.accept_action(harness.handle.id, action)
            done += name != "first_run_id"  # one for another run is dropped
    view = await harness.until(
        lambda view: view if sum(one.event == "annotated" for one in view.timeline) == done else None
    )
    assert json_size(view) < BLOB_LIMIT


async def test_every_text_of_a_change_is_recorded(harness: IncidentHarness) -> None:
    for length in (250, 12_000, 70_000):  # with two hundred facts past every limit
        for name in ("key", "kind", "text", "source", "facts"):
            text = EMOJI * length
            facts = (Fact(label="fact", value=text),) * 200
            changed = {
                "key": f"{name}-{length}",
                "kind": "prompt",
                "text": "p",
                name: facts if name == "facts" else text,
            }
            change = Change(at=datetime.now(UTC), **changed)  # pyright: ignore[reportArgumentType]
            assert await harness.ingester.accept_change(change)
            await harness.client.get_workflow_handle(change_workflow(change)).result()


async def test_signals_of_large_alerts_freeze_no_incident(harness: IncidentHarness) -> None:
    """As a gateway of an earlier release sent them: four signals of seven legal alerts each, while no worker runs."""
    await harness.fire(large_alert(0))
    await harness.until_state("notified")
    async with harness.without_worker():
        for signal in range(4):
            alerts = tuple(
                GroupedAlert(alert=large_alert(7 * signal + number), event_ids=(f"e-{signal}-{number}",))
                for number in range(1, 8)
            )
            batch = AlertBatch(alerts=alerts)
            assert MESSAGE_BYTES < json_size(batch) < BLOB_LIMIT
            await harness.handle.signal(ADD_ALERTS_SIGNAL, batch)
    view = await harness.act("acknowledge", by="alice")
    assert view.acknowledged_by == "alice"
    view = await harness.until(lambda view: view if view.alert_count == 29 else None)
    assert view.state == "acknowledged"
    await harness.clear()
    await harness.until_closed()


async def test_first_alerts_of_an_earlier_gateway_freeze_no_incident(harness: IncidentHarness) -> None:
    """No decision, and more in one start than one activity may get."""
    alerts = tuple(GroupedAlert(alert=large_alert(number), event_ids=(f"e-{number}",)) for number in range(1, 16))
    batch = AlertBatch(alerts=alerts)
    harness.alert = alerts[0].alert
    await harness.client.start_workflow(
        "Incident", IncidentInput(alerts=batch), id=incident_id(harness.alert), task_queue="harness"
    )
    view = await harness.until(lambda view: view if view.alert_count == 15 and view.receipts else None)
    assert view.state == "notified"


async def test_storm_of_large_alerts_is_delivered_with_acknowledgement(harness: IncidentHarness) -> None:
    drain = asyncio.create_task(harness.ingester.drain())  # on a slow machine a request may time out
    sent = [harness.fire(large_alert(number, 65_000)) for number in range(120)]
    accepted = [one.state for one in await asyncio.gather(*sent)]
    assert set(accepted) <= {"started", "joined", "spooled"}
    await harness.act("acknowledge", by="alice")
    await harness.until(lambda view: view.alert_count == 120)
    drain.cancel()
    await harness.clear()
    await harness.until_closed()


async def test_clears_of_nothing_delay_no_fire(harness: IncidentHarness) -> None:
    clears = [large_alert(number, 126_000, status="cleared") for number in range(60)]
    states = {one.state for one in await asyncio.gather(*(harness.send(one) for one in clears))}
    assert states == {"recorded"}
    assert (await harness.fire(large_alert(0, 126_000))).state == "started"
    await harness.until_state("notified")
    assert len(harness.page_keys()) == 1


async def test_outage_of_workers_terminates_no_incident(harness: IncidentHarness) -> None:
    """Temporal would terminate a run of 50 MiB: what is too much waits in the spool, and an acknowledgement passes."""
    await harness.fire(large_alert(0))
    await harness.until_state("notified")
    drain = asyncio.create_task(harness.ingester.drain())
    async with harness.without_worker():
        number = 0
        state = ""
        while state != "spooled":
            number += 4
            batch = [harness.send(large_alert(number + part, 119_000)) for part in range(4)]
            state = (await asyncio.gather(*batch))[-1].state
            assert number < 400, "fifty mebibytes"
        for part in range(12):
            assert (await harness.send(large_alert(number + 4 + part, 119_000))).state == "spooled"

        async def stuck() -> bool:
            return any(harness.handle.id in text for text in harness.ingester.stuck.texts())

        await wait_until(stuck)
        assert await harness.ingester.accept_action(
            harness.handle.id, ResponderAction(type="acknowledge", by="alice", id="ack")
        )
        assert not harness.ingester.temporal_unavailable
        assert (await harness.send(make_alert(monitor_id="m-other"))).state == "started", "another incident's"
        assert (await harness.handle.describe()).status == WorkflowExecutionStatus.RUNNING
    view = await harness.until(lambda view: view if view.alert_count == number + 13 else None)
    assert view.acknowledged_by == "alice"
    assert harness.ingester.stuck.texts() == []
    drain.cancel()


async def test_full_run_continues_as_new_while_pager_fails(harness: IncidentHarness) -> None:
    await full_while_sending(harness)
    keys = {one["dedup_key"] for one in harness.pagerduty.events("acknowledge")}
    assert len(keys) == len(harness.page_keys()) == 1, "the page was not sent again"
    assert (await harness.view()).acknowledged_by == "bob"
    started = (await harness.handle.fetch_history()).events[0].workflow_execution_started_event_attributes
    (handed_over,) = await harness.client.data_converter.decode(started.input.payloads, [IncidentInput])
    assert [one.since is not None for one in handed_over.state.pending] == [True], "its day began in the first run"


async def test_large_audit_events_are_written_in_parts(harness: IncidentHarness) -> None:
    await large_audit_events(harness)
    records = list(harness.audit_log.read(harness.handle.id))
    notes = [record.text.split()[0] for record in records if record.event == "annotated"]
    assert sorted(notes, key=int) == [str(number) for number in range(NOTES)]
    sizes = [
        payload.ByteSize()
        for event in (await harness.handle.fetch_history()).events
        for payload in event.activity_task_scheduled_event_attributes.input.payloads
    ]
    assert AUDIT_BATCH_BYTES // 2 < max(sizes) < AUDIT_BATCH_BYTES + MEMO_BYTES


def test_state_for_next_run_is_shortened_to_fit() -> None:
    """What is shortened is kept elsewhere; receipts of messages that may be updated stay."""
    now = datetime.now(UTC)
    state = broken_state("incident-x-0").model_copy(update={"pending": []})
    for number in range(2_000):
        state.record(now, "annotated", f"{number} {EMOJI * 200}")
    state.unwritten_events = []
    state.processed_event_ids = [f"evt-{number}" for number in range(2_000)]
    state.receipts = [
        Receipt(destination="primary", type="pagerduty", id=f"id-{number}", key=f"k:{kind}-{number}", at=now)
        for kind, count in (("step", 100), ("remind", 20_000))
        for number in range(count)
    ]
    shortened = bounded_state(state, now)
    assert json_size(shortened) <= STATE_BYTES - INBOX_BYTES + BARE_ALERT_BYTES
    assert [one for one in shortened.receipts if ":step-" in one.key] == state.receipts[:100]
    assert shortened.timeline[-1].event == "state_shortened"
    assert "earlier timeline entries" in shortened.timeline[-1].text
    assert shortened.timeline[-2] == state.timeline[-1]
    assert json_size(bounded_state(shortened, now)) <= json_size(shortened)


def test_what_one_workflow_task_sends_fits_a_request() -> None:
    from incident import limits
    from workflows.incident import MAX_IN_FLIGHT

    notifications = sum(MAX_IN_FLIGHT.values()) * 64 * 2**10
    assert notifications + limits.UNWRITTEN_BYTES + limits.MESSAGE_BYTES < REQUEST_LIMIT
    assert limits.STATE_BYTES + limits.ENVELOPE_BYTES < BLOB_LIMIT
