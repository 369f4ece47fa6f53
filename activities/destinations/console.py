"""The terminal: what a new user sees before any secret is configured."""

import hashlib
import sys
from typing import ClassVar

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from activities.contracts import Delivery, DigestIssue, Receipt
from activities.destinations.base import Destination, Secrets
from policy import DestinationConfig
from policy.destinations import Kind

_STYLE = {"critical": "bold red", "high": "yellow", "low": "cyan"}
_TITLE = {
    "notify": "{name}",
    "acknowledge": "{name} · acknowledged",
    "resolve": "{name} · resolved",
    "note": "{name} · note",
    "change": "{name} · as it stands now",
    "remind": "{name} · reminder",
}


class ConsoleConfig(DestinationConfig):
    kind: ClassVar[Kind] = "console"


class ConsoleDestination(Destination):
    """Prints to the worker's standard output. Without an id of its own: a key printed twice is the same message."""

    type_name = "console"
    config = ConsoleConfig

    def __init__(self, name: str, config: ConsoleConfig, secrets: Secrets, public_url: str) -> None:
        del config
        super().__init__(name, secrets, public_url)
        self._printed: set[str] = set()

    async def deliver(self, delivery: Delivery, attempt: int) -> Receipt:
        if delivery.key not in self._printed:
            self._printed.add(delivery.key)
            _print(_panel(self.name, delivery))
        return self._printed_as(delivery.key)

    async def send_digest(self, issue: DigestIssue, attempt: int) -> Receipt:
        table = Table(title=f"Digest for {self.name}: {len(issue.counted)} since {issue.since:%Y-%m-%d %H:%M} UTC")
        for column in ("model", "what", "team"):
            table.add_column(column)
        for brief, line in zip(issue.briefs, issue.lines, strict=True):
            table.add_row(Text(brief.model), Text(line), Text(brief.team))
        if issue.key not in self._printed:
            self._printed.add(issue.key)
            _print(table)
        return self._printed_as(issue.key)

    def _printed_as(self, key: str) -> Receipt:
        """A terminal gives no id; the key's own digest tells its messages apart."""
        return self.receipt(key, f"printed-{hashlib.sha256(key.encode()).hexdigest()[:8]}")


def _panel(name: str, delivery: Delivery) -> Panel:
    brief = delivery.brief
    style = _STYLE[brief.tier]
    lines: list[Text | Table] = [Text(brief.headline, style="bold")]
    if delivery.note:
        lines.append(Text(delivery.note))
    if delivery.verb in {"notify", "remind"}:
        facts = Table.grid(padding=(0, 2))
        facts.add_column(no_wrap=True)
        facts.add_column(overflow="fold")  # an address is to be copied whole
        for fact in brief.facts:
            facts.add_row(Text(fact.label, style="dim"), Text(fact.value))
        if brief.why:
            facts.add_row(Text("Why", style="dim"), Text(brief.why))
        for link in brief.links:
            facts.add_row(Text(link.text, style="dim"), Text(link.url))
        lines.append(facts)
    title = _TITLE[delivery.verb].format(name=name)
    return Panel(Group(*lines), title=Text(title), subtitle=Text(brief.incident), border_style=style, expand=False)


def _print(what: Panel | Table) -> None:
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 110).print(what)
    sys.stdout.flush()
