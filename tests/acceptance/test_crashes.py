"""Whatever is killed, the page is one and the timer fires."""

import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.conftest import STEP, World
from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-crashes")]


@pytest.fixture
def fragile(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> Generator[World]:
    """A world of its own, to break things in."""
    world = World(tmp_path / "world", pagerduty, slack, jira)
    world.tocsin.start()
    yield world
    if world.tocsin.process and world.tocsin.process.poll() is None:
        world.tocsin.stop()


def test_the_worker_killed_between_page_and_acknowledgement(fragile: World) -> None:
    tocsin = fragile.tocsin
    incident = tocsin.open(fragile.alert())
    first = fragile.paged(incident)
    tocsin.until(incident, lambda one: one["state"] == "notified")
    worker = tocsin.child("worker")
    worker.kill()
    worker.wait(10)
    second = fragile.paged(incident, "secondary")
    assert second.at - first.at < STEP + 15
    assert second.at - first.at > STEP * 0.9
    assert len(fragile.pages(incident, "primary")) == 1
    assert tocsin.callback("incident.acknowledged", first.body["dedup_key"]).status_code == 202
    tocsin.until(incident, lambda one: one["state"] == "acknowledged")
    assert "worker ended by itself (signal SIGKILL); starting it again" in tocsin.printed()


def test_the_worker_killed_while_it_pages(fragile: World) -> None:
    """The vendor took the page, and the worker died before it could say so: the second attempt has the same key."""
    tocsin = fragile.tocsin
    fragile.pagerduty.script(Fault(delay=30, after=True))
    incident = tocsin.open(fragile.alert())
    fragile.paged(incident)
    tocsin.child("worker").kill()
    tocsin.until(incident, lambda one: any(r["destination"] == "primary" for r in one["receipts"]), 60)
    pages = fragile.pages(incident, "primary")
    assert len(pages) == 2
    assert len({page.body["dedup_key"] for page in pages}) == 1, "PagerDuty folds the two into one"


def test_everything_killed_and_started_again(fragile: World) -> None:
    tocsin = fragile.tocsin
    incident = tocsin.open(fragile.alert())
    fragile.paged(incident)
    tocsin.until(incident, lambda one: one["state"] == "notified")
    tocsin.kill()
    tocsin.start()
    fragile.paged(incident, "secondary")
    assert len(fragile.pages(incident, "primary")) == 1
    assert tocsin.incident(incident)["escalation"] >= 2


def test_the_temporal_server_killed(fragile: World) -> None:
    tocsin = fragile.tocsin
    incident = tocsin.open(fragile.alert())
    first = fragile.paged(incident)
    tocsin.until(incident, lambda one: one["state"] == "notified")
    server = tocsin.child("server")
    server.kill()
    server.wait(10)
    fragile.pagerduty.wait_for(lambda: fragile.pages(incident, "secondary"), 60)
    assert len(fragile.pages(incident, "primary")) == 1
    key = first.body["dedup_key"]
    wait_for(lambda: tocsin.callback("incident.acknowledged", key).status_code == 202)
    tocsin.until(incident, lambda one: one["state"] == "acknowledged")


def test_the_gateway_killed_right_after_its_answer(fragile: World) -> None:
    tocsin = fragile.tocsin
    incident = tocsin.open(fragile.alert())
    tocsin.child("gateway").kill()
    fragile.paged(incident)
    wait_for(lambda: "gateway ended by itself" in tocsin.printed())
    tocsin.wait_until_ready()


def test_temporal_hangs_and_the_gateway_is_killed_meanwhile(fragile: World) -> None:
    """What was answered is on the gateway's own disk, and the next gateway delivers it."""
    tocsin = fragile.tocsin
    server = tocsin.child("server")
    server.suspend()
    try:
        alert = fragile.alert()
        answers = [tocsin.send({**alert, "metric_value": value}, f"evt-{value}") for value in (0.31, 0.32, 0.33)]
        assert [(answer.status_code, answer.json()["state"]) for answer in answers] == [(202, "spooled")] * 3
        ready = tocsin.http.get(f"{tocsin.url}/readyz").json()
        assert (ready["ready"], ready["spooled"]["items"]) == (True, 3)
        assert ready["spooled"]["oldest_seconds"] > 0
        gateway = tocsin.child("gateway")
        gateway.kill()
        gateway.wait(10)
        wait_for(lambda: tocsin.printed().count("gateway ended by itself"))
    finally:
        server.resume()
    incident = answers[0].json()["incident"]
    fragile.paged(incident)
    one = tocsin.until(incident, lambda one: one["alerts"] == 3)
    assert one["alert"]["value"] == 0.33
    assert len(fragile.pages(incident, "primary")) == 1
    wait_for(lambda: tocsin.http.get(f"{tocsin.url}/readyz").json()["spooled"]["items"] == 0)


def test_an_acknowledgement_while_temporal_is_away_stops_the_step_that_was_due_meanwhile(fragile: World) -> None:
    """The timer rings in the moment that Temporal is back, and the acknowledgement lies in the gateway's spool yet."""
    tocsin = fragile.tocsin
    incident = tocsin.open(fragile.alert())
    key = fragile.paged(incident).body["dedup_key"]
    tocsin.until(incident, lambda one: one["state"] == "notified")
    server = tocsin.child("server")
    server.suspend()
    try:
        assert tocsin.callback("incident.acknowledged", key).status_code == 202
        time.sleep(STEP + 4)
    finally:
        server.resume()
    tocsin.until(incident, lambda one: one["state"] == "acknowledged")
    time.sleep(STEP + 6)
    assert len(fragile.pages(incident)) == 1
    assert tocsin.incident(incident)["escalation"] == 1


def test_ctrl_c_stops_everything(fragile: World) -> None:
    tocsin = fragile.tocsin
    assert tocsin.process is not None
    children = psutil.Process(tocsin.process.pid).children(recursive=True)
    assert len(children) >= 3
    assert tocsin.stop() == 0
    gone, alive = psutil.wait_procs(children, timeout=5)
    assert (len(gone), alive) == (len(children), [])
    assert "Traceback" not in tocsin.printed()
