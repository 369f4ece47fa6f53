"""Two gateways and two workers at once, on PostgreSQL: whichever is asked, and whichever dies, it is one Tocsin."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Generator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from tests import DEV_SERVER
from tests.acceptance import test_main_job as core
from tests.acceptance.conftest import SPEED, STEP, World
from tests.polling import asking
from tests.ports import unused_port
from tests.postgres import postgres
from tests.processes import Tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.vendors.policy import SECRETS
from tests.waiting import wait_for
from worker.embedded import server_command

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-many")]

# The core of what one Tocsin promises, once more.
test_paged_acknowledged = core.test_paged_acknowledged_by_a_signed_callback_and_not_escalated
test_silence_escalates = core.test_silence_escalates_after_the_delay_and_an_acknowledgement_ends_it
test_an_acknowledgement_before_the_receipt = core.test_an_acknowledgement_before_the_receipt_counts
test_two_hundred_identical_alerts = core.test_two_hundred_identical_alerts_at_once_are_one_page
test_regulated_and_cleared_stays_open = core.test_regulated_and_cleared_stays_open_until_compliance_closes_it
test_the_record_is_whole = core.test_the_record_of_it_all_is_whole_and_the_terminal_shows_it
test_bad_signatures_are_refused = core.test_bad_signatures_and_stale_timestamps_are_refused
test_a_redelivery_and_a_replay = core.test_a_redelivery_and_a_replay_page_nobody


class Many(Tocsin):
    """Spoken to at one gateway after the other."""

    def __init__(self, folder: Path, policy: Path, **settings: str) -> None:
        gateways = [Tocsin(folder / f"gateway-{number}", policy, SPEED, **settings) for number in (1, 2)]
        self._turns = cycle(gateways)
        super().__init__(folder, policy, SPEED, **settings)
        self.gateways = gateways
        self.workers = [Tocsin(folder / f"worker-{number}", policy, SPEED, **settings) for number in (1, 2)]
        # For the terminal, which talks to one of them.
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
        """Start, and wait until each has asked for work: from then on either may die."""
        for one in self.workers:
            one.start("worker", *role)
        for one in self.gateways:
            one.start("gateway", *role)
        wanted = {str(one.process.pid) for one in self.workers if one.process}
        address = self.environment["TEMPORAL_ADDRESS"]
        wait_for(lambda: wanted <= asyncio.run(asking(address)), 60, 0.2, self.told)

    def stop(self, number: int = 2) -> int:
        """The exit code of those that nobody killed: 0, or the first that is another."""
        codes = [one.stop(number) for one in self.everyone]
        return next((code for code in codes if code not in {0, -signal.SIGKILL}), 0)

    def told(self) -> str:
        """What each of them has printed last."""
        ends = [
            f"{one.folder.name} ({one.process and one.process.poll()}):\n{one.printed()[-3000:]}"
            for one in self.everyone
        ]
        return "\n".join(ends)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[World]:
    folder = tmp_path_factory.mktemp("many")
    with postgres() as database, PagerDuty() as pagerduty, Slack() as slack, Jira() as jira:
        port = unused_port()
        command = server_command(folder / "temporal.db", "default", port, unused_port(), "")
        assert command[0] == DEV_SERVER
        with (folder / "temporal.log").open("wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)
        world = World(folder / "world", pagerduty, slack, jira)
        settings = {"TEMPORAL_ADDRESS": f"127.0.0.1:{port}", "TOCSIN_DATABASE_URL": database}
        world.tocsin = many = Many(folder / "world", world.policy, **SECRETS, **settings)
        many.start()
        try:
            yield world
        finally:
            code, told = many.stop(), many.told()
            server.terminate()
            server.wait(20)
        assert code == 0, told
        assert pagerduty.violations == slack.violations == jira.violations == []


def test_what_one_gateway_took_the_other_knows(world: World) -> None:
    """A redelivery, and an answer, may come to any of them; also after the incident is over."""
    one, other = _many(world).gateways
    alert = world.alert()
    incident = one.send(alert, "evt-two").json()["incident"]
    page = world.paged(incident)
    assert other.send(alert, "evt-two").json() == {"incident": incident, "state": "joined"}
    assert other.callback("incident.resolved", page.body["dedup_key"]).status_code == 202
    world.tocsin.until(incident, lambda view: view["state"] == "closed" and view["alerts"] == 1)
    assert one.send(alert, "evt-two").json()["state"] == "joined"
    assert len(world.pages(incident)) == 1


def test_work_is_shared(world: World) -> None:
    """Both workers deliver: a receipt's record says nothing of who wrote it, but their logs do."""
    many = _many(world)

    def busy(incidents: list[str]) -> list[int]:
        """Of how many of the incidents each worker says that it delivered something."""
        return [sum(f'"incident": "{one}"' in worker.printed() for one in incidents) for worker in many.workers]

    incidents: list[str] = []
    while len(incidents) < 12 or (len(incidents) < 60 and not all(busy(incidents))):
        incidents.append(world.tocsin.open(world.alert()))
        world.paged(incidents[-1])
        world.tocsin.call("POST", f"/{incidents[-1]}/acknowledge", json={})
    wait_for(lambda: sum(busy(incidents)) >= len(incidents), told=many.told)
    assert all(busy(incidents)), many.told()


def test_one_of_each_is_killed_and_the_others_go_on(world: World) -> None:
    many = _many(world)
    silent = world.tocsin.open(world.alert())
    first = world.paged(silent)
    for victim in (many.workers[0], many.gateways[0]):
        assert victim.process is not None
        victim.process.kill()
        victim.process.wait(10)
    # What the dead worker was given and had not done, Temporal gives to another after the time that it has for it.
    second = world.pagerduty.wait_for(lambda: world.pages(silent, "secondary"), 60)[0]
    assert STEP * 0.9 < second.at - first.at < STEP + 30
    incident = world.tocsin.open(world.alert())
    page = world.paged(incident)
    assert world.tocsin.callback("incident.acknowledged", page.body["dedup_key"]).status_code == 202
    world.tocsin.until(incident, lambda one: one["state"] == "acknowledged")
    time.sleep(STEP * 1.5)
    assert len(world.pages(incident)) == 1


def _many(world: World) -> Any:
    return world.tocsin
