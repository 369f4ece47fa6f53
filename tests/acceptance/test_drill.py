"""A fire drill as its users run it: the real command, the real pipeline, real processes."""

import subprocess
import sys
from typing import Any

import pytest

from tests.acceptance.conftest import World
from tests.processes import tocsin
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance")]


def drilled(world: World) -> Any:
    """The pages of drills that PagerDuty got, the newest last."""
    return [one for one in world.pagerduty.events("trigger") if one["payload"]["summary"].startswith("DRILL")]


def test_a_drill_pages_for_real_waits_for_the_answer_and_is_over(world: World) -> None:
    environment = {**world.tocsin.environment, "TOCSIN_PUBLIC_URL": world.tocsin.url}
    before = len(drilled(world))
    command = [sys.executable, "-m", "worker.cli", "drill", "errors", "--model", "chatbot", "--by", "Dora", "--yes"]
    drill = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    page = world.pagerduty.wait_for(lambda: drilled(world)[before:])[0]
    assert page["payload"]["summary"].startswith("DRILL CRITICAL chatbot")
    assert page["payload"]["custom_details"]["Drill"] == "of rule errors: nothing is on fire"
    assert world.tocsin.callback("incident.acknowledged", page["dedup_key"], "Nora Night").status_code == 202
    output, _ = drill.communicate(timeout=60)
    assert drill.returncode == 0, output
    assert "acknowledged" in output
    assert "The drill is over, and everybody was told so." in output
    incident = page["dedup_key"].partition(".")[0]
    assert world.tocsin.until(incident, lambda one: one["state"] == "closed")["resolved_by"] == "Dora"
    wait_for(lambda: world.pages(incident, "primary", "resolve"))
    shown = tocsin("incidents", "list", "--limit", "20", environment=environment).stdout
    assert "DRILL CRITICAL chatbot" in shown


def test_a_drill_that_nobody_answers_says_so(world: World) -> None:
    environment = {**world.tocsin.environment, "TOCSIN_PUBLIC_URL": world.tocsin.url}
    result = tocsin("drill", "errors", "--yes", "--wait", "0.02", environment=environment)
    assert result.returncode == 1
    assert "Nobody acknowledged within 0.02 min." in result.stdout
