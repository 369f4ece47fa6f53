"""The terminal: where a new user reads notifications before any secret is configured."""

import hashlib
import sys

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from incident.digest import Digest
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.destination import Destination, Secrets
from integrations.console.config import ConsoleConfig

PIPE_WIDTH = 110
"""Columns if the output is no terminal."""
_STYLES = {"critical": "bold red", "high": "yellow", "low": "cyan"}
_TITLES = {
    "notify": "{name}",
    "acknowledge": "{name} · acknowledged",
    "resolve": "{name} · resolved",
    "note": "{name} · note",
    "refresh": "{name} · current state",
    "remind": "{name} · reminder",
}


class ConsoleDestination(Destination[ConsoleConfig]):
    """Prints to the worker's standard output. Each key is printed once by one process."""

    def __init__(self, name: str, config: ConsoleConfig, secrets: Secrets) -> None:
        super().__init__(name, config, secrets)
        self._printed: set[str] = set()

    async def deliver(self, notification: Notification, attempt: int) -> Receipt:
        return self._print_once(notification.key, _panel(self.name, notification))

    async def send_digest(self, digest: Digest, attempt: int) -> Receipt:
        table = Table(title=f"Digest for {self.name}: {len(digest.counted)} since {digest.since:%Y-%m-%d %H:%M} UTC")
        for column in ("model", "incident", "team"):
            table.add_column(column)
        for content, line in zip(digest.contents, digest.lines, strict=True):
            table.add_row(Text(content.model), Text(line), Text(content.team))
        return self._print_once(digest.key, table)

    def _print_once(self, key: str, content: Panel | Table) -> Receipt:
        """A terminal returns no id; the receipt's id is derived from the key."""
        if key not in self._printed:
            self._printed.add(key)
            Console(file=sys.stdout, width=None if sys.stdout.isatty() else PIPE_WIDTH).print(content)
            sys.stdout.flush()
        return self.receipt(key, f"printed-{hashlib.sha256(key.encode()).hexdigest()[:8]}")


def _panel(name: str, notification: Notification) -> Panel:
    content = notification.content
    lines: list[Text | Table] = [Text(content.headline, style="bold")]
    if notification.note:
        lines.append(Text(notification.note))
    if notification.verb in {"notify", "remind"}:
        facts = Table.grid(padding=(0, 2))
        facts.add_column(no_wrap=True)
        facts.add_column(overflow="fold")  # people copy URLs
        for fact in content.facts:
            facts.add_row(Text(fact.label, style="dim"), Text(fact.value))
        if content.reason:
            facts.add_row(Text("Why", style="dim"), Text(content.reason))
        for link in content.links:
            facts.add_row(Text(link.text, style="dim"), Text(link.url))
        lines.append(facts)
    return Panel(
        Group(*lines),
        title=Text(_TITLES[notification.verb].format(name=name)),
        subtitle=Text(content.incident),
        border_style=_STYLES[content.tier],
        expand=False,
    )
