"""``POST /webhooks/pagerduty``: V3 callbacks become responder actions, and nothing else does."""

from typing import Any

import httpx
import pytest

from integrations.base.callback import ParsedCallback
from integrations.pagerduty.callback import parse
from tests.gateway.conftest import PAGERDUTY_SECRET, GatewayHarness
from tests.vendors import PagerDuty

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def post(gateway: GatewayHarness, payload: dict[str, Any], *secrets: str) -> httpx.Response:
    content, headers = PagerDuty.sign(payload, *(secrets or (PAGERDUTY_SECRET,)))
    return await gateway.http.post("/webhooks/pagerduty", content=content, headers=headers)


async def key_of(gateway: GatewayHarness, incident: str) -> str:
    one = (await gateway.call("GET", f"/api/incidents/{incident}")).json()
    return f"{incident}.{one['first_run_id'][-8:]}"


@pytest.mark.parametrize("suffix", ["", "/1-step-2-term"])
async def test_acknowledgement_carries_responder_name(gateway: GatewayHarness, suffix: str) -> None:
    incident = await gateway.open()
    payload = PagerDuty.callback("incident.acknowledged", await key_of(gateway, incident) + suffix, "Alice Example")
    answer = await post(gateway, payload)
    assert (answer.status_code, answer.json()["state"]) == (202, "accepted")
    one = await gateway.until(incident, lambda one: one["state"] == "acknowledged")
    assert one["acknowledged_by"] == "Alice Example"
    again = await post(gateway, payload)
    assert again.status_code == 202


async def test_pagerduty_resolve_closes_incident(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    await post(gateway, PagerDuty.callback("incident.resolved", await key_of(gateway, incident)))
    one = await gateway.until(incident, lambda one: one["state"] == "closed")
    assert one["resolved_by"] == "Alice Example"


async def test_pagerduty_resolve_leaves_regulated_incident_open(gateway: GatewayHarness) -> None:
    incident = await gateway.open(model="regulated-model")
    await post(gateway, PagerDuty.callback("incident.resolved", await key_of(gateway, incident)))
    one = await gateway.until(incident, lambda one: one["state"] == "awaiting_human")
    assert one["regulated"] is True


async def test_any_of_several_signatures_is_accepted(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    payload = PagerDuty.callback("incident.acknowledged", await key_of(gateway, incident))
    assert (await post(gateway, payload, "unknown", "pagerduty-old")).status_code == 202


@pytest.mark.parametrize("header", ["", "v1=" + "0" * 64, "v2=abc", "v1=,v1=", "v1=é"])
async def test_wrong_signature_is_refused(gateway: GatewayHarness, header: str) -> None:
    content, _ = PagerDuty.sign(PagerDuty.callback("incident.acknowledged", "incident-x-1.00000000"), "x")
    headers = [(b"X-PagerDuty-Signature", header.encode())] if header else []
    answer = await gateway.http.post("/webhooks/pagerduty", content=content, headers=headers)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "key", ["", None, 7, "somebody-elses", "incident-x-1", "incident-no-such-one-0123456789ab.01234567"]
)
async def test_foreign_key_is_ignored(gateway: GatewayHarness, key: Any) -> None:
    answer = await post(gateway, PagerDuty.callback("incident.acknowledged", key))
    assert (answer.status_code, answer.json()["state"]) == (200, "ignored")


@pytest.mark.parametrize("payload", [{}, {"event": None}, {"event": {"data": []}}, {"event": {"data": {}}}])
async def test_unknown_payload_is_ignored(gateway: GatewayHarness, payload: dict[str, Any]) -> None:
    assert (await post(gateway, payload)).status_code == 200


async def test_ping_is_answered(gateway: GatewayHarness) -> None:
    answer = await post(gateway, PagerDuty.callback("pagey.ping", "incident-x-1.00000000"))
    assert (answer.status_code, answer.json()["reason"]) == (200, "it changes nothing")


async def test_action_for_closed_incident_is_ignored(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    key = await key_of(gateway, incident)
    await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={})
    await gateway.until(incident, lambda one: one["state"] == "closed")
    answer = await post(gateway, PagerDuty.callback("incident.acknowledged", key))
    assert (answer.status_code, answer.json()["reason"]) == (200, "the incident is closed")


async def test_callback_without_person_has_no_name() -> None:
    key = "incident-chatbot-0123456789ab.01234567"
    parsed = parse(PagerDuty.callback("incident.resolved", key, "Auto-resolver", person=False))
    assert isinstance(parsed, ParsedCallback)
    assert parsed.action is not None
    assert (parsed.dedup_key, parsed.action.by, parsed.action.role) == (key, "", "")
