"""Temporal, its namespace or the database is unavailable, at the start or later: alerts are paged all the same."""

import subprocess
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests import DEV_SERVER
from tests.acceptance.conftest import RESTART, SPEED, STEP, AcceptanceHarness
from tests.ports import unused_port
from tests.postgres import PostgresServer, running_server
from tests.processes import Tocsin, tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS
from tests.waiting import SLOW_MACHINE, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-outages"), pytest.mark.timeout(400)]
NAMESPACE = "tocsin"


class SplitHarness(AcceptanceHarness):
    """Worker, gateway and watchdog as separate processes, on a cluster and a database that a test starts and stops."""

    def __init__(self, folder: Path, database: PostgresServer, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> None:
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

    def namespace(self, *arguments: str) -> None:
        """Run ``temporal operator namespace``, again until it succeeds."""
        command = [
            DEV_SERVER,
            "operator",
            "namespace",
            *arguments,
            "-n",
            NAMESPACE,
            "--address",
            f"127.0.0.1:{self.port}",
        ]
        wait_for(lambda: subprocess.run(command, capture_output=True).returncode == 0, interval=0.2)

    def stop_cluster(self) -> None:
        if self.cluster is not None:
            self.cluster.kill()
            self.cluster.wait(SLOW_MACHINE)

    def fire_and_page(self) -> Any:
        """A new alert, and its page. It may be spooled first: the cluster has just started."""
        incident = self.tocsin.send(self.alert()).json()["incident"]
        return self.wait_for_page(incident)

    def watchdog_events(self, action: str) -> list[Any]:
        """The watchdog's events about the database."""
        return [one for one in self.pagerduty.events(action) if "tocsin-watchdog-dedup_store" in one["dedup_key"]]

    def end(self) -> None:
        for role in (self.worker, self.tocsin, self.watchdog):
            if role.process is not None and role.process.poll() is None:
                role.process.kill()
                role.process.wait(SLOW_MACHINE)
        self.stop_cluster()


@pytest.fixture
def split(tmp_path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> Generator[SplitHarness]:
    with running_server() as database:
        split = SplitHarness(tmp_path, database, pagerduty, slack, jira)
        try:
            yield split
        finally:
            split.end()
    assert pagerduty.violations == slack.violations == jira.violations == []


def test_start_without_temporal_namespace_and_database(split: SplitHarness) -> None:
    """Worker and gateway start first; then Temporal, its namespace, and at last the database."""
    split.database.stop()
    split.worker.start("worker")
    split.tocsin.start("gateway")  # ready, since it has its spool
    first = split.tocsin.send(split.alert()).json()
    assert first["state"] == "spooled"
    split.start_cluster()
    time.sleep(3)  # a cluster without the namespace
    assert split.worker.process is not None
    assert split.worker.process.poll() is None, split.worker.printed()
    split.namespace("create")
    page = split.wait_for_page(first["incident"])
    assert split.tocsin.callback("incident.acknowledged", page.body["dedup_key"]).status_code == 202
    split.tocsin.until(first["incident"], lambda one: one["state"] == "acknowledged")
    unacknowledged = split.tocsin.send(split.alert()).json()["incident"]
    second = split.wait_for_page(unacknowledged, "secondary")
    assert second.at - split.wait_for_page(unacknowledged).at < STEP + RESTART
    assert "dedup_store_unavailable" in split.tocsin.printed()
    split.database.start()
    closed = split.tocsin.send({**split.alert(), "status": "CLEARED"})
    assert closed.status_code == 202
    wait_for(lambda: _verified(split.worker), 3 * SLOW_MACHINE, interval=0.5)
    for role in (split.worker, split.tocsin):
        assert role.stop() == 0, role.printed()


def test_database_outage_while_worker_and_gateway_restart(split: SplitHarness) -> None:
    split.start_cluster()
    split.namespace("create")
    split.worker.start("worker")
    split.tocsin.start("gateway")
    split.watchdog.start("watchdog")
    split.fire_and_page()
    split.database.stop()
    alert = split.alert()
    incident = split.tocsin.send(alert, "evt-outage").json()["incident"]
    page = split.wait_for_page(incident)
    for role, name in ((split.worker, "worker"), (split.tocsin, "gateway")):
        role.kill()
        role.start(name)
    again = split.tocsin.send(alert, "evt-outage").json()  # only the incident itself has processed it
    assert (again["incident"], again["state"] in {"joined", "spooled"}) == (incident, True)
    assert split.tocsin.callback("incident.acknowledged", page.body["dedup_key"]).status_code == 202
    split.tocsin.until(incident, lambda one: one["state"] == "acknowledged" and one["alert_count"] == 1)
    wait_for(lambda: split.watchdog_events("trigger"))
    notified = split.watchdog_events("trigger")[0]["payload"]
    assert notified["summary"] == "HIGH Tocsin itself: the database is unavailable", "people are notified without it"
    assert "Audit events, digests, the quarantine and the dedup store wait" in str(notified["custom_details"])
    pages = [one for one in split.pagerduty.events("trigger") if "tocsin-watchdog-" in one["dedup_key"]]
    assert not [one for one in pages if one["payload"]["summary"].startswith("CRITICAL Tocsin itself: notifications")]
    shown = tocsin("audit", "verify", environment=split.worker.environment)
    assert shown.returncode == 3, "an edited log is exit code 1"
    assert shown.stderr.startswith(
        "tocsin: the audit log's database, TOCSIN_DATABASE_URL, cannot be read: connection failed"
    )
    assert len(shown.stderr.splitlines()) == 1
    split.database.start()
    wait_for(lambda: '"acknowledged"' in _exported(split.worker, incident), 3 * SLOW_MACHINE, interval=0.5)
    assert _verified(split.worker)
    keys = {one.body["dedup_key"] for one in split.pages(incident, "primary")}
    assert len(keys) == 1, (
        "the worker may have been killed before the receipt; PagerDuty folds a repeat with the same key"
    )
    wait_for(lambda: len(split.watchdog_events("resolve")) == len(split.watchdog_events("trigger")))


def test_deleted_namespace_ends_no_worker(split: SplitHarness) -> None:
    split.start_cluster()
    split.namespace("create")
    split.worker.start("worker")
    split.tocsin.start("gateway")
    split.fire_and_page()
    split.namespace("delete", "--yes")
    split.stop_cluster()
    split.start_cluster()
    spooled = split.tocsin.send(split.alert()).json()
    assert spooled["state"] == "spooled"
    time.sleep(5)  # both processes have met the missing namespace
    split.namespace("create")  # without the previous one's search attributes
    split.wait_for_page(spooled["incident"])


def _verified(worker: Tocsin) -> bool:
    return tocsin("audit", "verify", environment=worker.environment).returncode == 0


def _exported(worker: Tocsin, incident: str) -> str:
    """The incident's records in the audit log, empty while it has none."""
    file = worker.folder / "exported"
    done = tocsin("audit", "export", str(file), "--incident", incident, environment=worker.environment)
    if done.returncode:
        assert "the audit log has no record of" in done.stderr, done.stderr
        return ""
    return file.read_text()
