"""A fire drill with the real command, through the real pipeline and real processes."""

import subprocess
import sys
from typing import Any

import pytest

from tests.acceptance.conftest import AcceptanceHarness
from tests.processes import tocsin
from tests.waiting import SLOW_MACHINE, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance")]


def drill_pages(harness: AcceptanceHarness) -> Any:
    """The pages of drills that PagerDuty received, in order."""
    return [one for one in harness.pagerduty.events("trigger") if one["payload"]["summary"].startswith("DRILL")]


def test_drill_pages_waits_for_acknowledgement_and_closes(harness: AcceptanceHarness) -> None:
    environment = {**harness.tocsin.environment, "TOCSIN_PUBLIC_URL": harness.tocsin.url}
    before = len(drill_pages(harness))
    command = [sys.executable, "-m", "cli.main", "drill", "errors", "--model", "chatbot", "--by", "Dora", "--yes"]
    drill = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    page = wait_for(lambda: drill_pages(harness)[before:])[0]
    assert page["payload"]["summary"].startswith("DRILL CRITICAL chatbot")
    assert page["payload"]["custom_details"]["Drill"] == "of rule errors: no real alert"
    assert harness.tocsin.callback("incident.acknowledged", page["dedup_key"], "Nora Night").status_code == 202
    output, _ = drill.communicate(timeout=2 * SLOW_MACHINE)
    assert drill.returncode == 0, output
    assert "acknowledged" in output
    assert "The drill is over; every destination that it notified is updated." in output
    incident = page["dedup_key"].partition(".")[0]
    assert harness.tocsin.until(incident, lambda one: one["state"] == "closed")["resolved_by"] == "ada (for Dora)"
    wait_for(lambda: harness.pages(incident, "primary", "resolve"))
    shown = tocsin("incidents", "list", "--limit", "20", environment=environment).stdout
    assert "DRILL CRITICAL chatbot" in shown


def test_drill_without_acknowledgement_fails(harness: AcceptanceHarness) -> None:
    environment = {**harness.tocsin.environment, "TOCSIN_PUBLIC_URL": harness.tocsin.url}
    result = tocsin("drill", "errors", "--yes", "--wait", "0.02", environment=environment)
    assert result.returncode == 1
    assert "Nobody acknowledged within 0.02 min." in result.stdout
