"""Which deliveries are one event: what two events share swallows neither, and a copy of signed bytes does nothing."""

import asyncio
import itertools
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts import normalise
from gateway.ingest.seen_events import event_keys
from tests.gateway.conftest import SECRET, TOKEN, GatewayHarness
from tests.signing import signed

pytestmark = pytest.mark.asyncio(loop_scope="session")
_numbers = itertools.count(1)


async def send(gateway: GatewayHarness, *bodies: dict[str, Any]) -> list[tuple[str, str]]:
    """Incident and state of each body, sent with a bearer token, and without an id in the headers."""
    answers: list[tuple[str, str]] = []
    for body in bodies:
        answer = await gateway.http.post("/webhooks/arize", json=body, headers={"Authorization": TOKEN})
        assert answer.status_code == 202, answer.text
        answers.append((answer.json()["incident"], answer.json()["state"]))
    return answers


async def until_closed(gateway: GatewayHarness, incident: str) -> None:
    await gateway.until(incident, lambda one: one["state"] == "closed")


@pytest.mark.parametrize("event_id", ["inc-5", "e" * 206, 5, "\x00odd"])
async def test_shared_event_id_swallows_nothing(gateway: GatewayHarness, event_id: Any) -> None:
    alert, other = gateway.alert(event_id=event_id), gateway.alert(event_id=event_id)
    clear = {**alert, "status": "CLEARED"}
    (incident, _), (again, _), (second, state) = await send(gateway, alert, alert, other)
    assert (again, state) == (incident, "started")
    assert second != incident
    one = await gateway.until(incident, lambda one: one["state"] == "notified")
    assert one["alert_count"] == 1, "the second was a redelivery"
    assert await send(gateway, clear) == [(incident, "joined")]
    await until_closed(gateway, incident)
    assert await send(gateway, alert) == [(incident, "started")], "an id that a clear shares is no identity"
    assert await send(gateway, clear) == [(incident, "joined")], "nor is it one of the next clear"
    await until_closed(gateway, incident)


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("clears", ["without an id", "with another id", "a person"])
async def test_id_of_an_episode_swallows_no_later_fire(gateway: GatewayHarness, timed: bool, clears: str) -> None:
    """A template's constant as the id of triggers; the clear comes without it, as the reconciler's do."""
    alert, now = gateway.alert(event_id=f"rule-{next(_numbers)}"), datetime.now(UTC)

    def at(minutes: int, value: float) -> dict[str, Any]:
        time_of = {"evaluated_at": (now - timedelta(minutes=minutes)).isoformat()} if timed else {}
        return {**alert, "metric_value": value, **time_of}

    first = at(50, 0.3)
    ((incident, _),) = await send(gateway, first)
    assert await send(gateway, first) == [(incident, "joined")]
    await gateway.until(incident, lambda one: one["state"] == "notified" and one["alert_count"] == 1)
    if clears == "a person":
        await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={})
    else:
        event_id = "" if clears == "without an id" else f"clear-{next(_numbers)}"
        await send(gateway, {**at(40, 0.01), "status": "CLEARED", "event_id": event_id})
    await until_closed(gateway, incident)
    assert await send(gateway, first) == [(incident, "joined")], "the same again is a redelivery"
    assert await send(gateway, at(1, 0.9)) == [(incident, "started")]


async def test_repeated_clear_closes_no_newer_fire(gateway: GatewayHarness) -> None:
    """A trigger and its clear share the id of their episode; the clear comes again in the next one."""
    alert = gateway.alert(event_id=f"episode-{next(_numbers)}")
    clear = {**alert, "status": "CLEARED"}
    (incident, _), _ = await send(gateway, alert, clear)
    await until_closed(gateway, incident)
    newer = [{**alert, "event_id": f"episode-{next(_numbers)}"} for _ in range(2)]
    assert await send(gateway, newer[0]) == [(incident, "started")]
    await send(gateway, clear, newer[1])
    one = await gateway.until(incident, lambda one: one["alert_count"] == 2)
    assert "cleared" not in [entry["event"] for entry in one["timeline"]]
    assert await send(gateway, {**newer[1], "status": "CLEARED"}) == [(incident, "joined")]
    await until_closed(gateway, incident)


async def test_long_ids_that_end_otherwise_are_two(gateway: GatewayHarness) -> None:
    alert = gateway.alert()
    first, second = ({**alert, "event_id": "e" * 205 + end} for end in "ab")
    (incident, _), *_ = await send(gateway, first, second)
    one = await gateway.until(incident, lambda one: one["alert_count"] == 2)
    assert one["state"] in {"received", "notified"}


async def test_redelivery_after_close_opens_nothing(gateway: GatewayHarness) -> None:
    alert = gateway.alert(event_id=f"evt-{next(_numbers)}")
    clear = {**alert, "status": "CLEARED", "event_id": f"evt-{next(_numbers)}-clear"}
    ((incident, _),) = await send(gateway, alert)
    await send(gateway, clear)
    await until_closed(gateway, incident)
    assert await send(gateway, alert, clear) == [(incident, "joined"), (incident, "joined")]
    await until_closed(gateway, incident)


@pytest.mark.parametrize(
    ("trigger", "clear"),
    [
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        (0, 0),
        ("9999-12-31T23:59:59Z", None),
        ("2026-11-25", "2026-11-25"),
        ("now", "now"),
        ("now", None),
    ],
)
async def test_constant_time_is_no_identity(gateway: GatewayHarness, trigger: Any, clear: Any) -> None:
    now = datetime.now(UTC).isoformat()
    times = [now if one == "now" else one for one in (trigger, clear)]
    alert = gateway.alert(triggered_at=times[0])
    ((incident, _),) = await send(gateway, alert)
    await send(gateway, {**alert, "status": "CLEARED", "triggered_at": times[1], "metric_value": 0.01})
    await until_closed(gateway, incident)
    assert await send(gateway, alert) == [(incident, "started")]


async def test_late_redelivery_of_an_evaluation_opens_nothing(gateway: GatewayHarness) -> None:
    now = datetime.now(UTC)
    alert = gateway.alert(evaluated_at=(now - timedelta(minutes=2)).isoformat())
    ((incident, _),) = await send(gateway, alert)
    await send(gateway, {**alert, "status": "CLEARED", "evaluated_at": now.isoformat()})
    await until_closed(gateway, incident)
    assert await send(gateway, alert) == [(incident, "recorded")]


@pytest.mark.parametrize("event", ["monitor.cleared", "webhook.test", "prompt.version.created"])
async def test_event_header_does_not_stand_in(gateway: GatewayHarness, event: str) -> None:
    """Only the body is signed: the header neither clears, nor makes an alert a test or a change."""
    body = gateway.alert()
    del body["status"]
    answer = await gateway.send(body, **{"X-Arize-Webhook-Event": event})
    assert (answer.status_code, answer.json()["state"]) == (202, "started")


@pytest.mark.parametrize("event", ["monitor.cleared", "webhook.test"])
@pytest.mark.parametrize("event_id", ["evt-forged", ""])
async def test_signed_bytes_under_another_event_are_refused(gateway: GatewayHarness, event: str, event_id: str) -> None:
    body = json.dumps(gateway.alert()).encode()
    headers = {**signed(body, SECRET, f"evt-{next(_numbers)}"), "X-Arize-Webhook-Event": "monitor.triggered"}
    first = await gateway.http.post("/webhooks/arize", content=body, headers=headers)
    incident = first.json()["incident"]
    await gateway.until(incident, lambda one: one["state"] == "notified")
    forged = {**headers, "X-Arize-Webhook-Event": event, "X-Arize-Webhook-Id": event_id}
    answer = await gateway.http.post("/webhooks/arize", content=body, headers=forged)
    assert (answer.status_code, answer.json()["code"]) == (401, "replayed_signature")
    again = await gateway.http.post("/webhooks/arize", content=body, headers=headers)
    assert (again.status_code, again.json()["state"]) == (202, "joined"), "Arize's own redelivery"
    assert (await gateway.until(incident, lambda one: one))["alert_count"] == 1


async def test_copy_of_a_signed_clear_closes_nothing(gateway: GatewayHarness) -> None:
    alert = gateway.alert()
    clear = json.dumps({**alert, "status": "CLEARED"}).encode()
    incident = (await gateway.send(alert)).json()["incident"]
    headers = signed(clear, SECRET, f"evt-{next(_numbers)}")
    await gateway.http.post("/webhooks/arize", content=clear, headers=headers)
    await until_closed(gateway, incident)
    await asyncio.sleep(1.1 - time.time() % 1)  # the next signature has another second
    assert (await gateway.send(alert)).json()["state"] == "started"
    forged = {**headers, "X-Arize-Webhook-Id": "evt-forged"}
    answer = await gateway.http.post("/webhooks/arize", content=clear, headers=forged)
    assert answer.status_code == 401
    one = await gateway.until(incident, lambda one: one["state"] == "notified")
    assert one["alert_count"] == 1


async def test_copy_does_not_take_the_next_id(gateway: GatewayHarness) -> None:
    """The id is not signed: a copy under an id that is guessed must not make that id's own alert a redelivery."""
    body = json.dumps(gateway.alert()).encode()
    headers = signed(body, SECRET, f"evt-{next(_numbers)}")
    incident = (await gateway.http.post("/webhooks/arize", content=body, headers=headers)).json()["incident"]
    await gateway.http.post("/webhooks/arize", content=body, headers={**headers, "X-Arize-Webhook-Id": "evt-next"})
    await gateway.until(incident, lambda one: one["alert_count"] == 2)
    await asyncio.sleep(1.1 - time.time() % 1)  # the next signature has another second
    genuine = signed(body, SECRET, "evt-next")
    assert (await gateway.http.post("/webhooks/arize", content=body, headers=genuine)).json()["state"] == "joined"
    await gateway.until(incident, lambda one: one["alert_count"] == 3)


async def test_copy_of_a_signed_change_is_not_recorded(gateway: GatewayHarness) -> None:
    title = f"prompt {next(_numbers)}"
    body = json.dumps({"event": "prompt.version.created", "name": title, "version": 7}).encode()
    headers = signed(body, SECRET, f"evt-{next(_numbers)}")
    for changes in ({}, {}, {"X-Arize-Webhook-Id": "evt-other"}, {"X-Arize-Webhook-Event": "webhook.test"}):
        answer = await gateway.http.post("/webhooks/arize", content=body, headers={**headers, **changes})
        assert (answer.status_code, answer.json()["state"]) == (202, "recorded")
    listed = (await gateway.call("GET", "/api/changes")).json()["changes"]
    assert sum(title in one["title"] for one in listed) == 1


async def test_local_time_is_not_older_than_a_clear_in_utc(gateway: GatewayHarness) -> None:
    """The template states New York's time; the clear was read from Arize. The next fire happens within five hours."""
    now = datetime.now(UTC)

    def local(minutes: int) -> str:
        return f"{now - timedelta(hours=5, minutes=minutes):%Y-%m-%d %H:%M:%S}"

    alert = gateway.alert()
    ((incident, _),) = await send(gateway, {**alert, "evaluated_at": local(30)})
    await send(gateway, {**alert, "status": "CLEARED", "evaluated_at": (now - timedelta(minutes=20)).isoformat()})
    await until_closed(gateway, incident)
    assert await send(gateway, {**alert, "evaluated_at": local(10), "metric_value": 0.9}) == [(incident, "started")]
    await send(gateway, {**alert, "status": "CLEARED", "evaluated_at": local(5)})
    await until_closed(gateway, incident)
    older = {**alert, "evaluated_at": local(70), "metric_value": 0.8}
    assert await send(gateway, older) == [(incident, "recorded")], "local times compare with each other"


@pytest.mark.parametrize("stated", ["2026-11-27T10:05:02Z", "2026-11-27T00:00:00Z", "2012-12-21T00:00:00Z", None])
async def test_key_of_an_event_does_not_depend_on_its_arrival(stated: str | None) -> None:
    """A time may become plausible, or stop being so, between two deliveries of the same bytes."""
    alert = normalise({"monitor_name": "m", "metric_value": 0.3, "triggered_at": stated})
    arrivals = [datetime(2026, 11, 27, 10, 0, tzinfo=UTC) + timedelta(hours=hours) for hours in (-9.9, 0, 1, 300)]
    assert len({event_keys(alert, "evt-1", "", at).id for at in arrivals}) == 1


async def test_redelivery_of_an_evaluation_leaves_a_regulated_incident_cleared(gateway: GatewayHarness) -> None:
    now = datetime.now(UTC)
    alert = gateway.alert(model="regulated-model", evaluated_at=(now - timedelta(minutes=2)).isoformat())
    ((incident, _),) = await send(gateway, alert)
    await send(gateway, {**alert, "status": "CLEARED", "evaluated_at": now.isoformat()})
    await gateway.until(incident, lambda one: one["state"] == "awaiting_human")
    assert await send(gateway, alert) == [(incident, "joined")]
    one = await gateway.until(incident, lambda one: "older_alert" in [entry["event"] for entry in one["timeline"]])
    assert (one["state"], one["refire_count"]) == ("awaiting_human", 0)
