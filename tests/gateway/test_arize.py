"""``POST /webhooks/arize``: authentication, what is accepted, and that no alert starts two incidents."""

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
from integrations.arize.webhook import check_arize
from tests.gateway.conftest import OLD_SECRET, SECRET, TOKEN, GatewayHarness
from tests.signing import signed

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_signature_follows_arize_contract() -> None:
    """A vector computed independently: HMAC-SHA256 of ``<timestamp>.<body>`` with the whole secret."""
    headers = {
        "x-arize-webhook-timestamp": "1795464000",
        "x-arize-webhook-signature": "v1=8111d5422738d4ac14e0723aedd62461216b9254f0d020b2f07b2834b83b3c50",
    }
    secrets = ("whsec_test_0123456789abcdef",)
    assert check_arize(headers, b'{"hello":"arize"}', secrets, (), 1795464299) is None
    assert check_arize(headers, b'{"hello":"arize"}', secrets, (), 1795464301)
    assert check_arize(headers, b'{"hello":"arize"}', secrets, (), 1795463699)
    assert check_arize(headers, b'{"hello":"arize!"}', secrets, (), 1795464000)


async def test_alert_starts_incident_and_repeat_joins(gateway: GatewayHarness) -> None:
    alert = gateway.alert()
    first = await gateway.send(alert)
    assert (first.status_code, first.json()["state"]) == (202, "started")
    second = await gateway.send({**alert, "metric_value": 0.4})
    assert (second.status_code, second.json()["state"]) == (202, "joined")
    assert second.json()["incident"] == first.json()["incident"]


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
async def test_every_secret_in_rotation_is_accepted(gateway: GatewayHarness, secret: str) -> None:
    assert (await gateway.send(gateway.alert(), secret=secret)).status_code == 202


@pytest.mark.parametrize("authorization", [TOKEN, f"Bearer {TOKEN}"])
async def test_bearer_token_is_accepted(gateway: GatewayHarness, authorization: str) -> None:
    headers = {"Authorization": authorization}
    answer = await gateway.http.post("/webhooks/arize", json=gateway.alert(), headers=headers)
    assert answer.status_code == 202


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"X-Arize-Webhook-Signature": None}, "X-Arize-Webhook-Signature and Authorization are both missing"),
        ({"X-Arize-Webhook-Signature": "v1=" + "0" * 64}, "the signature does not match"),
        ({"X-Arize-Webhook-Signature": "v2=abc"}, "the signature does not match"),
        ({"X-Arize-Webhook-Signature": "v1=é"}, "the signature does not match"),
        ({"X-Arize-Webhook-Timestamp": "1795464000"}, "the signature does not match"),
        ({"X-Arize-Webhook-Timestamp": None}, "missing or is not in Unix seconds"),
        ({"X-Arize-Webhook-Timestamp": "²"}, "missing or is not in Unix seconds"),
        ({"X-Arize-Webhook-Signature": None, "Authorization": "Bearer no"}, "not one of ARIZE_WEBHOOK_TOKEN"),
        ({"X-Arize-Webhook-Signature": None, "Authorization": "Bearer "}, "not one of ARIZE_WEBHOOK_TOKEN"),
        ({"secret": "whsec_wrong"}, "the signature does not match"),
    ],
)
async def test_unauthentic_alert_is_refused(gateway: GatewayHarness, headers: dict[str, Any], detail: str) -> None:
    encoded = {key: value.encode("utf-8") if key != "secret" and value else value for key, value in headers.items()}
    answer = await gateway.send(gateway.alert(), **encoded)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert detail in answer.json()["detail"]


async def test_old_signature_is_refused(gateway: GatewayHarness) -> None:
    import hashlib
    import hmac

    body = json.dumps(gateway.alert()).encode()
    stamp = str(int(time.time()) - 301)
    digest = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"X-Arize-Webhook-Timestamp": stamp, "X-Arize-Webhook-Signature": f"v1={digest}"}
    answer = await gateway.http.post("/webhooks/arize", content=body, headers=headers)
    assert (answer.status_code, "at most 300 s may" in answer.json()["detail"]) == (401, True)


async def test_redelivery_is_not_counted(gateway: GatewayHarness) -> None:
    alert = gateway.alert()
    first = await gateway.send(alert, event_id="evt-redelivered")
    again = [await gateway.send(alert, event_id="evt-redelivered") for _ in range(3)]
    assert first.json()["state"] == "started"
    assert {answer.json()["state"] for answer in again} == {"joined"}
    one = await gateway.until(first.json()["incident"], lambda one: one["state"] == "notified")
    assert one["alert_count"] == 1


async def test_redelivery_after_close_and_restart_opens_nothing(gateway: GatewayHarness) -> None:
    alert = gateway.alert()
    incident = (await gateway.send(alert, event_id="evt-late")).json()["incident"]
    await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={"by": "rosa"})
    await gateway.until(incident, lambda one: one["state"] == "closed")
    restarted = create_app(gateway.settings(), gateway.client)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(restarted), base_url="http://x") as http:
        body = json.dumps(alert).encode()
        answer = await http.post("/webhooks/arize", content=body, headers=signed(body, SECRET, "evt-late"))
    assert (answer.status_code, answer.json()["state"]) == (202, "joined")
    assert (await gateway.until(incident, lambda one: one))["state"] == "closed"


async def test_replayed_signature_opens_nothing(gateway: GatewayHarness) -> None:
    """The event id is not signed: a captured delivery could otherwise page again under another id."""
    body = json.dumps(gateway.alert()).encode()
    headers = signed(body, SECRET, "evt-original")
    first = await gateway.http.post("/webhooks/arize", content=body, headers=headers)
    incident = first.json()["incident"]
    await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={})
    await gateway.until(incident, lambda one: one["state"] == "closed")
    replayed = {**headers, "X-Arize-Webhook-Id": "evt-forged"}
    answer = await gateway.http.post("/webhooks/arize", content=body, headers=replayed)
    assert (answer.status_code, "came before" in answer.json()["detail"]) == (401, True)
    assert answer.json()["code"] == "replayed_signature"


async def test_concurrent_repeats_are_one_incident(gateway: GatewayHarness) -> None:
    alert = gateway.alert()
    answers = await asyncio.gather(*(gateway.send(alert) for _ in range(200)))
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(answer.json()["state"] for answer in answers) == ["joined"] * 199 + ["started"]
    incident = answers[0].json()["incident"]
    one = await gateway.until(incident, lambda one: one["alert_count"] == 200 and one["receipts"])
    assert sum(entry["event"] == "notified" for entry in one["timeline"]) == 1


async def test_cleared_without_open_incident_is_recorded(gateway: GatewayHarness) -> None:
    answer = await gateway.send(gateway.alert(status="CLEARED"))
    assert (answer.status_code, answer.json()["state"]) == (202, "recorded")


async def test_cleared_resolves_incident(gateway: GatewayHarness) -> None:
    alert = gateway.alert()
    incident = (await gateway.send(alert)).json()["incident"]
    await gateway.until(incident, lambda one: one["state"] == "notified")
    assert (await gateway.send({**alert, "status": "CLEARED"})).json()["state"] == "joined"
    one = await gateway.until(incident, lambda one: one["state"] == "closed")
    assert one["resolved_by"] == "arize"


async def test_repeated_evaluation_without_id_opens_once(gateway: GatewayHarness) -> None:
    """Webhooks from a user's template have no event id; the time of evaluation identifies a redelivery."""
    alert = gateway.alert(triggered_at=datetime.now(UTC).isoformat())
    headers = {"Authorization": TOKEN}
    incident = (await gateway.http.post("/webhooks/arize", json=alert, headers=headers)).json()["incident"]
    await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={})
    await gateway.until(incident, lambda one: one["state"] == "closed")
    again = await gateway.http.post("/webhooks/arize", json=alert, headers=headers)
    assert again.json()["state"] == "recorded"
    newer = {**alert, "triggered_at": datetime.now(UTC).isoformat()}
    assert (await gateway.http.post("/webhooks/arize", json=newer, headers=headers)).json()["state"] == "started"


async def test_body_over_limit_is_explained(gateway: GatewayHarness) -> None:
    answer = await gateway.send(b'{"x": "' + b"y" * 262_144 + b'"}')
    assert (answer.status_code, answer.json()["status"]) == (413, 413)
    assert "at most 262,144 bytes" in answer.json()["detail"]


@pytest.mark.parametrize("event", ["prompt.version.created", "evaluator.version.created", "webhook.test"])
async def test_change_event_is_recorded(gateway: GatewayHarness, event: str) -> None:
    body = {"event": event, "prompt": {"name": "support"}, "name": "support", "model": "plain-model"}
    for headers in ({"X-Arize-Webhook-Event": event}, {}):
        answer = await gateway.send(body, **headers)
        assert (answer.status_code, answer.json()) == (202, {"incident": "", "state": "recorded"})


async def test_failed_evaluation_task_is_an_alert(gateway: GatewayHarness) -> None:
    body = {
        "task": {"id": "T1", "name": "toxicity judge"},
        "project": {"name": "plain-model"},
        "error_type": "rate_limit",
    }
    answer = await gateway.send(body, **{"X-Arize-Webhook-Event": "online_task.run.failed"})
    assert answer.json()["state"] == "started"
    one = await gateway.until(answer.json()["incident"], lambda one: one["state"] == "notified")
    assert (one["alert"]["monitor"], one["alert"]["kind"], one["model"]) == (
        "toxicity judge",
        "evaluation",
        "plain-model",
    )


async def test_endless_body_is_cut_off(gateway: GatewayHarness) -> None:
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b"x" * 65_536

    answer = await gateway.http.post("/webhooks/arize", content=endless())
    assert answer.status_code == 413
    assert sent < 1_000_000


async def test_alert_is_spooled_until_spool_is_full(gateway: GatewayHarness) -> None:
    from temporalio.client import Client
    from temporalio.contrib.pydantic import pydantic_data_converter

    unavailable = await Client.connect("127.0.0.1:9", lazy=True, data_converter=pydantic_data_converter)
    app = create_app(gateway.settings(spool_limit=4_000), unavailable)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:

        async def send() -> httpx.Response:
            return await http.post("/webhooks/arize", json=gateway.alert(), headers={"Authorization": TOKEN})

        spooled = 0
        while (answer := await send()).status_code == 202:
            assert answer.json()["state"] == "spooled"
            spooled += 1
        ready = await http.get("/readyz", headers={"Authorization": "Bearer v-token"})
        assert ready.status_code == 200, "a small alert still fits"
        assert ready.json()["spooled"]["items"] == spooled >= 2
        assert 0 < ready.json()["spooled"]["bytes"] <= ready.json()["spooled"]["limit"] == 4_000
        assert "connect error" in ready.json()["temporal"]
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert "the spool is full" in answer.json()["detail"]
        figures = (await http.get("/metrics", headers={"Authorization": "Bearer v-token"})).text
        assert f"tocsin_spool_items {spooled}.0" in figures
        assert "tocsin_spool_oldest_age_seconds" in figures
        assert (await http.get("/healthz")).status_code == 200


async def test_start_without_secrets_is_refused(gateway: GatewayHarness) -> None:
    with pytest.raises(UnauthenticatedError, match=r"ARIZE_WEBHOOK_SECRET or ARIZE_WEBHOOK_TOKEN.*--insecure"):
        gateway.settings(arize_secrets=(), arize_tokens=())
    insecure: GatewaySettings = gateway.settings(arize_secrets=(), arize_tokens=(), insecure=True)
    app = create_app(insecure, gateway.client)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
        assert (await http.post("/webhooks/arize", json=gateway.alert())).status_code == 202


async def test_settings_repr_shows_no_secret(gateway: GatewayHarness) -> None:
    shown = repr(gateway.settings())
    assert SECRET not in shown
    assert TOKEN not in shown
    assert "r-token" not in shown
