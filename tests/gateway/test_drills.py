"""Fire drills: they take the way of a real alert, are marked as drills, and are not counted as alerts."""

import httpx
import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from gateway.app import create_app
from gateway.metrics import ALERTS
from tests.gateway.conftest import GatewayHarness

pytestmark = pytest.mark.asyncio(loop_scope="session")


def alerts_counted() -> float:
    return sum(
        sample.value for metric in ALERTS.collect() for sample in metric.samples if sample.name.endswith("_total")
    )


async def test_drill_follows_rule_and_is_marked(gateway: GatewayHarness) -> None:
    counted = alerts_counted()
    body = {"rule": "all", "model": "plain-model", "by": "Dora"}
    answer = await gateway.call("POST", "/api/drills", "r-token", json=body)
    assert (answer.status_code, answer.json()["state"]) == (202, "started")
    one = await gateway.until(answer.json()["incident"], lambda one: one["state"] == "notified")
    assert one["headline"].startswith("DRILL CRITICAL plain-model")
    assert (one["rule"], one["tier"], one["team"]) == ("all", "critical", "ops")
    assert one["decision"]["trace"] == [{"rule": "all", "matched": True, "reason": "a fire drill of this rule"}]
    assert one["next_action"].startswith("Escalate to step 2")
    assert "started by rosa (for Dora)" in one["alert"]["notes"]
    assert alerts_counted() == counted
    again = await gateway.call("POST", "/api/drills", "r-token", json=body)
    assert again.json()["incident"] != answer.json()["incident"], "two drills are two incidents"


async def test_drill_joins_no_real_incident(gateway: GatewayHarness) -> None:
    real = await gateway.open(monitor_name="Fire drill of all")
    answer = await gateway.call("POST", "/api/drills", "r-token", json={"rule": "all", "model": "plain-model"})
    assert answer.json()["incident"] != real


async def test_drill_does_not_wait_for_temporal(gateway: GatewayHarness) -> None:
    """Spooled, it would page people at a time when nobody watches it."""
    cut_off = await Client.connect("127.0.0.1:1", lazy=True, data_converter=pydantic_data_converter)
    app = create_app(gateway.settings(), cut_off)
    headers = {"Authorization": "Bearer r-token"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        answer = await http.post("/api/drills", headers=headers, json={"rule": "all"})
    assert (answer.status_code, answer.json()["code"]) == (503, "temporal_unavailable")
    assert "no drill was started" in answer.json()["detail"]
    assert app.state.services.spool.depth.items == 0


async def test_unknown_rule_suggests_the_closest(gateway: GatewayHarness) -> None:
    answer = await gateway.call("POST", "/api/drills", "r-token", json={"rule": "al"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "the policy has no rule 'al': did you mean all?"


@pytest.mark.parametrize(("token", "status"), [("v-token", 403), ("nobody", 401)])
async def test_drill_needs_responder_role(gateway: GatewayHarness, token: str, status: int) -> None:
    assert (await gateway.call("POST", "/api/drills", token, json={"rule": "all"})).status_code == status


async def test_alert_cannot_claim_to_be_drill(gateway: GatewayHarness) -> None:
    incident = await gateway.open(drill="all")
    one = (await gateway.call("GET", f"/api/incidents/{incident}")).json()
    assert one["headline"].startswith("CRITICAL")
    assert one["alert"]["drill"] == ""
