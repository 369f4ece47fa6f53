"""Destinations are found by their type, without a list of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from activities.destinations import destination_types, open_destinations
from activities.digest import next_issue
from tests.policy.policies import BASE, load


def test_each_module_is_a_type() -> None:
    assert set(destination_types()) == {
        *(
            "console",
            "email",
            "jira",
            "opsgenie",
            "pagerduty",
            "servicenow",
            "slack",
            "splunk_oncall",
            "teams",
            "webhook",
        ),
    }


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    policy = load(tmp_path, BASE)
    with pytest.raises(LookupError, match="destination pager: routing_key is to come from KEY, which is not set"):
        open_destinations(policy, {}, "")


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("from-a-file\n")
    text = BASE.replace("{env: KEY}", f"{{file: {secret}}}")
    opened = open_destinations(load(tmp_path, text), {"SLACK": "s", "U": "u", "T": "t"}, "")
    assert opened["pager"].secrets == {"routing_key": "from-a-file"}


def test_a_digests_schedule_is_in_its_own_time_zone() -> None:
    from datetime import UTC, datetime

    summer, winter = datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 12, 1, 12, tzinfo=UTC)
    assert next_issue("0 8 * * *", "Europe/Berlin", summer) == datetime(2026, 7, 2, 6, tzinfo=UTC)
    assert next_issue("0 8 * * *", "Europe/Berlin", winter) == datetime(2026, 12, 2, 7, tzinfo=UTC)
    assert (next_issue("0 8 * * *", "UTC", winter, 60) - winter).total_seconds() == 20 * 60


def test_a_third_party_adds_a_type_from_its_own_package(tmp_path: Path) -> None:
    """As an installed package does: a module, and the entry point that names its class."""
    (tmp_path / "pager9000.py").write_text(
        "from activities.destinations.console import ConsoleConfig, ConsoleDestination\n"
        "class Pager9000(ConsoleDestination):\n"
        "    type_name = 'pager9000'\n"
    )
    about = tmp_path / "pager9000-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: pager9000\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[tocsin.destinations]\npager9000 = pager9000:Pager9000\n")
    policy = tmp_path / "policy.yaml"
    policy.write_text(BASE.replace("type: console", "type: pager9000"))
    command = [sys.executable, "-m", "worker.cli", "destinations", "test", "term"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TOCSIN_POLICY": str(policy), "COLUMNS": "120"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "✓ term (pager9000): printed-" in result.stdout
