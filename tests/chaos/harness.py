"""What chaos breaks: Tocsin as real processes, and stand-in vendors that count what their users see."""

import threading
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.processes import Tocsin
from tests.vendors import Jira, PagerDuty, Request, Slack
from tests.vendors.policy import SECRETS, write_policy

SPEED = 90.0
"""The policy's fifteen minutes take ten seconds."""
Hook = Callable[[], None]


class Pager(PagerDuty):
    """A PagerDuty that knows which pages made a sound, and calls a hook while a page is in flight."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._audible: dict[str, list[Request]] = defaultdict(list)
        self.on_next_page: Hook | None = None

    def on_request(self, request: Request) -> None:
        if self.on_next_page and request.path == "/v2/enqueue" and request.body["event_action"] == "trigger":
            hook, self.on_next_page = self.on_next_page, None
            hook()

    def answer(self, request: Request) -> tuple[int, Any]:
        before = len(self.paged)
        status, answer = super().answer(request)
        if len(self.paged) > before:
            with self._lock:
                self._audible[request.body["dedup_key"].partition(".")[0]].append(request)
        return status, answer

    def audible_pages(self, incident: str) -> list[Request]:
        """The incident's pages that made a sound, in order; PagerDuty folds a repeat of an open key silently."""
        with self._lock:
            return list(self._audible[incident])


@dataclass
class ChaosHarness:
    """Tocsin, its vendors, and the hooks that strike at a chosen instant."""

    tocsin: Tocsin
    pager: Pager
    slack: Slack
    jira: Jira
    on_next_response: Hook | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def alert_accepted(self) -> None:
        """The gateway has just answered 202 to an alert."""
        with self.lock:
            hook, self.on_next_response = self.on_next_response, None
        if hook:
            hook()

    @property
    def state(self) -> Path:
        return self.tocsin.folder / "state"

    @property
    def temporal(self) -> str:
        """The server's address. Raises StopIteration while no server runs."""
        command = self.tocsin.child("server").cmdline()
        return f"127.0.0.1:{command[command.index('--port') + 1]}"

    @property
    def violations(self) -> list[str]:
        return self.pager.violations + self.slack.violations + self.jira.violations


@contextmanager
def chaos_harness(folder: Path, **settings: str) -> Generator[ChaosHarness]:
    """Tocsin, ready; it is stopped at the end."""
    with Pager() as pager, Slack() as slack, Jira() as jira:
        folder.mkdir(parents=True, exist_ok=True)
        policy = folder / "policy.yaml"
        write_policy(policy, pager, slack, jira)
        tocsin = Tocsin(folder, policy, SPEED, **SECRETS, TOCSIN_RATE_WEBHOOKS="1000000/minute", **settings)
        tocsin.start()
        try:
            yield ChaosHarness(tocsin, pager, slack, jira)
        finally:
            tocsin.stop()
