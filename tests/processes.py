"""Tocsin as users run it: real processes, used over HTTP only."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import psutil
from slack_sdk.signature import SignatureVerifier

from tests.ports import unused_port
from tests.signing import signed
from tests.vendors import PagerDuty
from tests.waiting import SLOW_MACHINE, wait_for
from worker.bootstrap import ADDRESS

ARIZE_SECRET = "whsec_acceptance"
PAGERDUTY_SECRET = "pagerduty-acceptance"
SLACK_SECRET = "slack-acceptance"
TOKENS = "viewer vera v-token\nresponder rosa r-token\ncompliance carl c-token\nadmin ada a-token\n"


def tocsin(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run one command, and wait for its end."""
    command = [sys.executable, "-m", "cli.main", *arguments]
    return subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=2 * SLOW_MACHINE)


class Tocsin:
    """One ``tocsin up``, or another role, with its state folder: starts and stops it, and sends it requests."""

    def __init__(self, folder: Path, policy: Path | None, speed: float = 1.0, **settings: str) -> None:
        self.folder = folder
        self.port = unused_port()
        self.url = f"http://127.0.0.1:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "tokens").write_text(TOKENS)
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TOCSIN_", "TEMPORAL_"))}
        self.environment = {
            **inherited,
            "TOCSIN_STATE_DIR": str(folder / "state"),
            "TOCSIN_PORT": str(self.port),
            "TOCSIN_SPEED": f"{speed:g}",
            "TOCSIN_API_TOKENS": str(folder / "tokens"),
            "TOCSIN_TOKEN": "a-token",
            "ARIZE_WEBHOOK_SECRET": ARIZE_SECRET,
            "PAGERDUTY_WEBHOOK_SECRET": PAGERDUTY_SECRET,
            "SLACK_SIGNING_SECRET": SLACK_SECRET,
            "COLUMNS": "120",
            **({"TOCSIN_POLICY": str(policy)} if policy else {}),
            **settings,
        }
        self.log = folder / "output.txt"
        self.code: Path | None = None
        """A folder that holds the code of an earlier release, which runs instead of the checkout's."""
        self._printed_before = 0
        self._announces = False
        self.process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(timeout=SLOW_MACHINE, limits=httpx.Limits(max_connections=250))

    # ── The processes ───────────────────────────────────────────────────────────────────────────────────

    def start(self, *role: str) -> None:
        """Start it, and wait until it is ready."""
        command = role or ("up", "--temporal-port", str(unused_port()), "--ui-port", str(unused_port()))
        self._printed_before = len(self.printed())
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli.main", *command],
                env=self.environment | ({"PYTHONPATH": str(self.code)} if self.code else {}),
                cwd=self.code,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._announces = command[0] == "up"
        if command[0] not in {"worker", "watchdog"}:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.printed()
            if self._announces:
                if "Tocsin is up" not in self.printed()[self._printed_before :]:
                    return False
                self.url = (self.folder / "state" / ADDRESS).read_text().strip()
            try:
                return self.http.get(f"{self.url}/readyz").status_code == 200
            except httpx.HTTPError:
                return False

        wait_for(ready, 2 * SLOW_MACHINE)

    def printed(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def last_output(self) -> str:
        """The end of the output, for error messages."""
        return self.printed()[-3000:]

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal, and return the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(SLOW_MACHINE)

    def kill(self) -> None:
        """Send SIGKILL to the parent. Its children must end by themselves."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.wait(SLOW_MACHINE)
        _, alive = psutil.wait_procs(children, timeout=SLOW_MACHINE)
        assert not alive, f"{alive} run although their parent was killed"

    def child(self, role: str) -> psutil.Process:
        """The running process of a role."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(one for one in children if role in one.cmdline()[-2:] or role in one.cmdline()[1:2])

    # ── Requests ────────────────────────────────────────────────────────────────────────────────────────

    def send(self, alert: Mapping[str, Any], event_id: str = "") -> httpx.Response:
        body = json.dumps(alert).encode()
        return self.http.post(f"{self.url}/webhooks/arize", content=body, headers=signed(body, ARIZE_SECRET, event_id))

    def open(self, alert: Mapping[str, Any]) -> str:
        answer = self.send(alert)
        assert answer.status_code == 202, answer.text
        assert answer.json()["state"] == "started", answer.text
        return answer.json()["incident"]

    def callback(self, event_type: str, dedup_key: str, by: str = "Alice Example") -> httpx.Response:
        content, headers = PagerDuty.sign(PagerDuty.callback(event_type, dedup_key, by), PAGERDUTY_SECRET)
        return self.http.post(f"{self.url}/webhooks/pagerduty", content=content, headers=headers)

    def press(self, button: Mapping[str, Any], person: str = "nora") -> httpx.Response:
        """A person presses a button below a Slack message."""
        pressed = {"action_id": button["action_id"], "value": button["value"], "action_ts": str(time.time())}
        payload = {"type": "block_actions", "user": {"id": "U1", "name": person}, "actions": [pressed]}
        content, stamp = urlencode({"payload": json.dumps(payload)}), str(int(time.time()))
        signature = SignatureVerifier(SLACK_SECRET).generate_signature(timestamp=stamp, body=content)
        headers = {"X-Slack-Signature": str(signature), "X-Slack-Request-Timestamp": stamp}
        return self.http.post(f"{self.url}/webhooks/slack", content=content, headers=headers)

    def call(self, method: str, path: str, token: str = "r-token", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self.http.request(method, f"{self.url}/api/incidents{path}", headers=headers, **more)

    def incident(self, incident: str) -> dict[str, Any]:
        answer = self.call("GET", f"/{incident}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def until(
        self, incident: str, condition: Callable[[dict[str, Any]], Any], seconds: float = SLOW_MACHINE
    ) -> dict[str, Any]:
        """Poll the incident until the condition is true, and return it."""
        last: dict[str, Any] = {}

        def met() -> bool:
            nonlocal last
            answer = self.call("GET", f"/{incident}")
            if answer.status_code != 200 or answer.json()["partial"]:
                return False
            last = answer.json()
            return bool(condition(last))

        try:
            wait_for(met, seconds)
        except AssertionError:
            raise AssertionError(f"not met within {seconds:g} s: {json.dumps(last, indent=1)}") from None
        return last
