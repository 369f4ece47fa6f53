"""The stand-in tenant's own switches: deliveries, their bodies, faults of one face, and what counts as a violation."""

import hashlib
import hmac
import json
import time
from typing import Any

import httpx
import pytest

from tests.arize.conftest import Endpoint
from tests.vendors import ArizeTenant, Fault


def read(tenant: ArizeTenant, path: str = "/v2/monitors", **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {tenant.key}"}
    return httpx.get(f"{tenant.base_url}{path}", headers=headers, timeout=30, **options)


@pytest.fixture
def watched(arize_tenant: ArizeTenant, endpoint: Endpoint) -> dict[str, Any]:
    """A monitor that notifies a webhook with a signing secret, and that secret."""
    monitor = arize_tenant.add_monitor(tags=["team:core"])
    webhook = arize_tenant.add_webhook(f"{endpoint.base_url}/hook", auth_type="HMAC_SHA256", headers={"X-Route": "a"})
    arize_tenant.attach_webhook(monitor["id"], webhook["id"])
    return {**monitor, "secret": webhook["signing_secret"], "webhook": webhook["id"]}


def test_slow_monitor_is_delivered(arize_tenant: ArizeTenant, endpoint: Endpoint) -> None:
    monitor = arize_tenant.add_monitor(project="support-chatbot", tags=["team:core"], history=[4100, 4300])
    webhook = arize_tenant.add_webhook(endpoint.base_url, auth_type="HMAC_SHA256")  # its signing_secret is here, once
    arize_tenant.attach_webhook(monitor["id"], webhook["id"])
    (delivery,) = arize_tenant.evaluate(monitor["id"], 9200, body="poke")  # or "full", "flat", any body
    assert delivery.wait()["status_code"] == 202


def test_delivery_is_signed_over_its_bytes(
    arize_tenant: ArizeTenant, endpoint: Endpoint, watched: dict[str, Any]
) -> None:
    (delivery,) = arize_tenant.evaluate(watched["id"], 9200)
    assert delivery.wait()["status_code"] == 202
    (request,) = endpoint.requests
    assert request.headers["X-Arize-Webhook-Id"] == delivery.event_id
    assert request.headers["X-Arize-Webhook-Event"] == "monitor.status.changed"
    assert request.headers["X-Route"] == "a"
    signed = f"{request.headers['X-Arize-Webhook-Timestamp']}.".encode() + request.raw
    expected = hmac.new(watched["secret"].encode(), signed, hashlib.sha256).hexdigest()
    assert request.headers["X-Arize-Webhook-Signature"] == f"v1={expected}"
    assert abs(int(request.headers["X-Arize-Webhook-Timestamp"]) - time.time()) < 300


def test_signature_matches_the_known_vector(
    arize_tenant: ArizeTenant, endpoint: Endpoint, watched: dict[str, Any]
) -> None:
    arize_tenant.state.webhook_secrets[watched["webhook"]] = "whsec_test_0123456789abcdef"
    arize_tenant.webhooks.clock = lambda: 1795464000
    delivery = arize_tenant.webhooks.send(watched["webhook"], "test", b'{"hello":"arize"}')
    delivery.wait()
    (request,) = endpoint.requests
    vector = "v1=8111d5422738d4ac14e0723aedd62461216b9254f0d020b2f07b2834b83b3c50"
    assert request.headers["X-Arize-Webhook-Signature"] == vector


def test_only_a_transition_to_triggered_is_delivered(
    arize_tenant: ArizeTenant, endpoint: Endpoint, watched: dict[str, Any]
) -> None:
    values = [9200, 9300, 100, None, 4900, 5100]
    deliveries = [arize_tenant.evaluate(watched["id"], value) for value in values]
    assert [len(one) for one in deliveries] == [1, 0, 0, 0, 0, 1]
    assert {one.wait()["payload"]["previous_status"] for pair in deliveries for one in pair} == {"CLEARED"}

    assert arize_tenant.evaluate(watched["id"], 4000) == []
    assert arize_tenant.evaluate(watched["id"], 9200, lost=True) == []
    assert read(arize_tenant, params={"status": "TRIGGERED"}).json()["monitors"][0]["id"] == watched["id"]

    arize_tenant.notifies.add("CLEARED")
    (cleared,) = arize_tenant.evaluate(watched["id"], 4000)
    assert cleared.wait()["payload"]["monitor"]["status"] == "CLEARED"
    arize_tenant.edit_by_hand(watched["id"], "Grace", notifications_enabled=False)
    assert arize_tenant.evaluate(watched["id"], 9000) == []


@pytest.mark.parametrize(
    ("threshold", "healthy", "triggering"),
    [
        ({"type": "MANUAL_SINGLE", "operator": "LESS_THAN", "value": 0.8}, 0.8, 0.79),
        (
            {
                "type": "MANUAL_RANGE",
                "lower": {"operator": "GREATER_THAN", "value": 50},
                "upper": {"operator": "LESS_THAN", "value": 5000},
            },
            51,
            5000,
        ),
        ({"type": "DYNAMIC_SINGLE", "calculation": "STDEV", "operator": "LESS_THAN", "multiplier": 2}, 0.78, 0.7),
        ({"type": "DYNAMIC_SINGLE", "calculation": "MAD", "operator": "GREATER_THAN", "multiplier": 3}, 0.82, 0.84),
        (
            {
                "type": "DYNAMIC_RANGE",
                "calculation": "STDEV",
                "lower": {"operator": "GREATER_THAN", "multiplier": 2},
                "upper": {"operator": "LESS_THAN", "multiplier": 2},
            },
            0.8,
            0.9,
        ),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else str(value),
)
def test_thresholds_decide_the_status(
    arize_tenant: ArizeTenant, threshold: dict[str, Any], healthy: float, triggering: float
) -> None:
    monitor = arize_tenant.add_monitor(threshold=threshold, history=[0.79, 0.8, 0.81, 0.8, 0.82, 0.78])
    arize_tenant.evaluate(monitor["id"], healthy)
    assert monitor["status"] == "CLEARED"
    arize_tenant.evaluate(monitor["id"], triggering)
    assert monitor["status"] == "TRIGGERED"


def test_bodies_of_every_shape(arize_tenant: ArizeTenant, endpoint: Endpoint, watched: dict[str, Any]) -> None:
    bodies: dict[str, Any] = {
        "full": "full",
        "poke": "poke",
        "flat": "flat",
        "made": lambda envelope, monitor: {"alert": monitor["name"], "was": envelope["previous_status"]},
        "given": {"text": "something fired"},
        "bytes": b"not json",
    }
    received: dict[str, bytes] = {}
    for name, body in bodies.items():
        arize_tenant.evaluate(watched["id"], 1)
        (delivery,) = arize_tenant.evaluate(watched["id"], 9200, body=body)
        delivery.wait()
        received[name] = endpoint.requests[-1].raw
    full = json.loads(received["full"])
    assert set(full) == {"event", "event_id", "occurred_at", "previous_status", "monitor"}
    assert full["event_id"] == endpoint.requests[0].headers["X-Arize-Webhook-Id"]
    assert full["monitor"]["latest_computed_value"] == 9200
    assert json.loads(received["poke"])["monitor_id"] == watched["id"]
    assert "monitor" not in json.loads(received["poke"])
    assert json.loads(received["flat"])["id"] == watched["id"]
    assert json.loads(received["made"]) == {"alert": "p95 latency", "was": "CLEARED"}
    assert json.loads(received["given"]) == {"text": "something fired"}
    assert received["bytes"] == b"not json"


def test_failed_delivery_is_retried_and_recorded(
    arize_tenant: ArizeTenant, endpoint: Endpoint, watched: dict[str, Any]
) -> None:
    endpoint.script(Fault(status=503), Fault(reset=True))
    (delivery,) = arize_tenant.evaluate(watched["id"], 9200)
    assert delivery.wait()["attempt_number"] == 3
    attempts = read(arize_tenant, f"/v2/webhooks/{watched['webhook']}/delivery-attempts").json()["delivery_attempts"]
    assert [(one["attempt_number"], one["status_code"]) for one in attempts] == [(3, 202), (2, None), (1, 503)]
    assert {one["event_id"] for one in attempts} == {delivery.event_id}
    assert attempts[1]["error_message"]
    assert len({request.headers["X-Arize-Webhook-Id"] for request in endpoint.requests}) == 1


def test_bearer_delivery_sends_the_stored_token(arize_tenant: ArizeTenant, endpoint: Endpoint) -> None:
    monitor = arize_tenant.add_monitor()
    for token in ("Bearer s3cret", "", None):
        webhook = arize_tenant.add_webhook(endpoint.base_url, token=token, name=f"webhook {token!r}")
        arize_tenant.attach_webhook(monitor["id"], webhook["id"])
    for delivery in arize_tenant.evaluate(monitor["id"], 9200):
        delivery.wait()
    sent = sorted(request.headers.get("Authorization", "none") for request in endpoint.requests)
    assert sent == ["Bearer s3cret", "none", "none"]
    assert not any("X-Arize-Webhook-Signature" in request.headers for request in endpoint.requests)


def test_deleted_webhook_is_detached(arize_tenant: ArizeTenant, endpoint: Endpoint, watched: dict[str, Any]) -> None:
    url = f"{arize_tenant.base_url}/v2/webhooks/{watched['webhook']}"
    assert httpx.delete(url, headers={"Authorization": f"Bearer {arize_tenant.key}"}).status_code == 204
    assert "notification_configs" not in read(arize_tenant, f"/v2/monitors/{watched['id']}").json()
    assert arize_tenant.evaluate(watched["id"], 9200) == []


def test_faults_of_one_face_leave_the_other(arize_tenant: ArizeTenant) -> None:
    def graphql() -> httpx.Response:
        headers, query = (
            {"x-api-key": arize_tenant.key},
            {"query": "{ account { organizations { edges { node { name } } } } }"},
        )
        return httpx.post(f"{arize_tenant.base_url}/graphql", headers=headers, json=query, timeout=30)

    arize_tenant.rest.rate_limited(retry_after=7)
    refused = read(arize_tenant)
    assert (refused.status_code, refused.headers["Retry-After"], refused.json()["status"]) == (429, "7", 429)
    assert graphql().json()["data"]["account"]["organizations"]["edges"][0]["node"]["name"] == "Acme"

    arize_tenant.rest.recover()
    arize_tenant.graphql.permission_denied()
    denied = graphql()
    assert (denied.status_code, denied.json()["errors"][0]["message"]) == (200, "permission denied")
    assert read(arize_tenant).status_code == 200

    face = arize_tenant.rest
    face.permission_denied()
    assert read(arize_tenant).status_code == 403
    face.unauthorized()
    assert read(arize_tenant).status_code == 401
    face.broken()
    assert read(arize_tenant).status_code == 500
    face.wrong_json()
    assert "monitors" not in read(arize_tenant).json()
    face.html()
    assert read(arize_tenant).headers["Content-Type"].startswith("text/html")
    face.hang_up()
    with pytest.raises(httpx.RemoteProtocolError):
        read(arize_tenant)
    face.outage()
    with pytest.raises(httpx.TransportError):
        read(arize_tenant)
    face.recover()
    face.script(Fault(status=500))
    face.rate_limited(times=2)
    assert [read(arize_tenant).status_code for _ in range(4)] == [500, 429, 429, 200]


def test_slow_face_answers_late_and_right(arize_tenant: ArizeTenant) -> None:
    arize_tenant.rest.slow(0.5)
    begin = time.monotonic()
    assert read(arize_tenant).json()["monitors"] == []
    assert time.monotonic() - begin >= 0.5


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "violation"),
    [
        ("GET", "/v2/monitors?severity=high", None, 200, "unknown parameter severity"),
        ("GET", "/v2/monitors?status=BAD", None, 400, "Input should be 'TRIGGERED'"),
        ("GET", "/v2/monitors?limit=200", None, 400, "less than or equal to 100"),
        ("GET", "/v2/alerts", None, 404, "the stand-in has no GET /v2/alerts"),
        ("PATCH", "/v2/monitors/TW9uaXRvcjo5OmFaOQ==", {"notes": ""}, 404, "the stand-in has no PATCH"),
        ("POST", "/v2/webhooks", {"name": "x"}, 422, "validation error"),
        ("POST", "/v2/webhooks", {"name": "x", "organization_id": "o", "url": "u", "a": 1}, 400, "additional fields"),
        ("POST", "/v2/tags", [], 422, "must be a JSON object"),
    ],
)
def test_malformed_requests_are_violations(
    arize_tenant: ArizeTenant, method: str, path: str, body: Any, status: int, violation: str
) -> None:
    headers = {"Authorization": f"Bearer {arize_tenant.key}"}
    response = httpx.request(method, f"{arize_tenant.base_url}{path}", headers=headers, json=body)
    assert response.status_code == status
    assert any(violation in fault for fault in arize_tenant.check()), arize_tenant.violations
    arize_tenant.violations.clear()


def test_wrong_key_and_wrong_rows_are_violations(arize_tenant: ArizeTenant) -> None:
    assert httpx.get(f"{arize_tenant.base_url}/v2/monitors").status_code == 401
    assert arize_tenant.violations == ["/v2/monitors: wrong key"]
    arize_tenant.violations.clear()
    arize_tenant.accepts_wrong_key = True
    assert httpx.get(f"{arize_tenant.base_url}/v2/monitors").status_code == 401
    assert arize_tenant.check() == []

    # The stand-in must not answer what Arize cannot: the SDK's models read its own rows, too.
    arize_tenant.add_monitor(severity="high")
    arize_tenant.add_monitor(metric="P42")
    read(arize_tenant)
    assert any("answered" in fault for fault in arize_tenant.check())
    arize_tenant.state.monitors.remove(arize_tenant.state.monitors.newest()[0]["id"])
    arize_tenant.violations.clear()
    read(arize_tenant)
    assert arize_tenant.check() == ["list_monitors answered the unknown monitors.0.severity"]
    arize_tenant.violations.clear()


def test_audit_log_needs_an_administrator(arize_tenant: ArizeTenant) -> None:
    arize_tenant.catalog.audit_logs_readable = False
    assert read(arize_tenant, "/v2/audit-logs").status_code == 403
