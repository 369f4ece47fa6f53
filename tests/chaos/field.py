"""The field: Tocsin as real processes, and its vendors as real servers that count what people would have seen."""

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
"""The policy's fifteen minutes are ten seconds."""
Hook = Callable[[], None]


class Pager(PagerDuty):
    """Knows which pages of which incident rang, and lets somebody strike while one is on its way."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._rang: dict[str, list[Request]] = defaultdict(list)
        self.at_next_page: Hook | None = None

    def heard(self, request: Request) -> None:
        if self.at_next_page and request.path == "/v2/enqueue" and request.body["event_action"] == "trigger":
            strike, self.at_next_page = self.at_next_page, None
            strike()

    def answer(self, request: Request) -> tuple[int, Any]:
        before = len(self.paged)
        status, answer = super().answer(request)
        if len(self.paged) > before:
            with self._lock:
                self._rang[request.body["dedup_key"].partition(".")[0]].append(request)
        return status, answer

    def rang(self, incident: str) -> list[Request]:
        """The pages that woke somebody, in their order; what PagerDuty folds into an open one wakes nobody."""
        with self._lock:
            return list(self._rang[incident])


@dataclass
class Field:
    """Tocsin, its vendors, and the strikes that are due at the next chosen instant."""

    tocsin: Tocsin
    pager: Pager
    slack: Slack
    jira: Jira
    after_next_answer: Hook | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answered(self) -> None:
        """An alert was taken just now."""
        with self.lock:
            strike, self.after_next_answer = self.after_next_answer, None
        if strike:
            strike()

    @property
    def state(self) -> Path:
        return self.tocsin.folder / "state"

    @property
    def temporal(self) -> str:
        """The server's address. Raises StopIteration while there is none."""
        command = self.tocsin.child("server").cmdline()
        return f"127.0.0.1:{command[command.index('--port') + 1]}"

    @property
    def violations(self) -> list[str]:
        return self.pager.violations + self.slack.violations + self.jira.violations


@contextmanager
def field_of(folder: Path, **settings: str) -> Generator[Field]:
    """Everything up and ready; stopped at the end."""
    with Pager() as pager, Slack() as slack, Jira() as jira:
        folder.mkdir(parents=True, exist_ok=True)
        policy = folder / "policy.yaml"
        write_policy(policy, pager, slack, jira)
        tocsin = Tocsin(folder, policy, SPEED, **SECRETS, TOCSIN_RATE_WEBHOOKS="1000000/minute", **settings)
        tocsin.start()
        try:
            yield Field(tocsin, pager, slack, jira)
        finally:
            tocsin.stop()
