"""``/api/incidents``: reading and acting, each with its role."""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus
from importlib.metadata import version

import pytest

from tests.gateway.conftest import GatewayHarness

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("token", ["", "wrong", "v-toke", "v-token x"])
async def test_request_without_token_is_refused(gateway: GatewayHarness, token: str) -> None:
    answer = await gateway.call("GET", "/api/incidents", token)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_incident_has_every_documented_field(gateway: GatewayHarness) -> None:
    incident = await gateway.open(region="eu-west-1")
    one = (await gateway.call("GET", f"/api/incidents/{incident}")).json()
    assert (one["id"], one["state"], one["tier"], one["rule"]) == (incident, "notified", "critical", "all")
    assert (one["model"], one["environment"], one["team"], one["regulated"]) == (
        "plain-model",
        "production",
        "ops",
        False,
    )
    assert (one["escalation_level"], one["alert_count"], one["acknowledged_by"]) == (1, 1, "")
    assert one["opened_at"]
    assert one["decision"]["trace"][0]["matched"] is True
    assert one["receipts"][0]["destination"] == "term"
    assert [entry["event"] for entry in one["timeline"]] == ["received", "classified", "notified"]
    assert one["temporal_url"].startswith("http://127.0.0.1:8233/namespaces/default/workflows/" + incident)
    assert one["headline"].startswith("CRITICAL plain-model error_rate 30 %")


async def test_list_is_filtered(gateway: GatewayHarness) -> None:
    mine = await gateway.open(model="regulated-model")
    await gateway.open()
    for query, fits in [
        ({"model": "regulated-model"}, True),
        ({"team": "risk"}, True),
        ({"state": "notified"}, True),
        ({"tier": "critical", "state": "notified", "team": "risk"}, True),
        ({"tier": "low"}, False),
        ({"state": "closed"}, False),
        ({"model": "' OR 1=1"}, False),
    ]:

        async def listed(query: dict[str, str] = query) -> list[str]:
            answer = await gateway.call("GET", "/api/incidents", params={**query, "limit": "200"})
            assert answer.status_code == 200, answer.text
            return [one["id"] for one in answer.json()["incidents"]]

        async with asyncio.timeout(60):  # lists follow the histories with a delay
            while (mine in await listed()) != fits:
                await asyncio.sleep(0.05)


async def test_list_is_paged(gateway: GatewayHarness) -> None:
    for _ in range(3):
        await gateway.open()
    seen: list[str] = []
    cursor = ""
    while True:
        answer = (await gateway.call("GET", "/api/incidents", params={"limit": "2", "cursor": cursor})).json()
        seen += [one["first_run_id"] for one in answer["incidents"]]
        cursor = answer["next"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) >= 3


@pytest.mark.parametrize("cursor", ["%%%", "abc", "AAAA", "é"])
async def test_invalid_cursor_is_refused(gateway: GatewayHarness, cursor: str) -> None:
    answer = await gateway.call("GET", "/api/incidents", params={"cursor": cursor})
    assert answer.status_code in {400, 422}


async def test_action_needs_responder_role(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    for verb in ("acknowledge", "resolve", "annotate"):
        answer = await gateway.call("POST", f"/api/incidents/{incident}/{verb}", "v-token", json={"note": "x"})
        assert (answer.status_code, "needs the role responder" in answer.json()["detail"]) == (403, True)


async def test_acknowledge_annotate_and_resolve(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    path = f"/api/incidents/{incident}"
    acked = await gateway.call("POST", f"{path}/acknowledge", "r-token", json={"by": "Rosa Example"})
    assert (acked.status_code, acked.json()["state"], acked.json()["acknowledged_by"]) == (
        200,
        "acknowledged",
        "Rosa Example",
    )
    noted = await gateway.call("POST", f"{path}/annotate", "r-token", json={"note": "rolled back"})
    notes = [(one["text"], one["by"]) for one in noted.json()["timeline"] if one["event"] == "annotated"]
    assert notes == [("rolled back", "rosa")], "the token's name is the default"
    resolved = await gateway.call("POST", f"{path}/resolve", "r-token", json={"by": "Rosa Example"})
    assert (resolved.status_code, resolved.json()["resolved_by"]) == (200, "Rosa Example")
    await gateway.until(incident, lambda one: one["state"] == "closed")
    late = await gateway.call("POST", f"{path}/acknowledge", "r-token", json={})
    assert (late.status_code, late.json()["detail"]) == (409, "it is closed already")


async def test_regulated_incident_needs_compliance_role(gateway: GatewayHarness) -> None:
    incident = await gateway.open(model="regulated-model")
    path = f"/api/incidents/{incident}/resolve"
    refused = await gateway.call("POST", path, "r-token", json={"by": "rosa"})
    assert (refused.status_code, "only a person with the role compliance" in refused.json()["detail"]) == (403, True)
    assert (await gateway.call("POST", path, "c-token", json={"by": "carl"})).status_code == 200
    await gateway.until(incident, lambda one: one["state"] == "closed")


async def test_empty_note_is_refused(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    answer = await gateway.call("POST", f"/api/incidents/{incident}/annotate", "r-token", json={"note": " "})
    assert answer.status_code == 422


async def test_unknown_incident_and_unknown_field(gateway: GatewayHarness) -> None:
    missing = "/api/incidents/incident-none-000000000000"
    assert (await gateway.call("GET", missing)).status_code == 404
    assert (await gateway.call("POST", f"{missing}/acknowledge", "r-token", json={})).status_code == 404
    assert (await gateway.call("GET", "/api/incidents/tocsin-worker")).status_code == 422
    incident = await gateway.open()
    answer = await gateway.call("POST", f"/api/incidents/{incident}/acknowledge", "r-token", json={"who": "x"})
    assert (answer.status_code, answer.json()["reasons"][0].startswith("body.who")) == (422, True)


async def test_health_readiness_and_metrics(gateway: GatewayHarness) -> None:
    assert (await gateway.http.get("/healthz")).json() == {"status": "alive"}
    ready = (await gateway.http.get("/readyz")).json()
    assert (ready["ready"], ready["temporal"], ready["dedup_store"]) == (True, "ok", "ok")
    assert ready["policy"] == gateway.settings().policy()
    await gateway.send(b"{}")
    figures = (await gateway.http.get("/metrics")).text
    assert 'tocsin_alerts_total{outcome="refused"}' in figures
    assert "tocsin_ingest_duration_seconds_bucket" in figures
    assert "tocsin_dedup_store_up 1.0" in figures
    assert f'tocsin_build_info{{version="{version("tocsin")}"}} 1.0' in figures


async def test_framework_errors_are_problems(gateway: GatewayHarness) -> None:
    for method, path, status in [("GET", "/nowhere", 404), ("GET", "/webhooks/arize", 405)]:
        answer = await gateway.http.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json()["status"] == status
        assert answer.json()["title"] == HTTPStatus(status).phrase


async def test_oversized_body_is_refused(gateway: GatewayHarness) -> None:
    sent = 0

    async def endless() -> AsyncGenerator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b"x" * 65_536

    answer = await gateway.http.post("/api/drills", content=endless(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert sent < 1_000_000
