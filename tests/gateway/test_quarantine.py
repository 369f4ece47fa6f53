"""Authentic deliveries that nothing can read: kept, reported by one incident a shape, and replayed exactly once."""

import base64
import itertools
import json
import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import FIELD_OF, normalise
from gateway.quarantine.store import Limits
from gateway.security.encryption import Keyring
from tests.gateway.conftest import GatewayHarness
from tests.gateway.intake_harness import Intake, detection, open_intake, unavailable_temporal

pytestmark = pytest.mark.asyncio(loop_scope="session")
_numbers = itertools.count(1)


@pytest.mark.parametrize(
    ("body", "reason", "label"),
    [
        (b"", "not JSON", "empty body (text/plain)"),
        (b"{", "not JSON", "not JSON (text/plain)"),
        (b"\xff", "not UTF-8", "not UTF-8 (text/plain)"),
        (b'{"monitor_name": NaN}', "no monitor was found", "monitor_name"),
        (b'{"a": 1, "a": 2}', "appears twice", "duplicate key (text/plain)"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "nested deeper than 32", "nested too deep (text/plain)"),
        (b"{}", "no monitor was found", "empty object"),
        (b"[1, 2]", "is an array", "[]"),
        (b'"text"', "is a string", "string"),
        (b'{"detector": {"title": "x"}, "observed": 3}', "no monitor was found", "detector{title}, observed"),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_unreadable_body_is_quarantined(
    gateway: GatewayHarness, tmp_path: Path, body: bytes, reason: str, label: str
) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        headers = {"Content-Type": "text/plain; charset=utf-8", "X-Arize-Webhook-Event": "monitor.status.changed"}
        answer = await intake.send(body, "evt-1", **headers)
        assert (answer.status_code, answer.json()["state"]) == (202, "quarantined")
        (listed,) = (await intake.call("GET", "", "v-token")).json()["deliveries"]
        assert listed["incident"] == answer.json()["incident"]
        found = (await intake.call("GET", f"/{listed['id']}", "v-token")).json()
        kept = found["body"].encode() if found["encoding"] == "utf-8" else base64.b64decode(found["body"])
        assert kept == body
        assert any(reason in one for one in found["reasons"])
        assert found["shape_label"] == label
        assert (found["event_id"], found["event"], found["state"]) == ("evt-1", "monitor.status.changed", "quarantined")


async def test_body_over_limit_is_refused(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        assert (await intake.send(b"x" * 262_145)).status_code == 413
        assert (await intake.send(b"x" * 262_144)).json()["state"] == "quarantined"


async def test_one_incident_reports_one_shape(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        bodies = [{"shape one": {"x": n, "y": "text"}} for n in range(3)]
        first = [await intake.send(body) for body in bodies]
        other = await intake.send({"shape one": {"x": "text", "y": "text"}})
        incidents = {answer.json()["incident"] for answer in first}
        assert len(incidents) == 1
        assert other.json()["incident"] not in incidents
        one = await gateway.until(incidents.pop(), lambda one: one["alert_count"] == 3 and one["state"] == "notified")
        assert (one["rule"], one["tier"]) == ("unreadable", "high")
        assert one["alert"]["kind"] == "unreadable"
        assert sum(entry["event"] == "notified" for entry in one["timeline"]) == 1


async def test_redelivery_is_kept_and_counted_once(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        answers = [await intake.send({"redelivered": 1}, "evt-same") for _ in range(3)]
        await intake.send({"redelivered": 2}, "evt-other")
        assert len((await intake.call("GET", "")).json()["deliveries"]) == 2
        one = await gateway.until(answers[0].json()["incident"], lambda one: one["alert_count"] >= 2)
        assert one["alert_count"] == 2


async def test_quarantine_alert_is_never_read_from_body(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        body = gateway.alert(quarantined="q-1", kind="unreadable", metric="anything")
        answer = await intake.send(body)
        one = await gateway.until(answer.json()["incident"], lambda one: one["rule"])
        assert one["rule"] == "unmapped"


async def test_mapping_reads_array_at_top_level(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        intake.policy = intake.load(
            """
intake:
  mappings:
    - name: list
      when: type(payload) == list && has(payload[0].check)
      alert: {monitor: "payload[0].check", metric: '"error_rate"', value: "payload[0].value"}
"""
        )
        answer = await intake.send([{"check": "array check", "value": 0.7}])
        assert answer.json()["state"] == "started"
        one = await gateway.until(answer.json()["incident"], lambda one: one["alert"])
        assert (one["alert"]["monitor"], one["alert"]["value"], one["rule"]) == ("array check", 0.7, "all")


async def test_mapping_comes_before_built_in_reader(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        intake.add_mapping()
        body = {**gateway.alert(), **detection()}
        answer = await intake.send(body)
        one = await gateway.until(answer.json()["incident"], lambda one: one["alert"])
        assert one["alert"]["monitor"] == body["detector"]["title"]


async def test_failing_mapping_falls_back_to_built_in_reader(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        intake.add_mapping()
        readable = {**gateway.alert(), "detector": {"title": "x"}}
        before = _metric(
            (await intake.http.get("/metrics", headers={"Authorization": "Bearer v-token"})).text,
            "tocsin_mapping_failures_total",
        )
        answer = await intake.send(readable)
        assert answer.json()["state"] == "started"
        one = await gateway.until(answer.json()["incident"], lambda one: one["alert"])
        assert one["alert"]["monitor"] == readable["monitor_name"]
        after = _metric(
            (await intake.http.get("/metrics", headers={"Authorization": "Bearer v-token"})).text,
            "tocsin_mapping_failures_total",
        )
        assert after == before + 1


async def test_failing_mapping_is_named_in_quarantine(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        intake.add_mapping()
        for body, expected in (
            ({"detector": {"metric": "error_rate"}}, 'mapping detector-format: monitor: "title" is not in this body'),
            (detection(observed="many"), "mapping detector-format: value cannot be 'many'"),
        ):
            delivery = await intake.quarantine(body)
            reasons = (await intake.call("GET", f"/{delivery}")).json()["reasons"]
            assert expected in reasons


async def test_foreign_event_that_sounds_like_change_is_not_dropped(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        assert (await intake.send({"event": "prompt.injection.detected"})).json()["state"] == "quarantined"
        alert = gateway.alert(event="prompt.injection.detected")
        assert (await intake.send(alert)).json()["state"] == "started"
        assert (await intake.send({"event": "prompt.version.created"})).json()["state"] == "recorded"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=10) | st.sampled_from([*FIELD_OF, "detector", "title"]), inner, max_size=6)
    ),
    max_leaves=20,
)
_bodies = (
    st.binary(max_size=3_000)
    | _json.map(lambda value: json.dumps(value).encode())
    | _json.map(lambda value: json.dumps(value).encode()[:-1])
    | st.integers(1, 262_144).map(lambda size: b"[" * size)
)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def offline(gateway: GatewayHarness, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Intake]:
    """A gateway without Temporal: what it accepts stays in its database and its spool, where a test can count it."""
    async with open_intake(gateway, tmp_path_factory.mktemp("offline"), client=await unavailable_temporal()) as intake:
        intake.add_mapping()
        yield intake


@settings(max_examples=150)
@given(body=_bodies, event=st.sampled_from(["", "monitor.triggered", "prompt.version.created", "prompt.injection"]))
async def test_no_authentic_body_is_lost(offline: Intake, body: bytes, event: str) -> None:
    spool, before = offline.services.spool, offline.services.spool.depth.items
    answer = await offline.send(body, f"evt-{next(_numbers)}", **{"X-Arize-Webhook-Event": event})
    assert answer.status_code == 202, answer.text
    if answer.json()["state"] == "quarantined":
        (newest,) = await offline.services.quarantine.store.page(limit=1)
        assert newest.delivery is not None
        assert newest.delivery.raw == body
    else:
        assert answer.json()["state"] in {"spooled", "recorded"}
        is_test = answer.json()["state"] == "recorded"  # an event of the webhook itself: there is nothing to keep
        assert spool.depth.items == before + (not is_test)


async def test_contents_are_encrypted(gateway: GatewayHarness, tmp_path: Path) -> None:
    keys = Keyring([b"k" * 32])
    async with open_intake(gateway, tmp_path, keys=keys) as intake:
        intake.add_mapping()
        delivery = await intake.quarantine({"secret-marker-in-body": "secret-value-in-body"})
        assert "secret-value-in-body" in (await intake.call("GET", f"/{delivery}")).json()["body"]
    stored = b"".join(file.read_bytes() for file in tmp_path.glob("gateway.db*"))
    assert b"secret-value" not in stored
    async with open_intake(gateway, tmp_path, keys=Keyring([b"x" * 32])) as intake:
        (listed,) = (await intake.call("GET", "")).json()["deliveries"]
        assert "does not name" in listed["reasons"][0]
        (result,) = await intake.replay(delivery)
        assert result["outcome"] == "unreadable"
    async with open_intake(gateway, tmp_path, keys=Keyring([b"x" * 32, b"k" * 32])) as intake:
        assert "secret-value-in-body" in (await intake.call("GET", f"/{delivery}")).json()["body"]


async def test_limits_drop_the_largest_shape_first(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path, quarantine=Limits(items=5)) as intake:
        before = _metric(
            (await intake.http.get("/metrics", headers={"Authorization": "Bearer v-token"})).text,
            'tocsin_quarantine_dropped_total{reason="count"}',
        )
        rare = await intake.quarantine({"rare shape": "x"})
        for number in range(8):
            await intake.send({"storm": {"number": number}})
        listed = (await intake.call("GET", "")).json()["deliveries"]
        assert len(listed) == 5
        assert listed[-1]["id"] == rare
        text = (await intake.http.get("/metrics", headers={"Authorization": "Bearer v-token"})).text
        assert _metric(text, 'tocsin_quarantine_dropped_total{reason="count"}') == before + 4


async def test_limit_of_bytes_and_age(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path, quarantine=Limits(bytes=500_000)) as intake:
        for number in range(4):
            assert (await intake.send({"large": "x" * 150_000, "n": number})).status_code == 202
        assert 1 <= (await intake.call("GET", "")).json()["waiting"] <= 3
        store = intake.services.quarantine.store
        store.limits = replace(store.limits, age=timedelta(seconds=-1))
        await store.expire()
        assert (await intake.call("GET", "")).json()["waiting"] == 0
        assert store.held.items == 0


async def test_many_shapes_share_an_incident(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        names = [f"shape{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(30)]
        answers = [await intake.send({name: 1}) for name in names]
        assert len({answer.json()["incident"] for answer in answers}) == 21
        assert (await intake.call("GET", "")).json()["waiting"] == 30


async def test_roles_of_the_api(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        delivery = await intake.quarantine({"roles": 1})
        assert (await intake.call("GET", "", "v-token")).status_code == 200
        assert (await intake.call("POST", f"/{delivery}/replay", "v-token")).status_code == 403
        assert (await intake.call("POST", "/replay", "v-token", json={})).status_code == 403
        assert (await intake.call("GET", "", "no-token")).status_code == 401
        assert (await intake.call("GET", "/q-unknown", "v-token")).status_code == 404
        assert (await intake.call("POST", "/q-unknown/replay", "a-token")).status_code == 404
        answer = await intake.call("POST", f"/{delivery}/replay", "a-token")
        assert (answer.status_code, answer.json()["outcome"]) == (200, "unreadable")


async def test_list_and_replay_go_page_by_page(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        for number in range(5):
            await intake.send({"page": number})
        first = (await intake.call("GET", "?limit=3")).json()
        rest = (await intake.call("GET", f"?limit=3&cursor={first['next']}")).json()
        ids = [one["id"] for one in (*first["deliveries"], *rest["deliveries"])]
        assert (len(ids), len(set(ids)), rest["next"]) == (5, 5, "")
        report = (await intake.call("POST", "/replay", json={})).json()
        assert (len(report["results"]), report["waiting"], report["next"]) == (5, 5, "")


async def test_metrics_and_readyz_count_quarantined(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        await intake.send({"counted": 1})
        ready = (await intake.http.get("/readyz", headers={"Authorization": "Bearer v-token"})).json()
        assert (ready["quarantine"], ready["quarantined"]) == ("ok", 1)
        text = (await intake.http.get("/metrics", headers={"Authorization": "Bearer v-token"})).text
        assert _metric(text, "tocsin_quarantined") == 1
        assert _metric(text, "tocsin_quarantined_bytes") > 0


def _metric(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def test_undeliverable_alert_is_kept_and_reported(gateway: GatewayHarness, tmp_path: Path) -> None:
    async with open_intake(gateway, tmp_path) as intake:
        await _keep_and_replay(intake)


async def _keep_and_replay(intake: Intake) -> None:
    alert = normalise({**intake.gateway.alert(), "notes": "cannot reach its incident"})
    reason = "Temporal refuses the alert: RPCError: Blob data size exceeds limit."
    await intake.services.quarantine.take_in_undeliverable(
        alert.model_dump_json().encode(), "evt-undeliverable", reason
    )
    (delivery,) = (await intake.call("GET", "")).json()["deliveries"]
    assert (delivery["event_id"], delivery["reasons"]) == ("evt-undeliverable", [reason])
    view = await intake.gateway.until(delivery["incident"], lambda one: one.get("state") == "notified")
    assert view["alert"]["kind"] == "unreadable"
    (result,) = await intake.replay(delivery["id"])
    assert result["outcome"] == "replayed"
