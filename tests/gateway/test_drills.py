"""Fire drills: by the way of a real alert, marked wherever they show, and counted nowhere."""

import pytest

from gateway.metrics import ALERTS
from tests.gateway.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")


def alerts_counted() -> float:
    return sum(
        sample.value for metric in ALERTS.collect() for sample in metric.samples if sample.name.endswith("_total")
    )


async def test_a_drill_does_what_its_rule_does_and_says_what_it_is(house: House) -> None:
    counted = alerts_counted()
    body = {"rule": "all", "model": "plain-model", "by": "Dora"}
    answer = await house.call("POST", "/api/drills", "r-token", json=body)
    assert (answer.status_code, answer.json()["state"]) == (202, "started")
    one = await house.until(answer.json()["incident"], lambda one: one["state"] == "notified")
    assert one["headline"].startswith("DRILL CRITICAL plain-model")
    assert (one["rule"], one["tier"], one["team"]) == ("all", "critical", "ops")
    assert one["decision"]["trace"] == [{"rule": "all", "matched": True, "why": "a fire drill of this rule"}]
    assert one["awaiting"].startswith("Escalate to step 2")
    assert "begun by Dora" in one["alert"]["notes"]
    assert alerts_counted() == counted
    again = await house.call("POST", "/api/drills", "r-token", json=body)
    assert again.json()["incident"] != answer.json()["incident"], "two drills are two incidents"


async def test_a_drill_joins_no_real_fire(house: House) -> None:
    real = await house.open(monitor_name="Fire drill of all")
    answer = await house.call("POST", "/api/drills", "r-token", json={"rule": "all", "model": "plain-model"})
    assert answer.json()["incident"] != real


async def test_a_rule_that_is_not_there_is_named_with_the_nearest(house: House) -> None:
    answer = await house.call("POST", "/api/drills", "r-token", json={"rule": "al"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "the policy in force has no rule 'al': did you mean all?"


@pytest.mark.parametrize(("token", "status"), [("v-token", 403), ("nobody", 401)])
async def test_who_may_not_act_may_not_drill(house: House, token: str, status: int) -> None:
    assert (await house.call("POST", "/api/drills", token, json={"rule": "all"})).status_code == status


async def test_no_alert_from_outside_is_a_drill(house: House) -> None:
    incident = await house.open(drill="all")
    one = (await house.call("GET", f"/api/incidents/{incident}")).json()
    assert one["headline"].startswith("CRITICAL")
    assert one["alert"]["drill"] == ""
