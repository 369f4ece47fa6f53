"""``/api/incidents``: reading and acting, each with its role."""

import pytest

from tests.gateway.conftest import House

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("token", ["", "wrong", "v-toke", "v-token x"])
async def test_without_a_token_nothing_is_told(house: House, token: str) -> None:
    answer = await house.call("GET", "/api/incidents", token)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_an_incident_has_all_that_the_design_names(house: House) -> None:
    incident = await house.open(region="eu-west-1")
    one = (await house.call("GET", f"/api/incidents/{incident}")).json()
    assert (one["id"], one["state"], one["tier"], one["rule"]) == (incident, "notified", "critical", "all")
    assert (one["model"], one["environment"], one["team"], one["regulated"]) == (
        "plain-model",
        "production",
        "ops",
        False,
    )
    assert (one["escalation"], one["alerts"], one["acknowledged_by"]) == (1, 1, "")
    assert one["opened_at"]
    assert one["decision"]["trace"][0]["matched"] is True
    assert one["receipts"][0]["destination"] == "term"
    assert one["findings"] == []
    assert [entry["what"] for entry in one["timeline"]] == ["received", "classified", "notified"]
    assert one["temporal_url"].startswith("http://127.0.0.1:8233/namespaces/default/workflows/" + incident)
    assert one["headline"].startswith("CRITICAL plain-model error_rate 30 %")


async def test_lists_are_filtered(house: House) -> None:
    mine = await house.open(model="regulated-model")
    await house.open()
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
            answer = await house.call("GET", "/api/incidents", params={**query, "limit": "200"})
            assert answer.status_code == 200, answer.text
            return [one["id"] for one in answer.json()["incidents"]]

        for _ in range(50):  # the server's visibility follows its histories by a moment
            if (mine in await listed()) == fits:
                break
        assert (mine in await listed()) == fits, query


async def test_a_list_is_paged(house: House) -> None:
    for _ in range(3):
        await house.open()
    seen: list[str] = []
    cursor = ""
    while True:
        answer = (await house.call("GET", "/api/incidents", params={"limit": "2", "cursor": cursor})).json()
        seen += [one["opening"] for one in answer["incidents"]]
        cursor = answer["next"]
        if not cursor:
            break
    assert len(seen) == len(set(seen)) >= 3


@pytest.mark.parametrize("cursor", ["%%%", "abc", "AAAA", "é"])
async def test_a_cursor_that_is_not_ours(house: House, cursor: str) -> None:
    answer = await house.call("GET", "/api/incidents", params={"cursor": cursor})
    assert answer.status_code in {400, 422}


async def test_acting_needs_its_role(house: House) -> None:
    incident = await house.open()
    for verb in ("acknowledge", "resolve", "annotate"):
        answer = await house.call("POST", f"/api/incidents/{incident}/{verb}", "v-token", json={"note": "x"})
        assert (answer.status_code, "needs the role responder" in answer.json()["detail"]) == (403, True)


async def test_acknowledge_annotate_resolve(house: House) -> None:
    incident = await house.open()
    path = f"/api/incidents/{incident}"
    acked = await house.call("POST", f"{path}/acknowledge", "r-token", json={"by": "Rosa Example"})
    assert (acked.status_code, acked.json()["state"], acked.json()["acknowledged_by"]) == (
        200,
        "acknowledged",
        "Rosa Example",
    )
    noted = await house.call("POST", f"{path}/annotate", "r-token", json={"note": "rolled back"})
    notes = [(one["text"], one["by"]) for one in noted.json()["timeline"] if one["what"] == "annotated"]
    assert notes == [("rolled back", "rosa")], "who leaves out the name is the token's"
    resolved = await house.call("POST", f"{path}/resolve", "r-token", json={"by": "Rosa Example"})
    assert (resolved.status_code, resolved.json()["resolved_by"]) == (200, "Rosa Example")
    await house.until(incident, lambda one: one["state"] == "closed")
    late = await house.call("POST", f"{path}/acknowledge", "r-token", json={})
    assert (late.status_code, late.json()["detail"]) == (409, "it is closed already")


async def test_a_regulated_one_is_closed_by_compliance_only(house: House) -> None:
    incident = await house.open(model="regulated-model")
    path = f"/api/incidents/{incident}/resolve"
    refused = await house.call("POST", path, "r-token", json={"by": "rosa"})
    assert (refused.status_code, "only a person with the role compliance" in refused.json()["detail"]) == (403, True)
    assert (await house.call("POST", path, "c-token", json={"by": "carl"})).status_code == 200
    await house.until(incident, lambda one: one["state"] == "closed")


async def test_an_empty_note_is_refused(house: House) -> None:
    incident = await house.open()
    answer = await house.call("POST", f"/api/incidents/{incident}/annotate", "r-token", json={"note": " "})
    assert answer.status_code == 422


async def test_unknown_incidents_and_unknown_fields(house: House) -> None:
    missing = "/api/incidents/incident-none-000000000000"
    assert (await house.call("GET", missing)).status_code == 404
    assert (await house.call("POST", f"{missing}/acknowledge", "r-token", json={})).status_code == 404
    assert (await house.call("GET", "/api/incidents/tocsin-worker")).status_code == 422
    incident = await house.open()
    answer = await house.call("POST", f"/api/incidents/{incident}/acknowledge", "r-token", json={"who": "x"})
    assert (answer.status_code, answer.json()["reasons"][0].startswith("body.who")) == (422, True)


async def test_operations(house: House) -> None:
    assert (await house.http.get("/healthz")).json() == {"status": "alive"}
    ready = (await house.http.get("/readyz")).json()
    assert (ready["ready"], ready["temporal"], ready["deliveries"]) == (True, "ok", "ok")
    assert ready["policy"] == house.settings().policy()
    await house.send(b"{}")
    figures = (await house.http.get("/metrics")).text
    assert 'tocsin_alerts_total{outcome="refused"}' in figures
    assert "tocsin_alert_accepted_seconds_bucket" in figures


async def test_errors_of_the_framework_are_problems_too(house: House) -> None:
    for method, path, status in [("GET", "/nowhere", 404), ("GET", "/webhooks/arize", 405)]:
        answer = await house.http.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert answer.json()["status"] == status
