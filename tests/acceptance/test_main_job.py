"""From an alert to its page, acknowledgement, resolution and audit record: real processes, HTTP only."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.conftest import RESTART, STEP, AcceptanceHarness
from tests.processes import ARIZE_SECRET, tocsin
from tests.signing import signed
from tests.vendors import Fault

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance")]


def test_signed_callback_acknowledges_and_stops_escalation(harness: AcceptanceHarness) -> None:
    alert = harness.alert()
    incident = harness.tocsin.open(alert)
    page = harness.wait_for_page(incident)
    assert page.body["payload"]["summary"].startswith("CRITICAL chatbot error_rate 31 % (limit 5 %) · production")
    assert harness.tocsin.callback("incident.acknowledged", page.body["dedup_key"]).status_code == 202
    one = harness.tocsin.until(incident, lambda one: one["state"] == "acknowledged")
    assert one["acknowledged_by"] == "Alice Example"
    harness.assert_quiet(incident, STEP * 2.3)
    harness.tocsin.send({**alert, "status": "CLEARED", "metric_value": 0.01})
    one = harness.tocsin.until(incident, lambda one: one["state"] == "closed")
    assert one["resolved_by"] == "arize"
    assert len(harness.pages(incident, "primary", "resolve")) == 1


def test_unacknowledged_page_escalates_until_acknowledged(harness: AcceptanceHarness) -> None:
    incident = harness.tocsin.open(harness.alert())
    first = harness.wait_for_page(incident)
    second, managers = harness.wait_for_page(incident, "secondary"), harness.wait_for_page(incident, "managers")
    for later in (second, managers):
        assert STEP * 0.9 < later.at - first.at < STEP + RESTART
    assert f"Not acknowledged for {STEP:g}s: step 2" in second.body["payload"]["custom_details"]["Note"]
    assert harness.tocsin.callback("incident.acknowledged", second.body["dedup_key"]).status_code == 202
    harness.tocsin.until(incident, lambda one: one["state"] == "acknowledged")
    harness.assert_quiet(incident, STEP * 2)


def test_acknowledgement_before_receipt_counts(harness: AcceptanceHarness) -> None:
    harness.pagerduty.script(Fault(delay=4, after=True))
    incident = harness.tocsin.open(harness.alert())
    page = harness.wait_for_page(incident)
    assert harness.tocsin.incident(incident)["receipts"] == []
    assert harness.tocsin.callback("incident.acknowledged", page.body["dedup_key"], "Early Bird").status_code == 202
    one = harness.tocsin.until(incident, lambda one: one["receipts"])
    assert (one["state"], one["acknowledged_by"]) == ("acknowledged", "Early Bird")
    harness.assert_quiet(incident, STEP * 1.3)


def test_two_hundred_concurrent_alerts_are_one_page(harness: AcceptanceHarness) -> None:
    alert = harness.alert()
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda number: harness.tocsin.send(alert, f"evt-{number}"), range(200)))
    assert {answer.status_code for answer in answers} == {202}
    (incident,) = {answer.json()["incident"] for answer in answers}
    assert sum(answer.json()["state"] == "started" for answer in answers) == 1
    harness.tocsin.until(incident, lambda one: one["alert_count"] == 200 and one["receipts"])
    assert len(harness.pages(incident, "primary")) == 1
    harness.tocsin.call("POST", f"/{incident}/acknowledge", json={})


def test_regulated_incident_stays_open_until_compliance_closes(harness: AcceptanceHarness) -> None:
    alert = harness.alert(model="underwriting")
    incident = harness.tocsin.open(alert)
    one = harness.tocsin.until(incident, lambda one: {"jira", "pagerduty"} <= {r["type"] for r in one["receipts"]})
    ticket = next(receipt["id"] for receipt in one["receipts"] if receipt["type"] == "jira")
    before = dict(harness.jira.issues[ticket])
    harness.tocsin.send({**alert, "status": "CLEARED"})
    harness.tocsin.until(incident, lambda one: one["state"] == "awaiting_human")
    harness.tocsin.callback("incident.resolved", harness.wait_for_page(incident).body["dedup_key"])
    harness.tocsin.until(incident, lambda one: one["acknowledged_by"] == "Alice Example")
    refused = harness.tocsin.call("POST", f"/{incident}/resolve", "r-token", json={"by": "rosa"})
    assert refused.status_code == 403
    assert harness.tocsin.incident(incident)["state"] == "awaiting_human"
    assert harness.jira.issues[ticket] == before
    closed = harness.tocsin.call("POST", f"/{incident}/resolve", "c-token", json={"by": "Carl", "note": "case 7"})
    assert closed.status_code == 200
    harness.tocsin.until(incident, lambda one: one["state"] == "closed" and one["resolved_by"] == "carl")
    assert harness.jira.issues[ticket] == before


def test_audit_log_is_intact_and_shown(harness: AcceptanceHarness) -> None:
    incident = harness.tocsin.open(harness.alert())
    harness.wait_for_page(incident)
    short = incident.removeprefix("incident-")[:-6]
    acked = tocsin("incidents", "ack", short, "--by", "bob", environment=harness.tocsin.environment)
    assert acked.returncode == 0, acked.stderr
    assert "bob" in acked.stdout
    for command in (["incidents", "list"], ["incidents", "show", incident], ["audit", "show", incident]):
        shown = tocsin(*command, environment=harness.tocsin.environment)
        assert shown.returncode == 0, shown.stderr
        assert "acknowledged" in shown.stdout
    resolved = tocsin("incidents", "resolve", incident, "--note", "rolled back", environment=harness.tocsin.environment)
    assert resolved.returncode == 0, resolved.stderr
    harness.tocsin.until(incident, lambda one: one["state"] == "closed")
    verified = tocsin("audit", "verify", environment=harness.tocsin.environment)
    assert (verified.returncode, verified.stdout[:6]) == (0, "intact"), verified.stderr


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"X-Arize-Webhook-Signature": "v1=" + "0" * 64}, 401),
        ({"X-Arize-Webhook-Timestamp": "1700000000"}, 401),
        ({"X-Arize-Webhook-Signature": ""}, 401),
    ],
)
def test_bad_signatures_and_stale_timestamps_are_rejected(
    harness: AcceptanceHarness, change: dict[str, str], status: int
) -> None:
    body = json.dumps(harness.alert()).encode()
    headers = {**signed(body, ARIZE_SECRET), **change}
    assert (
        harness.tocsin.http.post(f"{harness.tocsin.url}/webhooks/arize", content=body, headers=headers).status_code
        == status
    )


def test_redelivery_and_replay_page_nobody(harness: AcceptanceHarness) -> None:
    body = json.dumps(harness.alert()).encode()
    headers = signed(body, ARIZE_SECRET)
    post = harness.tocsin.http.post
    url = f"{harness.tocsin.url}/webhooks/arize"
    incident = post(url, content=body, headers=headers).json()["incident"]
    assert post(url, content=body, headers=headers).json()["state"] == "joined"
    harness.wait_for_page(incident)
    harness.tocsin.call("POST", f"/{incident}/resolve", json={})
    harness.tocsin.until(incident, lambda one: one["state"] == "closed")
    assert post(url, content=body, headers=headers).json()["state"] == "joined"
    forged = post(url, content=body, headers={**headers, "X-Arize-Webhook-Id": "evt-forged"})
    assert forged.status_code == 401
    assert len(harness.pages(incident, "primary")) == 1
    assert harness.tocsin.incident(incident)["state"] == "closed"
