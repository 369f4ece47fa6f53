"""The terminal: where a new user reads notifications before any secret is configured."""

import errno
import hashlib
import io
import os
import sys
from typing import TextIO

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from incident.digest import Digest, more_text
from incident.notification import Notification
from incident.receipt import Receipt
from integrations.base.destination import Destination, Secrets
from integrations.base.errors import PermanentError, TemporaryError
from integrations.base.threads import OwnThreads
from integrations.console.config import ConsoleConfig
from integrations.console.limits import MAX_LINES

PIPE_WIDTH = 110
"""Columns if the output is no terminal."""
_GONE = frozenset({errno.EPIPE, errno.EIO, errno.EBADF})
"""The reader of a pipe, or the terminal, is gone."""
_thread = OwnThreads("console", 1)
"""Of all consoles: a pipe that nobody reads blocks it, and nothing else."""
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
        return await _thread.run(self._print_once, notification.key, _panel(self.name, notification))

    async def send_digest(self, digest: Digest, attempt: int) -> Receipt:
        return await _thread.run(self._print_once, digest.key, _table(self.name, digest))

    def _print_once(self, key: str, content: Panel | Table) -> Receipt:
        """A terminal returns no id; the receipt's id is derived from the key.

        Raises:
            PermanentError: nobody can read standard output: it is closed.
            TemporaryError: it cannot be written, for example because a disk is full.
        """
        if key not in self._printed:
            _print(content, sys.stdout)
            self._printed.add(key)
        return self.receipt(key, f"printed-{hashlib.sha256(key.encode()).hexdigest()[:8]}")


class _Buffer(io.StringIO):
    """Text for a stream. rich draws boxes of ASCII characters if the encoding is not a Unicode one."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # an attribute of the base
        return self._encoding


def _print(content: Panel | Table, stream: TextIO | None) -> None:
    """Write to standard output, with ``?`` for characters that its encoding lacks, and flush it."""
    # A process that was started without standard output has the null device there.
    if stream is None or stream.closed or getattr(stream, "name", "") == os.devnull:
        raise PermanentError("standard output is closed: nobody can read what is printed")
    encoding = getattr(stream, "encoding", None) or "utf-8"
    buffer = _Buffer(encoding)
    terminal = stream.isatty()
    Console(file=buffer, force_terminal=terminal, width=None if terminal else PIPE_WIDTH).print(content)
    try:
        stream.write(buffer.getvalue().encode(encoding, "replace").decode(encoding))
        stream.flush()
    except (OSError, ValueError) as error:
        reason = f"standard output cannot be written: {getattr(error, 'strerror', None) or error}"
        if isinstance(error, OSError) and error.errno not in _GONE:
            raise TemporaryError(reason) from None
        raise PermanentError(reason) from None


def _table(name: str, digest: Digest) -> Table:
    hidden = len(digest.contents) - MAX_LINES
    table = Table(title=f"Digest for {name}: {digest.title}", caption=more_text(hidden) or None)
    for column in ("model", "incident", "team"):
        table.add_column(column)
    for content, line in zip(digest.contents[:MAX_LINES], digest.lines[:MAX_LINES], strict=True):
        table.add_row(Text(content.model), Text(line), Text(content.team))
    return table


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
