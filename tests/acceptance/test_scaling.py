"""Two gateways and two workers on PostgreSQL: any of them may receive a request, and any may die."""

import asyncio
import signal
import subprocess
from collections.abc import Generator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests import DEV_SERVER
from tests.acceptance import test_main_job as core
from tests.acceptance.conftest import RESTART, SPEED, STEP, AcceptanceHarness
from tests.polling import polling_processes
from tests.ports import unused_port
from tests.postgres import postgres
from tests.processes import Tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS
from tests.waiting import SLOW_MACHINE, wait_for
from worker.embedded import server_command

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-scaling")]

# The core tests of one gateway and one worker, repeated here.
test_scaled_callback_acknowledges = core.test_signed_callback_acknowledges_and_stops_escalation
test_scaled_unacknowledged_page_escalates = core.test_unacknowledged_page_escalates_until_acknowledged
test_scaled_acknowledgement_before_receipt = core.test_acknowledgement_before_receipt_counts
test_scaled_concurrent_alerts_are_one_page = core.test_two_hundred_concurrent_alerts_are_one_page
test_scaled_regulated_incident_stays_open = core.test_regulated_incident_stays_open_until_compliance_closes
test_scaled_audit_log_is_intact = core.test_audit_log_is_intact_and_shown
test_scaled_bad_signatures_are_rejected = core.test_bad_signatures_and_stale_timestamps_are_rejected
test_scaled_redelivery_pages_nobody = core.test_redelivery_and_replay_page_nobody


class ScaledTocsin(Tocsin):
    """Two workers and two gateways; requests go to the gateways in turn."""

    def __init__(self, folder: Path, policy: Path, **settings: str) -> None:
        gateways = [Tocsin(folder / f"gateway-{number}", policy, SPEED, **settings) for number in (1, 2)]
        self._turns = cycle(gateways)
        super().__init__(folder, policy, SPEED, **settings)
        self.gateways = gateways
        self.workers = [Tocsin(folder / f"worker-{number}", policy, SPEED, **settings) for number in (1, 2)]
        # For the command line, which uses one of them.
        self.environment["TOCSIN_PUBLIC_URL"] = gateways[0].url

    @property
    def url(self) -> str:  # type: ignore[override]
        return next(one.url for one in self._turns if one.process is None or one.process.poll() is None)

    @url.setter
    def url(self, value: str) -> None:
        del value

    @property
    def everyone(self) -> list[Tocsin]:
        return [*self.workers, *self.gateways]

    def start(self, *role: str) -> None:
        """Start them, and wait until both workers poll: from then on either may die."""
        for one in self.workers:
            one.start("worker", *role)
        for one in self.gateways:
            one.start("gateway", *role)
        wanted = {str(one.process.pid) for one in self.workers if one.process}
        address = self.environment["TEMPORAL_ADDRESS"]
        wait_for(lambda: wanted <= asyncio.run(polling_processes(address)), interval=0.2, describe=self.describe)

    def stop(self, number: int = 2) -> int:
        """The exit code of those that no test killed: 0, or the first that is not."""
        codes = [one.stop(number) for one in self.everyone]
        return next((code for code in codes if code not in {0, -signal.SIGKILL}), 0)

    def describe(self) -> str:
        """The last output of each process."""
        ends = [
            f"{one.folder.name} ({one.process and one.process.poll()}):\n{one.printed()[-3000:]}"
            for one in self.everyone
        ]
        return "\n".join(ends)


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Generator[AcceptanceHarness]:
    folder = tmp_path_factory.mktemp("scaling")
    with postgres() as database, PagerDuty() as pagerduty, Slack() as slack, Jira() as jira:
        port = unused_port()
        command = server_command(folder / "temporal.db", "default", port, unused_port(), "")
        assert command[0] == DEV_SERVER
        with (folder / "temporal.log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)
        harness = AcceptanceHarness(folder / "world", pagerduty, slack, jira)
        settings = {"TEMPORAL_ADDRESS": f"127.0.0.1:{port}", "TOCSIN_DATABASE_URL": database}
        harness.tocsin = many = ScaledTocsin(folder / "world", harness.policy, **SECRETS, **settings)
        many.start()
        try:
            yield harness
        finally:
            code, output = many.stop(), many.describe()
            server.terminate()
            server.wait(SLOW_MACHINE)
        assert code == 0, output
        assert pagerduty.violations == slack.violations == jira.violations == []


def test_gateways_share_accepted_alerts(harness: AcceptanceHarness) -> None:
    """A redelivery or a callback may reach either gateway, also after the incident is closed."""
    one, other = _many(harness).gateways
    alert = harness.alert()
    incident = one.send(alert, "evt-two").json()["incident"]
    page = harness.wait_for_page(incident)
    assert other.send(alert, "evt-two").json() == {"incident": incident, "state": "joined"}
    assert other.callback("incident.resolved", page.body["dedup_key"]).status_code == 202
    harness.tocsin.until(incident, lambda view: view["state"] == "closed" and view["alert_count"] == 1)
    assert one.send(alert, "evt-two").json()["state"] == "joined"
    assert len(harness.pages(incident, "primary")) == 1


def test_workers_share_the_work(harness: AcceptanceHarness) -> None:
    """Both workers send notifications, as their logs show."""
    many = _many(harness)

    def busy(incidents: list[str]) -> list[int]:
        """How many of the incidents each worker has log lines about."""
        return [sum(f'"incident": "{one}"' in worker.printed() for one in incidents) for worker in many.workers]

    incidents: list[str] = []
    while len(incidents) < 12 or (len(incidents) < 60 and not all(busy(incidents))):
        incidents.append(harness.tocsin.open(harness.alert()))
        harness.wait_for_page(incidents[-1])
        harness.tocsin.call("POST", f"/{incidents[-1]}/acknowledge", json={})
    wait_for(lambda: sum(busy(incidents)) >= len(incidents), describe=many.describe)
    assert all(busy(incidents)), many.describe()


def test_one_gateway_and_worker_killed_others_continue(harness: AcceptanceHarness) -> None:
    many = _many(harness)
    unacknowledged = harness.tocsin.open(harness.alert())
    first = harness.wait_for_page(unacknowledged)
    for victim in (many.workers[0], many.gateways[0]):
        assert victim.process is not None
        victim.process.kill()
        victim.process.wait(SLOW_MACHINE)
    # Temporal gives the dead worker's unfinished tasks to the other one when their timeouts expire.
    second = harness.wait_for_page(unacknowledged, "secondary")
    assert STEP * 0.9 < second.at - first.at < STEP + RESTART
    incident = harness.tocsin.open(harness.alert())
    page = harness.wait_for_page(incident)
    assert harness.tocsin.callback("incident.acknowledged", page.body["dedup_key"]).status_code == 202
    harness.tocsin.until(incident, lambda one: one["state"] == "acknowledged")
    harness.assert_quiet(incident, STEP * 1.5)


def _many(harness: AcceptanceHarness) -> Any:
    return harness.tocsin
