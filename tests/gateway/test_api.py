"""``/api/incidents``: reading and acting, each with its role."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from importlib.metadata import version

import pytest
from temporalio import workflow
from temporalio.worker import Worker

from tests.gateway.conftest import SECRET, GatewayHarness
from tests.signing import signed
from tests.waiting import SLOW_MACHINE
from workflows.contracts import INCIDENT_WORKFLOW

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
        ({"state": "open"}, True),
        ({"model": "' OR 1=1"}, False),
    ]:

        async def listed(query: dict[str, str] = query) -> list[str]:
            answer = await gateway.call("GET", "/api/incidents", params={**query, "limit": "200"})
            assert answer.status_code == 200, answer.text
            return [one["id"] for one in answer.json()["incidents"]]

        async with asyncio.timeout(60):  # lists follow the histories with a delay
            while (mine in await listed()) != fits:
                await asyncio.sleep(0.05)


async def test_open_incidents_are_those_that_nobody_closed(gateway: GatewayHarness) -> None:
    closed, acknowledged = await gateway.open(), await gateway.open()
    await gateway.call("POST", f"/api/incidents/{acknowledged}/acknowledge", "r-token", json={})
    await gateway.call("POST", f"/api/incidents/{closed}/resolve", "r-token", json={})

    async def listed() -> set[str]:
        answer = await gateway.call("GET", "/api/incidents", params={"state": "open", "limit": "200"})
        return {one["id"] for one in answer.json()["incidents"]} & {closed, acknowledged}

    await until_equal(listed, {acknowledged})


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


async def test_action_names_the_opening_that_it_is_for(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    path = f"/api/incidents/{incident}/acknowledge"
    other = await gateway.call("POST", path, "r-token", json={}, params={"run": "00000000-0000-0000-0000-000000000000"})
    assert (other.status_code, other.json()["code"]) == (409, "incident_closed")
    assert "the incident that is open now is another one" in other.json()["detail"]
    run = (await gateway.call("GET", f"/api/incidents/{incident}")).json()["first_run_id"]
    done = await gateway.call("POST", path, "r-token", json={}, params={"run": run})
    assert (done.status_code, done.json()["state"]) == (200, "acknowledged")


async def test_acknowledge_annotate_and_resolve(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    path = f"/api/incidents/{incident}"
    acked = await gateway.call("POST", f"{path}/acknowledge", "r-token", json={"by": "Rosa Example"})
    assert (acked.status_code, acked.json()["state"], acked.json()["acknowledged_by"]) == (
        200,
        "acknowledged",
        "rosa (for Rosa Example)",
    )
    noted = await gateway.call("POST", f"{path}/annotate", "r-token", json={"note": "rolled back"})
    notes = [(one["text"], one["by"]) for one in noted.json()["timeline"] if one["event"] == "annotated"]
    assert notes == [("rolled back", "rosa")], "the token's name is the default"
    resolved = await gateway.call("POST", f"{path}/resolve", "r-token", json={"by": "Rosa Example"})
    assert (resolved.status_code, resolved.json()["resolved_by"]) == (200, "rosa (for Rosa Example)")
    await gateway.until(incident, lambda one: one["state"] == "closed")
    late = await gateway.call("POST", f"{path}/acknowledge", "r-token", json={})
    assert (late.status_code, late.json()["detail"]) == (409, f"{incident} is closed already")


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
    assert (ready["quarantine"], ready["quarantined"]) == ("ok", 0)
    await gateway.send(b"{}", secret="whsec_wrong")
    figures = (await gateway.call("GET", "/metrics")).text
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

    answer = await gateway.http.post("/api/drills", content=endless(), headers={"Authorization": "Bearer r-token"})
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert sent < 1_000_000


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/api/incidents?since=2026-01-01", "query.since: it is unknown; known are state, tier"),
        ("/api/incidents?opened_sinse=2026-01-01", "query.opened_sinse: it is unknown; did you mean opened_since?"),
        ("/api/incidents?limit=1&limit=2", "query.limit: it appears 2 times"),
        ("/api/incidents/incident-x-0123456789ab?full=1", "query.full: it is unknown; known are run"),
        ("/api/changes?modle=x", "query.modle: it is unknown; did you mean model?"),
        ("/api/quarantine?stat=replayed", "query.stat: it is unknown; did you mean state?"),
        ("/api/quarantine/q-1?body=no", "query.body: it is unknown"),
        ("/readyz?verbose", "query.verbose: it is unknown"),
        ("/metrics?name[]=x", "query.name[]: it is unknown"),
        ("POST /api/drills?dry_run=yes", "query.dry_run: it is unknown"),
        ("POST /api/quarantine/replay?ids=x", "query.ids: it is unknown"),
        ("POST /api/quarantine/q-1/replay?force=1", "query.force: it is unknown"),
        ("POST /api/incidents/incident-x-0123456789ab/resolve?note=x", "query.note: it is unknown"),
    ],
)
async def test_unknown_parameter_is_refused(gateway: GatewayHarness, path: str, reason: str) -> None:
    method, _, path = path.rpartition(" ")
    answer = await gateway.call(method or "GET", path, "a-token", **({"json": {}} if method else {}))
    assert (answer.status_code, answer.json()["code"]) == (422, "unknown_parameter")
    assert answer.json()["reasons"][0].startswith(reason), answer.text


async def test_parameter_of_webhook_is_no_reason_to_refuse(gateway: GatewayHarness) -> None:
    """An address with a user's own parameters is no reason to lose an alert."""
    body = json.dumps(gateway.alert()).encode()
    answer = await gateway.http.post(
        "/webhooks/arize?from=arize&from=us", content=body, headers=signed(body, SECRET, "")
    )
    assert answer.status_code == 202


async def until_equal(read: Callable[[], Awaitable[set[str]]], expected: set[str]) -> None:
    """Lists follow the histories with a delay."""
    end = asyncio.get_running_loop().time() + SLOW_MACHINE
    while (found := await read()) != expected and asyncio.get_running_loop().time() < end:
        await asyncio.sleep(0.1)
    assert found == expected


async def test_incidents_are_filtered_by_time(gateway: GatewayHarness) -> None:
    before = datetime.now(UTC)
    first, second = await gateway.open(), await gateway.open()
    between = datetime.fromisoformat((await gateway.call("GET", f"/api/incidents/{second}")).json()["opened_at"])
    await gateway.call("POST", f"/api/incidents/{first}/resolve", "r-token", json={})
    closed = datetime.fromisoformat((await gateway.until(first, lambda one: one["closed_at"]))["closed_at"])
    moment = timedelta(milliseconds=1)
    for query, expected in [
        ({"opened_since": before}, {first, second}),
        ({"opened_since": before, "opened_until": between}, {first}),
        ({"opened_since": between}, {second}),
        ({"opened_since": before, "opened_until": before + moment}, set[str]()),
        ({"closed_since": before, "opened_since": before}, {first}),
        ({"closed_until": closed, "opened_since": before}, set[str]()),
        ({"closed_since": closed, "closed_until": closed + moment, "opened_since": before}, {first}),
        ({"closed_since": closed + timedelta(hours=1)}, set[str]()),
    ]:

        async def listed(query: dict[str, datetime] = query) -> set[str]:
            """All pages."""
            found: set[str] = set()
            cursor = ""
            while True:
                params = {key: at.isoformat() for key, at in query.items()} | {"limit": "1", "cursor": cursor}
                answer = await gateway.call("GET", "/api/incidents", "r-token", params=params)
                assert answer.status_code == 200, answer.text
                found |= {one["id"] for one in answer.json()["incidents"]}
                cursor = answer.json()["next"]
                if not cursor:
                    return found

        await until_equal(listed, expected)


@workflow.defn(name=INCIDENT_WORKFLOW, sandboxed=False)
class ContinuedIncident:
    """A run of an incident with a very long history: it is continued as new, and the last run is the one in lists."""

    @workflow.run
    async def run(self, is_continued: bool) -> None:
        if is_continued:
            await workflow.wait_condition(lambda: False)
        await asyncio.sleep(2)
        workflow.continue_as_new(True)


async def test_continued_incident_is_found_by_its_opening(gateway: GatewayHarness) -> None:
    before = datetime.now(UTC)
    incident, queue = "incident-long-0123456789ab", "continued-incidents"
    async with Worker(gateway.client, task_queue=queue, workflows=[ContinuedIncident]):
        handle = await gateway.client.start_workflow(INCIDENT_WORKFLOW, False, id=incident, task_queue=queue)
        async with asyncio.timeout(SLOW_MACHINE):
            while (last := await handle.describe()).run_id == handle.first_execution_run_id:
                await asyncio.sleep(0.1)

        async def listed() -> set[str]:
            params = {"opened_since": before.isoformat(), "opened_until": last.start_time.isoformat(), "limit": "200"}
            answer = await gateway.call("GET", "/api/incidents", params=params)
            assert answer.status_code == 200, answer.text
            return {one["id"] for one in answer.json()["incidents"]} & {incident}

        await until_equal(listed, {incident})
        await handle.terminate()


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("opened_since=yesterday", "query.opened_since"),
        ("opened_since=0001-01-01T00:00:00%2B23:59", "between 1970 and 2200"),
        ("closed_until=9999-12-31T23:59:59-23:59", "between 1970 and 2200"),
        ("opened_since=2026-02-01&opened_until=2026-01-01", "must be later than opened_since"),
        ("closed_since=2026-02-01&closed_until=2026-02-01", "must be later than closed_since"),
    ],
)
async def test_impossible_period_is_refused(gateway: GatewayHarness, query: str, reason: str) -> None:
    answer = await gateway.call("GET", f"/api/incidents?{query}")
    assert (answer.status_code, reason in str(answer.json()["reasons"])) == (422, True)


async def test_refused_words_name_the_field_and_all_that_it_takes(gateway: GatewayHarness) -> None:
    answer = await gateway.call("GET", "/api/incidents?state=bogus&tier=urgent")
    assert answer.status_code == 422
    names = ("received", "holding", "suppressed", "notified", "acknowledged", "awaiting_human", "resolved")
    states = f"{', '.join(map(repr, names))} or 'closed' or 'open'"
    assert answer.json()["reasons"] == [
        f"query.state must be {states}",
        "query.tier must be 'critical', 'high' or 'low'",
    ]
