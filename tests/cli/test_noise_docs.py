"""docs/noise.md does what it says."""

import re
from pathlib import Path

import pytest

from tests.cli.harness import CliHarness

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "noise.md").read_text(encoding="utf-8")


def block(kind: str) -> str:
    """The first block of a kind."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)[0]


def test_replay_shows_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = CliHarness(tmp_path, monkeypatch, "policy")
    desk.write("policy.yaml", block("yaml"))
    desk.write("alerts.jsonl", block("json"))
    monkeypatch.setenv("COLUMNS", "120")
    ran = desk.run("replay", "--policy", "policy.yaml", "--history", "alerts.jsonl")
    shown = re.findall(r"```\n\$ tocsin policy replay[^\n]*\n(.*?)```", PAGE, re.DOTALL)[0]
    assert [line.rstrip() for line in ran.output.splitlines()] == shown.splitlines()
