"""An alert becomes a page, an acknowledgement, a resolution and a record. Real processes, HTTP only."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.conftest import STEP, World
from tests.processes import tocsin
from tests.vendors import Fault

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance")]


def test_paged_acknowledged_by_a_signed_callback_and_not_escalated(world: World) -> None:
    alert = world.alert()
    incident = world.tocsin.open(alert)
    page = world.paged(incident)
    assert page.body["payload"]["summary"].startswith("CRITICAL chatbot error_rate 31 % (limit 5 %) · production")
    assert world.tocsin.callback("incident.acknowledged", page.body["dedup_key"]).status_code == 202
    one = world.tocsin.until(incident, lambda one: one["state"] == "acknowledged")
    assert one["acknowledged_by"] == "Alice Example"
    time.sleep(STEP * 2.3)
    assert len(world.pages(incident)) == 1
    world.tocsin.send({**alert, "status": "CLEARED", "metric_value": 0.01})
    one = world.tocsin.until(incident, lambda one: one["state"] == "closed")
    assert one["resolved_by"] == "arize"
    assert len(world.pages(incident, action="resolve")) == 1


def test_silence_escalates_after_the_delay_and_an_acknowledgement_ends_it(world: World) -> None:
    incident = world.tocsin.open(world.alert())
    first = world.paged(incident)
    second, managers = world.paged(incident, "secondary"), world.paged(incident, "managers")
    for later in (second, managers):
        assert STEP * 0.9 < later.at - first.at < STEP + 5
    assert "Nobody has acknowledged" in second.body["payload"]["custom_details"]["Note"]
    assert world.tocsin.callback("incident.acknowledged", second.body["dedup_key"]).status_code == 202
    world.tocsin.until(incident, lambda one: one["state"] == "acknowledged")
    time.sleep(STEP * 2)
    assert len(world.pages(incident)) == 3


def test_an_acknowledgement_before_the_receipt_counts(world: World) -> None:
    world.pagerduty.script(Fault(delay=1.5, after=True))
    incident = world.tocsin.open(world.alert())
    page = world.paged(incident)
    assert world.tocsin.incident(incident)["receipts"] == []
    assert world.tocsin.callback("incident.acknowledged", page.body["dedup_key"], "Early Bird").status_code == 202
    one = world.tocsin.until(incident, lambda one: one["receipts"])
    assert (one["state"], one["acknowledged_by"]) == ("acknowledged", "Early Bird")
    time.sleep(STEP * 1.3)
    assert len(world.pages(incident)) == 1


def test_two_hundred_identical_alerts_at_once_are_one_page(world: World) -> None:
    alert = world.alert()
    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(lambda number: world.tocsin.send(alert, f"evt-{number}"), range(200)))
    assert {answer.status_code for answer in answers} == {202}
    (incident,) = {answer.json()["incident"] for answer in answers}
    assert sum(answer.json()["state"] == "started" for answer in answers) == 1
    world.tocsin.until(incident, lambda one: one["alerts"] == 200 and one["receipts"])
    assert len(world.pages(incident)) == 1
    world.tocsin.call("POST", f"/{incident}/acknowledge", json={})


def test_regulated_and_cleared_stays_open_until_compliance_closes_it(world: World) -> None:
    alert = world.alert(model="underwriting")
    incident = world.tocsin.open(alert)
    one = world.tocsin.until(incident, lambda one: {"jira", "pagerduty"} <= {r["type"] for r in one["receipts"]})
    ticket = next(receipt["id"] for receipt in one["receipts"] if receipt["type"] == "jira")
    before = dict(world.jira.issues[ticket])
    world.tocsin.send({**alert, "status": "CLEARED"})
    world.tocsin.until(incident, lambda one: one["state"] == "awaiting_human")
    world.tocsin.callback("incident.resolved", world.paged(incident).body["dedup_key"])
    world.tocsin.until(incident, lambda one: one["acknowledged_by"] == "Alice Example")
    refused = world.tocsin.call("POST", f"/{incident}/resolve", "r-token", json={"by": "rosa"})
    assert refused.status_code == 403
    assert world.tocsin.incident(incident)["state"] == "awaiting_human"
    assert world.jira.issues[ticket] == before
    closed = world.tocsin.call("POST", f"/{incident}/resolve", "c-token", json={"by": "Carl", "note": "case 7"})
    assert closed.status_code == 200
    world.tocsin.until(incident, lambda one: one["state"] == "closed" and one["resolved_by"] == "Carl")
    assert world.jira.issues[ticket] == before


def test_the_record_of_it_all_is_whole_and_the_terminal_shows_it(world: World) -> None:
    incident = world.tocsin.open(world.alert())
    world.paged(incident)
    short = incident.removeprefix("incident-")[:-6]
    acked = tocsin("incidents", "ack", short, "--by", "bob", environment=world.tocsin.environment)
    assert acked.returncode == 0, acked.stderr
    assert "bob" in acked.stdout
    for command in (["incidents", "list"], ["incidents", "show", incident], ["audit", "show", incident]):
        shown = tocsin(*command, environment=world.tocsin.environment)
        assert shown.returncode == 0, shown.stderr
        assert "acknowledged" in shown.stdout
    resolved = tocsin("incidents", "resolve", incident, "--note", "rolled back", environment=world.tocsin.environment)
    assert resolved.returncode == 0, resolved.stderr
    world.tocsin.until(incident, lambda one: one["state"] == "closed")
    verified = tocsin("audit", "verify", environment=world.tocsin.environment)
    assert (verified.returncode, verified.stdout[:6]) == (0, "whole:"), verified.stderr


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"X-Arize-Webhook-Signature": "v1=" + "0" * 64}, 401),
        ({"X-Arize-Webhook-Timestamp": "1700000000"}, 401),
        ({"X-Arize-Webhook-Signature": ""}, 401),
    ],
)
def test_bad_signatures_and_stale_timestamps_are_refused(world: World, change: dict[str, str], status: int) -> None:
    import json

    from tests.processes import ARIZE_SECRET
    from worker.cli_send import signed

    body = json.dumps(world.alert()).encode()
    headers = {**signed(body, ARIZE_SECRET), **change}
    assert (
        world.tocsin.http.post(f"{world.tocsin.url}/webhooks/arize", content=body, headers=headers).status_code
        == status
    )


def test_a_redelivery_and_a_replay_page_nobody(world: World) -> None:
    import json

    from tests.processes import ARIZE_SECRET
    from worker.cli_send import signed

    body = json.dumps(world.alert()).encode()
    headers = signed(body, ARIZE_SECRET)
    post = world.tocsin.http.post
    url = f"{world.tocsin.url}/webhooks/arize"
    incident = post(url, content=body, headers=headers).json()["incident"]
    assert post(url, content=body, headers=headers).json()["state"] == "joined"
    world.paged(incident)
    world.tocsin.call("POST", f"/{incident}/resolve", json={})
    world.tocsin.until(incident, lambda one: one["state"] == "closed")
    assert post(url, content=body, headers=headers).json()["state"] == "joined"
    forged = post(url, content=body, headers={**headers, "X-Arize-Webhook-Id": "evt-forged"})
    assert forged.status_code == 401
    assert len(world.pages(incident)) == 1
    assert world.tocsin.incident(incident)["state"] == "closed"
