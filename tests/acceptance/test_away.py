"""What a worker and a gateway need may be away when they start, and while they run: fires are paged all the same."""

import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests import DEV_SERVER
from tests.acceptance.conftest import SPEED, STEP, World
from tests.ports import unused_port
from tests.postgres import Server, running
from tests.processes import Tocsin, tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-away")]
NAMESPACE = "tocsin"


class Apart(World):
    """Worker and gateway as processes of their own, on a cluster and a database that come later."""

    def __init__(self, folder: Path, database: Server, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> None:
        super().__init__(folder, pagerduty, slack, jira)
        self.database, self.folder, self.port = database, folder, unused_port()
        self.cluster: subprocess.Popen[bytes] | None = None
        settings = {
            **SECRETS,
            "TEMPORAL_ADDRESS": f"127.0.0.1:{self.port}",
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "TOCSIN_DATABASE_URL": database.url,
        }
        self.worker = Tocsin(folder / "worker", self.policy, SPEED, **settings)
        self.tocsin = Tocsin(folder / "gateway", self.policy, SPEED, **settings)
        settings["TOCSIN_PUBLIC_URL"] = self.tocsin.url
        self.watchdog = Tocsin(folder / "watchdog", self.policy, SPEED, **settings)
        with self.policy.open("a") as policy:
            policy.write("\nwatchdog: {notify: [primary], after: 2m}\n")

    def start_cluster(self) -> None:
        command = [DEV_SERVER, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(self.port)]
        command += ["--db-filename", str(self.folder / "temporal.db")]
        with (self.folder / "temporal.log").open("ab") as log:
            self.cluster = subprocess.Popen([*command, "--log-level", "error"], stdout=log, stderr=log)

    def namespace(self, *what: str) -> None:
        """Have the cluster do something about the namespace, as soon as it can."""
        command = [DEV_SERVER, "operator", "namespace", *what, "-n", NAMESPACE, "--address", f"127.0.0.1:{self.port}"]
        wait_for(lambda: subprocess.run(command, capture_output=True).returncode == 0, 60, 0.2)

    def stop_cluster(self) -> None:
        if self.cluster is not None:
            self.cluster.kill()
            self.cluster.wait(10)

    def burn(self) -> Any:
        """A new fire, and its page. It may lie in the spool for a moment: the cluster has only just begun."""
        incident = self.tocsin.send(self.alert()).json()["incident"]
        return self.pagerduty.wait_for(lambda: self.pages(incident, "primary"), 60)[0]

    def told(self, action: str) -> list[Any]:
        """What the watchdog has told of the database."""
        return [one for one in self.pagerduty.events(action) if "tocsin-watchdog-deliveries" in one["dedup_key"]]

    def end(self) -> None:
        for role in (self.worker, self.tocsin, self.watchdog):
            if role.process is not None and role.process.poll() is None:
                role.process.kill()
                role.process.wait(10)
        self.stop_cluster()


@pytest.fixture
def apart(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> Generator[Apart]:
    with running() as database:
        apart = Apart(tmp_path, database, pagerduty, slack, jira)
        try:
            yield apart
        finally:
            apart.end()
    assert pagerduty.violations == slack.violations == jira.violations == []


def test_everything_is_away_at_the_start_and_comes_one_after_the_other(apart: Apart) -> None:
    """First nothing but worker and gateway; then Temporal, its namespace, and the database last."""
    apart.database.stop()
    apart.worker.start("worker")
    apart.tocsin.start("gateway")  # and it is ready: it has its spool
    first = apart.tocsin.send(apart.alert()).json()
    assert first["state"] == "spooled"
    apart.start_cluster()
    time.sleep(3)  # a cluster without the namespace
    assert apart.worker.process is not None
    assert apart.worker.process.poll() is None, apart.worker.printed()
    apart.namespace("create")
    page = apart.pagerduty.wait_for(lambda: apart.pages(first["incident"], "primary"), 60)[0]
    assert apart.tocsin.callback("incident.acknowledged", page.body["dedup_key"]).status_code == 202
    apart.tocsin.until(first["incident"], lambda one: one["state"] == "acknowledged")
    silent = apart.tocsin.send(apart.alert()).json()["incident"]
    second = apart.pagerduty.wait_for(lambda: apart.pages(silent, "secondary"), 60)[0]
    assert second.at - apart.paged(silent).at < STEP + 30
    assert "is away" in apart.tocsin.printed()
    apart.database.start()
    closed = apart.tocsin.send({**apart.alert(), "status": "CLEARED"})
    assert closed.status_code == 202
    wait_for(lambda: _verified(apart.worker), 60, 0.5, lambda: str(_verified(apart.worker)))
    for role in (apart.worker, apart.tocsin):
        assert role.stop() == 0, role.printed()


def test_the_database_goes_while_they_run_and_both_are_killed_meanwhile(apart: Apart) -> None:
    apart.start_cluster()
    apart.namespace("create")
    apart.worker.start("worker")
    apart.tocsin.start("gateway")
    apart.watchdog.start("watchdog")
    apart.burn()
    apart.database.stop()
    alert = apart.alert()
    incident = apart.tocsin.send(alert, "evt-away").json()["incident"]
    page = apart.paged(incident)
    for role, name in ((apart.worker, "worker"), (apart.tocsin, "gateway")):
        role.kill()
        role.start(name)
    again = apart.tocsin.send(alert, "evt-away").json()  # which only the incident itself knows
    assert (again["incident"], again["state"] in {"joined", "spooled"}) == (incident, True)
    assert apart.tocsin.callback("incident.acknowledged", page.body["dedup_key"]).status_code == 202
    apart.tocsin.until(incident, lambda one: one["state"] == "acknowledged" and one["alerts"] == 1)
    apart.pagerduty.wait_for(lambda: apart.told("trigger"), 60)
    assert "the memory of deliveries is away" in apart.told("trigger")[0]["payload"]["summary"]
    shown = tocsin("audit", "verify", environment=apart.worker.environment)
    assert shown.returncode == 3, "an edited log is 1"
    assert shown.stderr.startswith("the audit log's database, TOCSIN_DATABASE_URL, cannot be read: connection failed")
    assert len(shown.stderr.splitlines()) == 1
    apart.database.start()
    wait_for(lambda: '"acknowledged"' in _exported(apart.worker, incident), 60, 0.5)
    assert _verified(apart.worker)
    keys = {one.body["dedup_key"] for one in apart.pages(incident, "primary")}
    assert len(keys) == 1, "the worker may have been killed before it heard that the page was taken: it rings once"
    apart.pagerduty.wait_for(lambda: len(apart.told("resolve")) == len(apart.told("trigger")), 60)


def test_a_namespace_that_is_not_there_for_a_while_ends_no_worker(apart: Apart) -> None:
    apart.start_cluster()
    apart.namespace("create")
    apart.worker.start("worker")
    apart.tocsin.start("gateway")
    apart.burn()
    apart.namespace("delete", "--yes")
    apart.stop_cluster()
    apart.start_cluster()
    spooled = apart.tocsin.send(apart.alert()).json()
    assert spooled["state"] == "spooled"
    time.sleep(5)  # by now both were told that there is none
    apart.namespace("create")  # without the search attributes that the one before had
    apart.pagerduty.wait_for(lambda: apart.pages(spooled["incident"]), 60)


def _verified(worker: Tocsin) -> bool:
    return tocsin("audit", "verify", environment=worker.environment).returncode == 0


def _exported(worker: Tocsin, incident: str) -> str:
    """What the audit log has of it."""
    to = worker.folder / "exported"
    done = tocsin("audit", "export", str(to), "--incident", incident, environment=worker.environment)
    assert done.returncode == 0, done.stderr
    return to.read_text()
