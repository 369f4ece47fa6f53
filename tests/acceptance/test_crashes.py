"""Processes are killed at chosen instants: there is one page, and timers fire."""

import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import RESTART, STEP, AcceptanceHarness
from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.waiting import SLOW_MACHINE, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-crashes")]


@pytest.fixture
def harness(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> Generator[AcceptanceHarness]:
    """Processes that other tests do not use, so that a test may kill them."""
    harness = AcceptanceHarness(tmp_path, pagerduty, slack, jira)
    harness.tocsin.start()
    yield harness
    harness.stop()


def test_worker_killed_between_page_and_acknowledgement(harness: AcceptanceHarness) -> None:
    tocsin = harness.tocsin
    incident = tocsin.open(harness.alert())
    first = harness.wait_for_page(incident)
    tocsin.until(incident, lambda one: one["state"] == "notified")
    worker = tocsin.child("worker")
    worker.kill()
    worker.wait(SLOW_MACHINE)
    second = harness.wait_for_page(incident, "secondary")
    assert STEP * 0.9 < second.at - first.at < STEP + RESTART
    assert len(harness.pages(incident, "primary")) == 1
    assert tocsin.callback("incident.acknowledged", first.body["dedup_key"]).status_code == 202
    tocsin.until(incident, lambda one: one["state"] == "acknowledged")
    assert "worker ended unexpectedly (signal SIGKILL); restarting it" in tocsin.printed()


def test_worker_killed_while_it_pages(harness: AcceptanceHarness) -> None:
    """The vendor accepted the page, and the worker died before the receipt: the second attempt has the same key."""
    tocsin = harness.tocsin
    harness.pagerduty.script(Fault(delay=30, after=True))
    incident = tocsin.open(harness.alert())
    harness.wait_for_page(incident)
    tocsin.child("worker").kill()
    tocsin.until(incident, lambda one: any(r["destination"] == "primary" for r in one["receipts"]))
    pages = harness.pages(incident, "primary")
    assert len(pages) == 2
    assert len({page.body["dedup_key"] for page in pages}) == 1, "PagerDuty folds the two into one"


def test_everything_killed_and_restarted(harness: AcceptanceHarness) -> None:
    tocsin = harness.tocsin
    incident = tocsin.open(harness.alert())
    harness.wait_for_page(incident)
    tocsin.until(incident, lambda one: one["state"] == "notified")
    tocsin.kill()
    tocsin.start()
    harness.wait_for_page(incident, "secondary")
    assert len(harness.pages(incident, "primary")) == 1
    assert tocsin.incident(incident)["escalation_level"] >= 2


def test_temporal_server_killed(harness: AcceptanceHarness) -> None:
    tocsin = harness.tocsin
    incident = tocsin.open(harness.alert())
    first = harness.wait_for_page(incident)
    tocsin.until(incident, lambda one: one["state"] == "notified")
    server = tocsin.child("server")
    server.kill()
    server.wait(SLOW_MACHINE)
    harness.wait_for_page(incident, "secondary")
    assert len(harness.pages(incident, "primary")) == 1
    key = first.body["dedup_key"]
    wait_for(lambda: tocsin.callback("incident.acknowledged", key).status_code == 202)
    tocsin.until(incident, lambda one: one["state"] == "acknowledged")


def test_gateway_killed_right_after_its_response(harness: AcceptanceHarness) -> None:
    tocsin = harness.tocsin
    incident = tocsin.open(harness.alert())
    tocsin.child("gateway").kill()
    harness.wait_for_page(incident)
    wait_for(lambda: "gateway ended unexpectedly" in tocsin.printed())
    tocsin.wait_until_ready()


def test_gateway_killed_while_temporal_hangs(harness: AcceptanceHarness) -> None:
    """Accepted alerts are in the gateway's spool on disk, and the next gateway delivers them."""
    tocsin = harness.tocsin
    server = tocsin.child("server")
    server.suspend()
    try:
        alert = harness.alert()
        answers = [tocsin.send({**alert, "metric_value": value}, f"evt-{value}") for value in (0.31, 0.32, 0.33)]
        assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(202, "spooled")] * 3
        ready = tocsin.http.get(f"{tocsin.url}/readyz").json()
        assert (ready["ready"], ready["spooled"]["items"]) == (True, 3)
        assert ready["spooled"]["oldest_seconds"] > 0
        gateway = tocsin.child("gateway")
        gateway.kill()
        gateway.wait(10)
        wait_for(lambda: tocsin.printed().count("gateway ended unexpectedly"))
    finally:
        server.resume()
    incident = answers[0].json()["incident"]
    harness.wait_for_page(incident)
    one = tocsin.until(incident, lambda one: one["alert_count"] == 3)
    assert one["alert"]["value"] == 0.33
    assert len(harness.pages(incident, "primary")) == 1
    wait_for(lambda: tocsin.http.get(f"{tocsin.url}/readyz").json()["spooled"]["items"] == 0)


def test_acknowledgement_spooled_in_outage_stops_due_step(harness: AcceptanceHarness) -> None:
    """The timer fires when Temporal is back, while the acknowledgement is still in the gateway's spool."""
    tocsin = harness.tocsin
    incident = tocsin.open(harness.alert())
    key = harness.wait_for_page(incident).body["dedup_key"]
    tocsin.until(incident, lambda one: one["state"] == "notified")
    server = tocsin.child("server")
    server.suspend()
    try:
        assert tocsin.callback("incident.acknowledged", key).status_code == 202
        time.sleep(STEP + 4)
    finally:
        server.resume()
    tocsin.until(incident, lambda one: one["state"] == "acknowledged")
    time.sleep(3 * STEP)
    assert len(harness.pages(incident)) == 1
    assert tocsin.incident(incident)["escalation_level"] == 1


def test_ctrl_c_stops_everything(harness: AcceptanceHarness) -> None:
    tocsin = harness.tocsin
    assert tocsin.process is not None
    children = psutil.Process(tocsin.process.pid).children(recursive=True)
    assert len(children) >= 3
    assert tocsin.stop() == 0
    gone, alive = psutil.wait_procs(children, timeout=SLOW_MACHINE)
    assert (len(gone), alive) == (len(children), [])
    assert "Traceback" not in tocsin.printed()
