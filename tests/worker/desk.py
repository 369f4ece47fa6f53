"""A policy, its tests and its history in a folder, and the command as a person runs it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.policy.policies import BASE, RULES
from worker.cli_policy import policy

BURNING = {"monitor": "errors", "model": "chatbot", "metric": "error_rate", "value": 0.03, "environment": "production"}


class Desk:
    """Where somebody works on a policy."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        monkeypatch.chdir(folder)
        monkeypatch.setenv("TOCSIN_POLICY", "policy.yaml")
        monkeypatch.setenv("TOCSIN_STATE_DIR", str(folder / "state"))
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.delenv("TOCSIN_DATABASE_URL", raising=False)
        for name in ("KEY", "SLACK", "U", "T"):
            monkeypatch.setenv(name, "set")
        self.write("policy.yaml", BASE + RULES)

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def bodies(self, *alerts: dict[str, Any], name: str = "history.jsonl") -> str:
        """A history of these alerts."""
        self.write(name, "".join(json.dumps(alert) + "\n" for alert in alerts))
        return name

    def run(self, *arguments: str, input: str | None = None) -> Result:  # noqa: A002  # the runner's own name
        return CliRunner().invoke(policy, list(arguments), input=input)
