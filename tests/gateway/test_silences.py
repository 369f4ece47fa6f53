"""``/api/silences``: preview, the second yes, and what an incident does with a silence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.gateway.conftest import GatewayHarness

pytestmark = pytest.mark.asyncio(loop_scope="session")
MATCHER = 'alert.model == "quiet-model"'


async def create(gateway: GatewayHarness, token: str = "r-token", **body: Any) -> Any:
    request = {"matcher": MATCHER, "reason": "known fault", "duration": "2h", **body}
    return await gateway.call("POST", "/api/silences", token, json={k: v for k, v in request.items() if v is not None})


async def test_silence_is_created_listed_and_expired(gateway: GatewayHarness) -> None:
    answer = await create(gateway, by="alice")
    assert answer.status_code == 201, answer.text
    created = answer.json()
    silence = created["silence"]
    assert created["in_force"] is True
    assert (silence["matcher"], silence["reason"], silence["source"]) == (MATCHER, "known fault", "api")
    assert "alice" in silence["by"]
    listed = (await gateway.call("GET", "/api/silences", "v-token")).json()["silences"]
    assert silence["id"] in {one["id"] for one in listed}
    expired = await gateway.call("POST", f"/api/silences/{silence['id']}/expire", "r-token")
    assert expired.status_code == 200, expired.text
    assert expired.json()["ended_by"]
    listed = (await gateway.call("GET", "/api/silences", "v-token")).json()["silences"]
    assert silence["id"] not in {one["id"] for one in listed}
    listed = (await gateway.call("GET", "/api/silences?ended=true", "v-token")).json()["silences"]
    assert silence["id"] in {one["id"] for one in listed}
    again = await gateway.call("POST", f"/api/silences/{silence['id']}/expire", "r-token")
    assert again.status_code == 409


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"matcher": "alert.modle == 'a'"}, "matcher: character"),
        ({"matcher": "true"}, "names no field of an alert"),
        ({"matcher": ""}, "matcher"),
        ({"duration": "30d"}, "it may last 7d at most, by noise.silences.at_most of the policy"),
        ({"duration": "soon"}, "duration"),
        ({"duration": None}, "state either `duration`, such as 2h, or `ends_at`"),
        ({"duration": None, "ends_at": "2020-01-01T00:00:00Z"}, "it is over before it begins"),
        ({"reason": ""}, "reason"),
    ],
)
async def test_silence_that_is_refused(gateway: GatewayHarness, body: dict[str, Any], reason: str) -> None:
    answer = await create(gateway, **body)
    assert answer.status_code == 422, answer.text
    assert reason in answer.text


async def test_viewer_may_only_preview(gateway: GatewayHarness) -> None:
    assert (await create(gateway, token="v-token")).status_code == 403
    answer = await gateway.call("POST", "/api/silences/preview", "v-token", json={"fields": {"alert.model": "nothing"}})
    assert answer.json()["matcher"] == 'alert.model == "nothing"'
    assert (answer.json()["open_incidents"], answer.json()["alerts"], answer.json()["confirmations"]) == (0, 0, [])


async def test_silence_of_critical_alerts_needs_a_second_yes(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    view = await gateway.until(incident, lambda one: one["state"] == "notified")
    fields = {"alert.monitor": view["alert"]["monitor"]}
    body: dict[str, Any] = {"matcher": "", "fields": fields}

    async def previewed() -> dict[str, Any]:
        return (await gateway.call("POST", "/api/silences/preview", "v-token", json=body)).json()

    preview = await previewed()
    while preview["alerts"] < 1:  # the audit log is written after the page
        preview = await previewed()
    assert (preview["open_incidents"], preview["monitors"]) == (1, 1)
    assert preview["critical_rules"] == [view["rule"]]
    refused = await create(gateway, **body)
    assert refused.status_code == 409
    count = preview["open_incidents"] + preview["alerts"]
    assert f"confirm: {count}" in refused.text
    assert (await create(gateway, **body, confirm=count - 1)).status_code == 409
    assert (await create(gateway, **body, confirm=count)).status_code == 201


async def test_later_silence_is_not_in_force_yet(gateway: GatewayHarness) -> None:
    begins = datetime.now(UTC) + timedelta(hours=3)
    answer = await create(gateway, starts_at=begins.isoformat())
    assert answer.status_code == 201
    silence = answer.json()["silence"]
    ends = datetime.fromisoformat(silence["ends_at"])
    assert abs(ends - begins - timedelta(hours=2)) < timedelta(seconds=1)
