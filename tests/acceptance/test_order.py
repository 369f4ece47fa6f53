"""Real processes: what arrives out of order changes nothing, and what fires again pages again."""

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.conftest import SPEED, AcceptanceHarness
from tests.processes import tocsin
from tests.waiting import SLOW_MACHINE, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance")]
REFIRE_AFTER = 30 * 60 / SPEED


def at(minutes_ago: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat()


def has_event(name: str) -> Any:
    return lambda one: any(entry["event"] == name for entry in one["timeline"])


def test_older_clear_leaves_fire_open(harness: AcceptanceHarness) -> None:
    """A retried delivery of an earlier clear arrives after the trigger."""
    alert = harness.alert()
    incident = harness.tocsin.open({**alert, "evaluated_at": at(5)})
    harness.wait_for_page(incident)
    answer = harness.tocsin.send({**alert, "status": "CLEARED", "evaluated_at": at(6)})
    assert answer.json() == {"incident": incident, "state": "joined"}
    harness.tocsin.until(incident, has_event("older_alert"))
    harness.wait_for_page(incident, "secondary")  # it escalates as if the clear had not come
    harness.tocsin.send({**alert, "status": "CLEARED", "evaluated_at": at(1)})
    harness.tocsin.until(incident, lambda one: one["state"] == "closed")
    late = harness.tocsin.send({**alert, "evaluated_at": at(4), "metric_value": 0.4}, "late-trigger")
    assert late.json()["state"] == "recorded"
    shown = tocsin("audit", "show", incident, environment=harness.tocsin.environment)
    assert "older alert" in shown.stdout


def test_last_clear_survives_restart(harness: AcceptanceHarness) -> None:
    alert = harness.alert()
    incident = harness.tocsin.open({**alert, "evaluated_at": at(10)})
    harness.wait_for_page(incident)
    harness.tocsin.send({**alert, "status": "CLEARED", "evaluated_at": at(5)})
    harness.tocsin.until(incident, lambda one: one["state"] == "closed")
    gateway = harness.tocsin.child("gateway")
    gateway.kill()
    gateway.wait(SLOW_MACHINE)
    harness.tocsin.wait_until_ready()
    late = harness.tocsin.send({**alert, "evaluated_at": at(7), "metric_value": 0.4}, f"late-{incident}")
    assert late.json()["state"] == "recorded"
    assert len(harness.pages(incident, "primary")) == 1


def opened_and_closed(harness: AcceptanceHarness, alert: dict[str, Any], value: float) -> str:
    incident = harness.tocsin.open({**alert, "metric_value": value})
    harness.tocsin.until(incident, lambda one: one["state"] == "notified")
    # Another body than the other opening's: equal signed bytes of one second are a copy.
    harness.tocsin.send({**alert, "status": "CLEARED", "metric_value": value / 10}, f"clear-{value}-{incident}")
    harness.tocsin.until(incident, lambda one: one["state"] == "closed")
    return incident


def test_earlier_opening_can_be_read(harness: AcceptanceHarness) -> None:
    """The same monitor opens an incident of the same id again."""
    alert = harness.alert()
    incident = opened_and_closed(harness, alert, 0.3)
    assert opened_and_closed(harness, alert, 0.4) == incident

    def listed() -> list[Any]:
        found = harness.tocsin.call("GET", "", params={"id": incident}).json()["incidents"]
        return found if len(found) == 2 else []

    latest, earlier = wait_for(listed)
    assert (latest["alert"]["value"], earlier["alert"]["value"]) == (0.04, 0.03)
    assert harness.tocsin.incident(incident)["first_run_id"] == latest["first_run_id"]
    run = earlier["first_run_id"]
    read = harness.tocsin.call("GET", f"/{incident}", params={"run": run}).json()
    assert (read["first_run_id"], "30 %" in read["headline"]) == (earlier["first_run_id"], True)
    assert harness.tocsin.call("GET", f"/{incident}", params={"run": "ffffffff"}).status_code == 404
    shown = tocsin("incidents", "show", incident, environment=harness.tocsin.environment)
    assert run in shown.stdout.partition("Other openings")[2], shown.stdout
    first = tocsin("incidents", "show", incident, "--run", run, environment=harness.tocsin.environment)
    assert "30 %" in first.stdout.splitlines()[0]
    audit = tocsin("audit", "show", incident, environment=harness.tocsin.environment)
    assert f"Opening 1 of 2, run {run}:" in audit.stdout


def test_acknowledged_incident_pages_when_it_fires_again(harness: AcceptanceHarness) -> None:
    alert = harness.alert()
    incident = harness.tocsin.open(alert)
    first = harness.wait_for_page(incident)
    harness.tocsin.callback("incident.acknowledged", first.body["dedup_key"])
    harness.tocsin.until(incident, lambda one: one["state"] == "acknowledged")
    time.sleep(REFIRE_AFTER + 1)  # no alert comes in this time
    assert harness.tocsin.send(alert, f"again-{incident}").json()["state"] == "joined"
    one = harness.tocsin.until(incident, lambda one: one["refire_count"] == 1)
    assert one["acknowledged_by"] == ""
    wait_for(lambda: len(harness.pages(incident, "primary")) == 2, describe=harness.tocsin.last_output)
    first, second = harness.pages(incident, "primary")
    assert first.body["dedup_key"] != second.body["dedup_key"], "PagerDuty folds a repeated key silently"
    assert "Fires again" in json.dumps(second.body)
    shown = tocsin("incidents", "show", incident, environment=harness.tocsin.environment)
    assert "fires again" in shown.stdout
    harness.wait_for_page(incident, "secondary")  # the earlier acknowledgement does not stop the second escalation
    harness.tocsin.send({**alert, "status": "CLEARED"})
    harness.tocsin.until(incident, lambda one: one["state"] == "closed")


def test_regulated_incident_pages_when_it_fires_again(harness: AcceptanceHarness) -> None:
    """It waits for a person to close it; its monitor triggers again meanwhile."""
    alert = harness.alert(model="underwriting")
    incident = harness.tocsin.open(alert)
    page = harness.wait_for_page(incident)
    harness.tocsin.callback("incident.acknowledged", page.body["dedup_key"])
    harness.tocsin.until(incident, lambda one: one["acknowledged_by"])
    harness.tocsin.send({**alert, "status": "CLEARED"})
    harness.tocsin.until(incident, lambda one: one["state"] == "awaiting_human")
    harness.tocsin.send(alert, f"again-{incident}")
    harness.tocsin.until(incident, lambda one: one["state"] == "notified" and one["refire_count"] == 1)
    wait_for(lambda: len({one.body["dedup_key"] for one in harness.pages(incident, "primary")}) == 2)
    refused = harness.tocsin.call("POST", f"/{incident}/resolve", "r-token", json={})
    assert refused.status_code == 403
    one = harness.tocsin.until(incident, has_event("closure_denied"))
    assert one["state"] == "notified", "a refused closing changes nothing else"
    harness.tocsin.call("POST", f"/{incident}/resolve", "c-token", json={"note": "case 9"})
    harness.tocsin.until(incident, lambda one: one["state"] == "closed")
