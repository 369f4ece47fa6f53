"""``make demo``: four incidents, live, with real processes and stand-in vendors. Ends with a list of checks."""

import json
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from ruamel.yaml import YAML

from cli.process_end import end_process
from tests.processes import Tocsin, tocsin
from tests.vendors import Jira, PagerDuty, Slack
from tests.waiting import SLOW_MACHINE
from worker.settings import SHIPPED_POLICY

SPEED = 60.0
"""The policy's fifteen minutes take fifteen seconds."""
STEP = 15 * 60 / SPEED
CEILING = 2 * SLOW_MACHINE
KEYS = {
    "PAGERDUTY_PRIMARY_KEY": "primary",
    "PAGERDUTY_SECONDARY_KEY": "secondary",
    "PAGERDUTY_MANAGERS_KEY": "managers",
    "SLACK_BOT_TOKEN": "xoxb-test",
    "JIRA_USER": "bot@example.com",
    "JIRA_TOKEN": "jira-token",
}
TIER = {"critical": "bold red", "high": "yellow", "low": "cyan"}


class DemoError(Exception):
    """A check of the demo failed; the text is its claim."""


@dataclass
class Demo:
    tocsin: Tocsin
    pagerduty: PagerDuty
    slack: Slack
    jira: Jira
    console: Console
    began: float = field(default_factory=time.time)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    incidents: dict[str, str] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)
    live: Live | None = None

    # ── Actions ─────────────────────────────────────────────────────────────────────────────────────────

    def send(self, name: str) -> None:
        body = json.loads((SHIPPED_POLICY.parent / "samples" / f"{name}.json").read_text(encoding="utf-8"))
        self.bodies[name] = body
        answer = self.tocsin.send(body)
        self.check(answer.status_code == 202, f"{name}: the signed alert was accepted with 202")
        self.incidents[name] = answer.json()["incident"]

    def clear(self, name: str) -> None:
        monitor = self.bodies[name]["monitor"]
        cleared = {"status": "CLEARED", "latest_computed_value": monitor["threshold"]["value"] / 2}
        body = {**self.bodies[name], "previous_status": "TRIGGERED", "monitor": {**monitor, **cleared}}
        self.check(self.tocsin.send(body).status_code == 202, f"{name}: the clear was accepted")

    def act(self, name: str, verb: str, by: str, token: str = "r-token", note: str = "") -> httpx.Response:
        return self.tocsin.call("POST", f"/{self.incidents[name]}/{verb}", token, json={"by": by, "note": note})

    def pages(self, name: str, service: str = "", action: str = "trigger") -> list[Any]:
        return self.pagerduty.about(self.incidents[name], action, service)

    # ── Checks ──────────────────────────────────────────────────────────────────────────────────────────

    def refresh(self) -> None:
        for name, incident in self.incidents.items():
            answer = self.tocsin.call("GET", f"/{incident}")
            if answer.status_code == 200:
                self.views[name] = answer.json()
        if self.live:
            self.live.update(self.picture())

    def until(self, claim: str, condition: Callable[[], Any]) -> None:
        """Wait until a condition is true; the claim has passed then."""
        end = time.monotonic() + CEILING
        while not condition():
            if time.monotonic() > end:
                raise DemoError(claim)
            time.sleep(0.2)
            self.refresh()
        self.passed.append(claim)

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.2)
            self.refresh()

    def check(self, condition: bool, claim: str) -> None:
        if not condition:
            raise DemoError(claim)
        self.passed.append(claim)

    def state(self, name: str, state: str) -> Callable[[], bool]:
        return lambda: self.views.get(name, {}).get("state") == state

    # ── Output ──────────────────────────────────────────────────────────────────────────────────────────

    def picture(self) -> Group:
        table = Table(expand=True, title=f"Tocsin · {time.time() - self.began:.0f} s · durations ÷ {SPEED:g}")
        for column in ("tier", "incident", "state", "acknowledged", "next"):
            table.add_column(column, overflow="fold")
        for view in self.views.values():
            table.add_row(
                Text(view["tier"] or "", style=TIER.get(view["tier"] or "", "")),
                Text(view["headline"]),
                Text(view["state"].replace("_", " ")),
                Text(view["acknowledged_by"]),
                Text(view["next_action"], style="dim"),
            )
        rows = self.timeline()[-14:]
        return Group(table, Panel(self.as_table(rows), title="timeline"))

    def timeline(self) -> list[tuple[float, str, str, str, str]]:
        """Seconds since the start, incident, event, author and text, in order."""
        rows = [
            (
                datetime.fromisoformat(entry["at"]).timestamp() - self.began,
                name,
                entry["event"].replace("_", " "),
                entry["by"],
                entry["text"],
            )
            for name, view in self.views.items()
            for entry in view["timeline"]
        ]
        return sorted(rows, key=lambda row: row[0])

    def as_table(self, rows: list[tuple[float, str, str, str, str]]) -> Table:
        table = Table.grid(padding=(0, 2))
        for at, name, event, by, text in rows:
            shown = text if len(text) < 90 else text[:89] + "…"
            table.add_row(f"{max(at, 0):5.1f} s", Text(name, style="bold"), event, Text(by, style="dim"), Text(shown))
        return table


def play(demo: Demo) -> None:
    """The four incidents, at the same time."""
    for name in ("critical", "high", "low", "regulated"):
        demo.send(name)

    demo.until("critical: paged once, at the primary", lambda: len(demo.pages("critical", "primary")) == 1)
    demo.until("high: posted to Slack", lambda: any("HIGH" in str(one) for one in demo.slack.messages))
    demo.until("low: added to the digest, and nobody was notified", demo.state("low", "notified"))
    demo.check(demo.views["low"]["receipts"][0]["id"].startswith("digest-"), "low: the receipt is the digest's")
    demo.until("regulated: a ticket was opened in Jira", lambda: len(demo.jira.issues) == 1)
    demo.until("high: waits for an acknowledgement", demo.state("high", "notified"))
    demo.check(demo.act("high", "acknowledge", "Ben").status_code == 200, "high: acknowledged through the API")
    demo.check(
        demo.act("regulated", "acknowledge", "Rosa").status_code == 200, "regulated: acknowledged through the API"
    )
    demo.clear("regulated")
    demo.until("regulated: cleared, noted, and still open", demo.state("regulated", "awaiting_human"))
    refused = demo.act("regulated", "resolve", "Rosa")
    demo.check(refused.status_code == 403, "regulated: a responder may not close it (403)")

    demo.until(
        f"critical: unacknowledged, so secondary and managers were paged after {STEP:g} s",
        lambda: demo.pages("critical", "secondary") and demo.pages("critical", "managers"),
    )
    waited = demo.pages("critical", "secondary")[0].at - demo.pages("critical", "primary")[0].at
    demo.check(STEP * 0.95 < waited < STEP + SLOW_MACHINE, f"critical: the step came {waited:.1f} s after the page")
    key = demo.pages("critical", "secondary")[0].body["dedup_key"]
    answer = demo.tocsin.callback("incident.acknowledged", key, "Alice Example")
    demo.check(answer.status_code == 202, "critical: PagerDuty's signed callback was accepted")
    demo.until("critical: acknowledged by Alice Example", demo.state("critical", "acknowledged"))

    closed = demo.act("regulated", "resolve", "Carl Compliance", "c-token", "reviewed, no harm done")
    demo.check(closed.status_code == 200, "regulated: closed by a person with the role compliance")
    demo.until("regulated: closed", demo.state("regulated", "closed"))
    demo.wait(STEP + 1)
    demo.check(len(demo.pages("critical")) == 3, "critical: no further page after the acknowledgement")
    demo.clear("critical")
    demo.until("critical: cleared, resolved in PagerDuty, closed", demo.state("critical", "closed"))
    demo.check(len(demo.pages("critical", action="resolve")) == 3, "critical: every page was resolved in PagerDuty")
    verified = tocsin("audit", "verify", environment=demo.tocsin.environment)
    demo.check(verified.returncode == 0, f"the audit log is {verified.stdout.strip()}")
    violations = [*demo.pagerduty.violations, *demo.slack.violations, *demo.jira.violations]
    demo.check(not violations, "every request fits its vendor's API description")


@contextmanager
def running_demo(console: Console) -> Generator[Demo]:
    with (
        tempfile.TemporaryDirectory(prefix="tocsin-demo-") as folder,
        PagerDuty() as pagerduty,
        Slack(("ai-ops-alerts", "prompt-engineering", "legal-ai-alerts", "ml-daily")) as slack,
        Jira() as jira,
    ):
        policy = Path(folder) / "tocsin.yaml"
        _shipped_policy_at(policy, pagerduty, slack, jira)
        running = Tocsin(Path(folder), policy, SPEED, **KEYS)
        demo = Demo(running, pagerduty, slack, jira, console)
        with console.status("Starting Temporal, worker and gateway …"):
            running.start()
        demo.began = time.time()
        try:
            yield demo
        finally:
            with console.status("Stopping …"):
                running.stop()


def _shipped_policy_at(path: Path, pagerduty: PagerDuty, slack: Slack, jira: Jira) -> None:
    """Write the shipped policy with the stand-ins' URLs."""
    yaml = YAML()
    policy = yaml.load(SHIPPED_POLICY)
    roots = {"pagerduty": pagerduty.base_url, "slack": f"{slack.base_url}/api", "jira": jira.base_url}
    for destination in policy["destinations"].values():
        if destination["type"] in roots:
            destination["base_url"] = roots[destination["type"]]
    yaml.dump(policy, path)


def main() -> int:
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print("Stand-ins for PagerDuty, Slack and Jira receive and validate what Tocsin sends.", style="dim")
    with running_demo(console) as demo:
        failed = ""
        try:
            if console.is_terminal:
                with Live(console=console, refresh_per_second=5) as demo.live:
                    play(demo)
                demo.live = None
            else:
                play(demo)
        except DemoError as error:
            failed = str(error)
        demo.refresh()
        console.rule("Timeline")
        console.print(demo.as_table(demo.timeline()))
        console.rule("Checks")
        for claim in demo.passed:
            console.print(Text(f"✓ {claim}", style="green"))
        if failed:
            console.print(Text(f"✗ {failed}", style="bold red"))
            console.print(Text(demo.tocsin.printed()[-3000:], style="dim"))
        url = next((view["temporal_url"] for view in demo.views.values()), "")
        console.print(f"Took {time.time() - demo.began:.0f} s. The Temporal UI: {url}", soft_wrap=True)
        if console.is_terminal and sys.stdin.isatty():
            console.input("Press Enter to stop it. ")
    return 1 if failed else 0


if __name__ == "__main__":
    code = main()
    end_process(SystemExit(code))
    sys.exit(code)
