"""``POST /webhooks/arize``: who may send, what is taken, and that nothing is started twice."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from gateway.app import create_app
from gateway.settings import GatewaySettings, UnauthenticatedError
from gateway.signatures import check_arize
from tests.gateway.conftest import OLD_SECRET, SECRET, TOKEN, House
from worker.cli_send import signed

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_published_algorithm() -> None:
    """A vector computed apart from this code: HMAC-SHA256 of ``<timestamp>.<body>`` under the whole secret."""
    headers = {
        "x-arize-webhook-timestamp": "1795464000",
        "x-arize-webhook-signature": "v1=8111d5422738d4ac14e0723aedd62461216b9254f0d020b2f07b2834b83b3c50",
    }
    secrets = ("whsec_test_0123456789abcdef",)
    assert check_arize(headers, b'{"hello":"arize"}', secrets, (), 1795464299) is None
    assert check_arize(headers, b'{"hello":"arize"}', secrets, (), 1795464301)
    assert check_arize(headers, b'{"hello":"arize"}', secrets, (), 1795463699)
    assert check_arize(headers, b'{"hello":"arize!"}', secrets, (), 1795464000)


async def test_a_signed_alert_starts_an_incident_and_a_repeat_joins_it(house: House) -> None:
    alert = house.alert()
    first = await house.send(alert)
    assert (first.status_code, first.json()["state"]) == (202, "started")
    second = await house.send({**alert, "metric_value": 0.4})
    assert (second.status_code, second.json()["state"]) == (202, "joined")
    assert second.json()["incident"] == first.json()["incident"]


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
async def test_every_secret_in_rotation_is_good(house: House, secret: str) -> None:
    assert (await house.send(house.alert(), secret=secret)).status_code == 202


@pytest.mark.parametrize("authorization", [TOKEN, f"Bearer {TOKEN}"])
async def test_a_bearer_token_is_good(house: House, authorization: str) -> None:
    headers = {"Authorization": authorization}
    answer = await house.http.post("/webhooks/arize", json=house.alert(), headers=headers)
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X-Arize-Webhook-Signature": None}, "neither X-Arize-Webhook-Signature nor Authorization"),
        ({"X-Arize-Webhook-Signature": "v1=" + "0" * 64}, "the signature does not fit"),
        ({"X-Arize-Webhook-Signature": "v2=abc"}, "the signature does not fit"),
        ({"X-Arize-Webhook-Signature": "v1=é"}, "the signature does not fit"),
        ({"X-Arize-Webhook-Timestamp": "1795464000"}, "the signature does not fit"),
        ({"X-Arize-Webhook-Timestamp": None}, "missing or not in Unix seconds"),
        ({"X-Arize-Webhook-Timestamp": "²"}, "missing or not in Unix seconds"),
        ({"X-Arize-Webhook-Signature": None, "Authorization": "Bearer no"}, "not one of ARIZE_WEBHOOK_TOKEN"),
        ({"X-Arize-Webhook-Signature": None, "Authorization": "Bearer "}, "not one of ARIZE_WEBHOOK_TOKEN"),
        ({"secret": "whsec_wrong"}, "the signature does not fit"),
    ],
)
async def test_what_is_not_authentic_is_refused(house: House, headers: dict[str, Any], said: str) -> None:
    encoded = {key: value.encode("utf-8") if key != "secret" and value else value for key, value in headers.items()}
    answer = await house.send(house.alert(), **encoded)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]


async def test_an_old_signature_is_refused(house: House) -> None:
    import hashlib
    import hmac

    body = json.dumps(house.alert()).encode()
    stamp = str(int(time.time()) - 301)
    digest = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"X-Arize-Webhook-Timestamp": stamp, "X-Arize-Webhook-Signature": f"v1={digest}"}
    answer = await house.http.post("/webhooks/arize", content=body, headers=headers)
    assert (answer.status_code, "s off; at most 300 s" in answer.json()["detail"]) == (401, True)


async def test_a_redelivery_starts_nothing_and_counts_nothing(house: House) -> None:
    alert = house.alert()
    first = await house.send(alert, event_id="evt-redelivered")
    again = [await house.send(alert, event_id="evt-redelivered") for _ in range(3)]
    assert first.json()["state"] == "started"
    assert {answer.json()["state"] for answer in again} == {"joined"}
    one = await house.until(first.json()["incident"], lambda one: one["state"] == "notified")
    assert one["alerts"] == 1


async def test_a_redelivery_after_the_close_and_a_restart_opens_nothing(house: House) -> None:
    alert = house.alert()
    incident = (await house.send(alert, event_id="evt-late")).json()["incident"]
    await house.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={"by": "rosa"})
    await house.until(incident, lambda one: one["state"] == "closed")
    restarted = create_app(house.settings(), house.client)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(restarted), base_url="http://x") as http:
        body = json.dumps(alert).encode()
        answer = await http.post("/webhooks/arize", content=body, headers=signed(body, SECRET, "evt-late"))
    assert (answer.status_code, answer.json()["state"]) == (202, "joined")
    assert (await house.until(incident, lambda one: one))["state"] == "closed"


async def test_the_same_signed_bytes_under_another_id_open_nothing(house: House) -> None:
    """The id is not among what is signed: without this, whoever saw one delivery could page with it again."""
    body = json.dumps(house.alert()).encode()
    headers = signed(body, SECRET, "evt-original")
    first = await house.http.post("/webhooks/arize", content=body, headers=headers)
    incident = first.json()["incident"]
    await house.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={})
    await house.until(incident, lambda one: one["state"] == "closed")
    replayed = {**headers, "X-Arize-Webhook-Id": "evt-forged"}
    answer = await house.http.post("/webhooks/arize", content=body, headers=replayed)
    assert (answer.status_code, "came before" in answer.json()["detail"]) == (401, True)


async def test_two_hundred_at_once_are_one_incident(house: House) -> None:
    alert = house.alert()
    answers = await asyncio.gather(*(house.send(alert) for _ in range(200)))
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(answer.json()["state"] for answer in answers) == ["joined"] * 199 + ["started"]
    incident = answers[0].json()["incident"]
    one = await house.until(incident, lambda one: one["alerts"] == 200 and one["receipts"])
    assert sum(entry["what"] == "notified" for entry in one["timeline"]) == 1


async def test_cleared_with_nothing_open_is_recorded(house: House) -> None:
    answer = await house.send(house.alert(status="CLEARED"))
    assert (answer.status_code, answer.json()["state"]) == (202, "recorded")


async def test_cleared_resolves(house: House) -> None:
    alert = house.alert()
    incident = (await house.send(alert)).json()["incident"]
    await house.until(incident, lambda one: one["state"] == "notified")
    assert (await house.send({**alert, "status": "CLEARED"})).json()["state"] == "joined"
    one = await house.until(incident, lambda one: one["state"] == "closed")
    assert one["resolved_by"] == "arize"


async def test_an_evaluation_told_twice_without_ids_opens_once(house: House) -> None:
    """BEARER webhooks of a user's template carry no event id; the time of evaluation tells a redelivery."""
    alert = house.alert(triggered_at=datetime.now(UTC).isoformat())
    headers = {"Authorization": TOKEN}
    incident = (await house.http.post("/webhooks/arize", json=alert, headers=headers)).json()["incident"]
    await house.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={})
    await house.until(incident, lambda one: one["state"] == "closed")
    again = await house.http.post("/webhooks/arize", json=alert, headers=headers)
    assert again.json()["state"] == "recorded"
    newer = {**alert, "triggered_at": datetime.now(UTC).isoformat()}
    assert (await house.http.post("/webhooks/arize", json=newer, headers=headers)).json()["state"] == "started"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not JSON"),
        (b"{", 400, "not JSON"),
        (b"\xff", 400, "not UTF-8"),
        (b'{"monitor_name": NaN}', 400, "NaN"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, 400, "nested deeper than 32"),
        (b"{}", 422, "there is no alert in this body"),
        (b'{"monitor_name": ""}', 422, "there is no alert in this body"),
        (b'{"x": "' + b"y" * 262_144 + b'"}', 413, "at most 262,144 bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_what_cannot_be_taken_says_why(house: House, body: bytes, status: int, said: str) -> None:
    answer = await house.send(body)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert said in answer.json()["detail"]
    if status == 422:
        assert any("monitor_name" in reason for reason in answer.json()["reasons"])


@pytest.mark.parametrize("event", ["prompt.version.created", "evaluator.version.created", "webhook.test"])
async def test_a_change_is_no_alert(house: House, event: str) -> None:
    body = {"event": event, "prompt": {"name": "support"}, "name": "support", "model": "plain-model"}
    for headers in ({"X-Arize-Webhook-Event": event}, {}):
        answer = await house.send(body, **headers)
        assert (answer.status_code, answer.json()) == (202, {"incident": "", "state": "recorded"})


async def test_a_judge_that_stopped_is_an_alert(house: House) -> None:
    body = {
        "task": {"id": "T1", "name": "toxicity judge"},
        "project": {"name": "plain-model"},
        "error_type": "rate_limit",
    }
    answer = await house.send(body, **{"X-Arize-Webhook-Event": "online_task.run.failed"})
    assert answer.json()["state"] == "started"
    one = await house.until(answer.json()["incident"], lambda one: one["state"] == "notified")
    assert (one["alert"]["monitor"], one["alert"]["kind"], one["model"]) == (
        "toxicity judge",
        "evaluation",
        "plain-model",
    )


async def test_a_body_without_an_end_is_cut_off(house: House) -> None:
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b"x" * 65_536

    answer = await house.http.post("/webhooks/arize", content=endless())
    assert answer.status_code == 413
    assert sent < 1_000_000


async def test_without_temporal_it_is_kept_and_without_room_nothing_is_promised(house: House) -> None:
    from temporalio.client import Client
    from temporalio.contrib.pydantic import pydantic_data_converter

    away = await Client.connect("127.0.0.1:9", lazy=True, data_converter=pydantic_data_converter)
    app = create_app(house.settings(spool_limit=4_000), away)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:

        async def send() -> httpx.Response:
            return await http.post("/webhooks/arize", json=house.alert(), headers={"Authorization": TOKEN})

        kept = 0
        while (answer := await send()).status_code == 202:
            assert answer.json()["state"] == "spooled"
            kept += 1
        ready = await http.get("/readyz")
        assert ready.status_code == 200, "one that is small enough is still taken"
        assert ready.json()["spooled"]["items"] == kept >= 2
        assert 0 < ready.json()["spooled"]["bytes"] <= ready.json()["spooled"]["limit"] == 4_000
        assert "connect error" in ready.json()["temporal"]
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "the spool is full" in answer.json()["detail"]
        figures = (await http.get("/metrics")).text
        assert f"tocsin_spool_items {kept}.0" in figures
        assert "tocsin_spool_oldest_seconds" in figures
        assert (await http.get("/healthz")).status_code == 200


async def test_it_does_not_start_open_to_anyone(house: House) -> None:
    with pytest.raises(UnauthenticatedError, match=r"ARIZE_WEBHOOK_SECRET or ARIZE_WEBHOOK_TOKEN.*--insecure"):
        house.settings(arize_secrets=(), arize_tokens=())
    insecure: GatewaySettings = house.settings(arize_secrets=(), arize_tokens=(), insecure=True)
    app = create_app(insecure, house.client)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
        assert (await http.post("/webhooks/arize", json=house.alert())).status_code == 202


async def test_secrets_do_not_show_in_what_is_printed(house: House) -> None:
    shown = repr(house.settings())
    assert SECRET not in shown
    assert TOKEN not in shown
    assert "r-token" not in shown
