"""Renders a replay: for the terminal, as JSON, and as a comment on a pull request."""

import json
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from incident.text import counted
from simulation.replay import KINDS, Replay, notification_json, summary


def json_text(found: Replay) -> str:
    """Every notification and the summary. The keys of a notification are those of ``notification_json``."""
    notifications = ",\n".join(json.dumps(notification_json(found, sent)) for sent in found.notifications)
    return f'{{"notifications": [\n{notifications}\n],\n"summary": {json.dumps(summary(found), indent=1)}}}\n'


def replay_screen(found: Replay) -> RenderableType:
    """The counts as tables."""
    counts = summary(found)
    parts: list[RenderableType] = [Text(_title(counts)), Text(_assumption(counts), style="dim")]
    for title, key in (("Team", "by_team"), ("Week", "by_week"), ("Hour (UTC)", "by_hour")):
        table = Table(title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column(title)
        for kind in KINDS:
            table.add_column(kind, justify="right")
        for name, of_kind in counts[key].items():
            table.add_row(name or "no team", *(f"{of_kind[kind]:,}" if of_kind[kind] else "·" for kind in KINDS))
        parts += [Text(""), table]
    return Group(*parts)


def markdown_text(found: Replay) -> str:
    """The same in Markdown, without the hours."""
    counts = summary(found)
    lines = [_title(counts), "", _assumption(counts)]
    for title, key in (("Team", "by_team"), ("Week", "by_week")):
        lines += ["", f"| {title} | {' | '.join(KINDS)} |", f"| --- |{' ---: |' * len(KINDS)}"]
        for name, of_kind in counts[key].items():
            shown = (name or "no team").replace("|", "\\|")
            lines.append(f"| {shown} | {' | '.join(f'{of_kind[kind]:,}' for kind in KINDS)} |")
    return "\n".join(lines) + "\n"


def _title(counts: dict[str, Any]) -> str:
    sent = ", ".join(counted(counts[kind], kind.removesuffix("s")) for kind in KINDS if counts[kind])
    return (
        f"{counted(counts['alerts'], 'alert')} from {counts['first'][:16]} to {counts['last'][:16]}: "
        f"{counted(counts['incidents'], 'incident')}, {sent or 'and nobody is notified'}"
    )


def _assumption(counts: dict[str, Any]) -> str:
    after = counts["acknowledge_after"]
    is_answered = f"Each page and post is acknowledged after {after}" if after != "never" else "Nobody acknowledges"
    return f"{is_answered}, and nobody resolves an incident that its monitors do not clear."
