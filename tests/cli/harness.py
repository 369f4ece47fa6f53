"""The command as a person runs it, in a folder with a policy; and a gateway for it to call."""

import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from tests.policy.policies import BASE, RULES

TRIGGERED = {
    "monitor": "errors",
    "model": "chatbot",
    "metric": "error_rate",
    "value": 0.03,
    "environment": "production",
}
TOKEN = "t-0123456789"
REPOSITORY = Path(__file__).resolve().parents[2]


def tocsin(
    *arguments: str, environment: Mapping[str, str], folder: Path = REPOSITORY
) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, with its output in pipes."""
    command = [sys.executable, "-m", "cli.main", *arguments]
    variables = {**environment, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, timeout=120)


class CliHarness:
    """Runs the commands of one group in a folder that holds ``policy.yaml``."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, group: str = "policy") -> None:
        self.folder = folder
        self.group = group
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
        """Write a history of these alerts, and return its name."""
        self.write(name, "".join(json.dumps(alert) + "\n" for alert in alerts))
        return name

    def run(self, *arguments: str, input: str | None = None) -> Result:  # noqa: A002  # the runner's own name
        return CliRunner().invoke(app, [self.group, *arguments], input=input, prog_name="tocsin")


class GatewayStandIn:
    """A gateway that answers with prepared incidents, and records what it was asked."""

    def __init__(self, *incidents: dict[str, Any]) -> None:
        self.incidents = {incident["id"]: incident for incident in incidents}
        self.requests: list[tuple[str, str, Any]] = []
        self.sizes: list[int] = []
        """Of the requests' bodies, in bytes."""
        self.prepared: dict[str, tuple[int, Any]] = {}
        """The answers of other paths."""
        self.html = False
        """Answers with a page instead of JSON, as another program on the port would."""
        self.url = ""

    def answer(self, method: str, path: str, token: str, body: Any) -> tuple[int, Any]:
        self.requests.append((method, path, body))
        if token != f"Bearer {TOKEN}":
            return 401, {"status": 401, "detail": "the token is not valid"}
        if path in self.prepared:
            return self.prepared[path]
        parts = urlsplit(path)
        name = parts.path.removeprefix("/api/incidents").strip("/").partition("/")[0]
        if not name:
            asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
            begin = int(asked.get("cursor", "0"))
            end = begin + min(int(asked.get("limit", "50")), 200)
            is_open = asked.get("state") == "open"
            found = [one for one in self.incidents.values() if not (is_open and one["state"] in {"resolved", "closed"})]
            return 200, {"incidents": found[begin:end], "next": str(end) if end < len(found) else ""}
        if name not in self.incidents:
            return 404, {"status": 404, "detail": f"there is no incident {name}", "reasons": ["it may have expired"]}
        return 200, self.incidents[name]


@contextmanager
def gateway(*incidents: dict[str, Any]) -> Generator[GatewayStandIn]:
    """Run the stand-in on a free port."""
    stand_in = GatewayStandIn(*incidents)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            stand_in.sizes.append(len(body))
            token = self.headers.get("Authorization", "")
            status, content = stand_in.answer(self.command, self.path, token, json.loads(body or "null"))
            text = "<html></html>" if stand_in.html else json.dumps(content)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET  # noqa: N815  # the base's name

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        stand_in.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield stand_in
        finally:
            server.shutdown()
            thread.join()
