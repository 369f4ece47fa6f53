"""Renders a comparison of two policies: for the terminal, as a comment on a pull request, as JSON."""

import json
import re
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from incident.text import counted
from policy import Decision, format_duration
from policy.decision import TIERS
from simulation.comparison import Change, Comparison
from simulation.decision_text import field_texts, format_field
from simulation.policy_keys import MAX_CHARS
from simulation.sent_difference import lost_rows, sent_json, sent_rows

MAX_MARKDOWN_CHARS = 60_000
"""GitHub accepts comments of up to 65,536 characters."""
MAX_LISTED = 40
"""Of losses and keys, in a comment."""
_STYLES = {
    "lost page": "bold red",
    "lost regulation": "bold red",
    "moved secret": "bold red",
    "stops paging": "bold red",
    "no longer regulated": "bold red",
    "pages later": "red",
    "starts paging": "yellow",
}


def outcomes(change: Change) -> tuple[str, str]:
    """``critical by error-rate-breach, notifies ai-primary``, before and after: only the parts that differ."""
    before, after = _parts(change.old), _parts(change.new)
    if change.old.tier != change.new.tier:
        # Another tier has other steps, times and fallbacks, so only the main parts are shown.
        return _joined(before[part] for part in _MAIN_PARTS), _joined(after[part] for part in _MAIN_PARTS)
    different = [part for part in before if before[part] != after[part] or part == "tier"]
    return _joined(before[part] or _absent(part) for part in different), _joined(
        after[part] or _absent(part) for part in different
    )


_MAIN_PARTS = ("tier", "hold", "first step", "digest", "tickets", "closed_by")
_EXPLANATION = frozenset({"rule", "reason", "trace", "policy", "tier", "steps", "labels"})
_PHRASES = {
    "hold": "waits {}",
    "first step": "notifies {}",
    "later steps": "then {}",
    "digest": "digest in {}",
    "tickets": "ticket in {}",
    "fallback": "falls back to {}",
    "respond_within": "acknowledge within {}",
    "on_ack_timeout": "else {}",
    "remind": "reminds every {}",
    "regulated": "regulated",
    "closed_by": "closed by {}",
}
_ABSENT = {
    "hold": "at once",
    "first step": "notifies nobody",
    "later steps": "no later step",
    "tickets": "no ticket",
    "remind": "no reminder",
    "regulated": "not regulated",
    "closed_by": "closed by anyone",
}
"""Better phrases than those that are derived from a field's name."""


def _absent(part: str) -> str:
    return _ABSENT.get(part, f"no {part.replace('_', ' ')}")


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(part for part in parts if part)


def _parts(decision: Decision) -> dict[str, str]:
    """The effect of a decision as phrases, by part; empty if it has no such part. Covers every field."""
    texts = field_texts(decision)
    values = {
        "hold": texts["hold"],
        "first step": format_field(decision.steps[0].notify) if decision.steps else "",
        "later steps": ", ".join(
            f"{format_field(step.notify)} after {format_duration(step.after)}" for step in decision.steps[1:]
        ),
        **{name: text for name, text in texts.items() if name not in _EXPLANATION},
    }
    phrases = {
        part: _PHRASES.get(part, f"{part.replace('_', ' ')} {{}}").format(value) if value else ""
        for part, value in values.items()
    }
    return {"tier": f"{decision.tier} by {decision.rule}", **phrases}


def about(change: Change) -> str:
    """``support-chatbot error_rate = 0.31, production (errors)``"""
    alert = change.recorded.alert
    value = "" if alert.value is None else f" = {alert.value:g}"
    measured = f"{alert.metric}{value}" if alert.metric else value.strip(" =")
    parts = [" ".join(part for part in (alert.model, measured) if part), alert.environment]
    return f"{', '.join(part for part in parts if part)} ({alert.monitor})"


def summary(found: Comparison) -> str:
    span = f" in {found.weeks:.1f} weeks" if found.weeks else ""
    moved, unregulated = sum(found.tier_changes().values()), found.no_longer_regulated
    changes = [
        counted(found.changed, "alert is decided differently", "alerts are decided differently"),
        counted(moved, "incident changes tier", "incidents change tier"),
        counted(len(found.lost_pages), "alert stops paging", "alerts stop paging"),
    ]
    if unregulated:
        changes.append(counted(unregulated, "is no longer regulated", "are no longer regulated"))
    return (
        f"{counted(found.alerts, 'alert')} of {counted(len(found.incidents), 'incident')}{span}: {', '.join(changes)}"
    )


def tier_lines(found: Comparison) -> list[tuple[str, int]]:
    """``high → low``, with the number of incidents; the largest loss first."""
    changes = found.tier_changes().items()
    ranked = sorted(changes, key=lambda item: (TIERS.index(item[0][1]) - TIERS.index(item[0][0]), -item[1]))
    return [(f"{before} → {after}", count) for (before, after), count in ranked]


def page_lines(found: Comparison) -> Iterator[tuple[str, str, str, str]]:
    """Team or destination, before, after and change: per week, or in total if the history has no times."""
    for kind in ("team", "destination"):
        for name, (before, after) in found.pages(kind).items():
            change = after - before
            yield (
                f"{kind} {name}" if name else "no team",
                _rate(found, before),
                _rate(found, after),
                _rate(found, change, signed=True),
            )


def rate_title(found: Comparison) -> str:
    return "paging incidents per week" if found.weeks else "paging incidents"


def _rate(found: Comparison, count: int, *, signed: bool = False) -> str:
    value = count / found.weeks if found.weeks else float(count)
    if signed and not count:
        return "="
    digits = 1 if found.weeks else 0
    return f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"


def comparison_screen(found: Comparison) -> RenderableType:
    """The comparison as tables."""
    parts: list[RenderableType] = [Text(summary(found), style="bold")]
    if not found.changed:
        parts.append("No alert of this history is decided differently.")
    if found.losses:
        parts += _table("What the new policy loses", ("loss", "what"), [(one.kind, one.text) for one in found.losses])
    if found.tier_changes():
        tiers = [(change, f"{count:,}") for change, count in tier_lines(found)]
        parts += _table("Incidents that change tier", ("tier", "incidents"), tiers)
    lines = list(page_lines(found))
    if lines:
        parts += _table("Pages", ("paged", "before", "after", "difference"), lines, rate_title(found))
    rows = [(change.kind, f"{count:,}", about(change), *outcomes(change)) for change, count in found.top_examples()]
    if rows:
        parts += _table("Most severe changes", ("change", "alerts", "example", "before", "after"), rows)
    if found.lost_pages:
        lost = [(_place(one), about(one), *outcomes(one)) for one in found.lost_pages]
        parts += _table(
            f"All alerts that stop paging ({len(found.lost_pages):,})",
            ("place", "alert", "before", "after"),
            lost,
        )
    if found.sent is not None:
        rows = sent_rows(found.sent)
        parts += _table("Sent, by a replay", ("", "pages", "posts", "tickets"), rows, "before → after")
        if found.sent.lost:
            title = f"Fires that are no longer paged ({len(found.sent.lost):,})"
            parts += _table(title, ("at (UTC)", "fire", "team", "now"), lost_rows(found.sent))
    if found.keys:
        keys = [(one.path, one.before or "none", one.after or "none") for one in found.keys]
        parts += _table(f"Keys that differ ({len(keys):,})", ("key", "before", "after"), keys)
    return Group(*parts)


def _table(
    title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]], caption: str = ""
) -> tuple[RenderableType, RenderableType]:
    """A title and its table."""
    heading = Text(f"\n{title}" + (f" ({caption})" if caption else ""), style="bold underline")
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = column in {"incidents", "alerts", "difference"} or (
            len(columns) == 4 and columns[0] == "paged" and index > 0
        )
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        style = _STYLES.get(row[0], "")
        table.add_row(*(Text(cell, style=style if index == 0 else "") for index, cell in enumerate(row)))
    return heading, table


def _place(change: Change) -> str:
    at = change.recorded.at
    return f"{at:%Y-%m-%d %H:%M} {change.recorded.place}" if at else change.recorded.place


def markdown(found: Comparison, old: str, new: str) -> str:
    """A comment for a pull request. All alerts that stop paging are listed, within the size of a comment."""
    lost = len(found.lost_pages)
    verdict = "No alert of this history stops paging."
    if lost:
        verdict = f"⚠️ **{counted(lost, 'alert stops paging', 'alerts stop paging')}.**"
    lines = [f"### Policy `{old}` → `{new}`", "", f"{summary(found)}.", "", verdict]
    if found.losses:
        lines += ["", "**What the new policy loses**", ""]
        lines += [f"- {_escaped(f'{one.kind}: {one.text}')}" for one in found.losses[:MAX_LISTED]]
        lines += _more(len(found.losses))
    if found.tier_changes():
        lines += ["", "| tier | incidents |", "| --- | ---: |"]
        lines += [f"| {change} | {count:,} |" for change, count in tier_lines(found)]
    pages = list(page_lines(found))
    if pages:
        lines += ["", f"| {rate_title(found)} | before | after | difference |", "| --- | ---: | ---: | ---: |"]
        lines += [f"| {' | '.join(map(_escaped, row))} |" for row in pages]
    if found.examples:
        lines += ["", "**Most severe changes**", "", "| change | alerts | example | before | after |"]
        lines += ["| --- | ---: | --- | --- | --- |"]
        lines += [
            f"| {change.kind} | {count:,} | {_escaped(about(change))} | {' | '.join(map(_escaped, outcomes(change)))} |"
            for change, count in found.top_examples()
        ]
    if found.keys:
        lines += ["", f"<details><summary>Keys that differ ({len(found.keys):,})</summary>", ""]
        lines += ["| key | before | after |", "| --- | --- | --- |"]
        lines += [
            f"| {' | '.join(_escaped(text[:MAX_CHARS] or 'none') for text in (one.path, one.before, one.after))} |"
            for one in found.keys[:MAX_LISTED]
        ]
        lines += ["", *_more(len(found.keys)), "</details>"]
    if found.lost_pages:
        lines += ["", f"<details><summary>All alerts that stop paging ({lost:,})</summary>", ""]
        lines += _lost_lines(found, MAX_MARKDOWN_CHARS - sum(len(line) + 1 for line in lines))
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _more(count: int) -> list[str]:
    return [f"… and {count - MAX_LISTED:,} more: `--format json` lists all", ""] if count > MAX_LISTED else []


def _lost_lines(found: Comparison, room: int) -> Iterator[str]:
    for index, one in enumerate(found.lost_pages):
        line = f"- {_escaped(_place(one))}: {_escaped(about(one))}: {' → '.join(map(_escaped, outcomes(one)))}"
        room -= len(line) + 1
        if room < 0:
            yield f"- … and {len(found.lost_pages) - index:,} more: `--format json` lists all"
            return
        yield line


def _escaped(text: str) -> str:
    """Escape an alert's text: no Markdown, HTML, mention or table cell in it takes effect."""
    text = re.sub(r"([\\`*_{}\[\]<>#|~!])", r"\\\1", " ".join(text.split()))
    return text.replace("@", "@\u200b").replace("://", ":\u200b//")


def table_text(found: Comparison, old: str, new: str) -> str:
    """The terminal's tables as text of 160 columns."""
    text = StringIO()
    text.write(f"{old} → {new}\n")
    Console(file=text, width=160).print(comparison_screen(found))
    return text.getvalue()


def json_text(found: Comparison, old: str, new: str) -> str:
    """The whole comparison as JSON; ``lost_pages`` lists all alerts that stop paging."""
    report: dict[str, Any] = {
        "old": old,
        "new": new,
        "alerts": found.alerts,
        "incidents": len(found.incidents),
        "weeks": found.weeks,
        "changed": found.changed,
        "no_longer_regulated": found.no_longer_regulated,
        "kinds": dict(found.kinds),
        "tier_changes": [
            {"before": before, "after": after, "incidents": count}
            for (before, after), count in found.tier_changes().items()
        ],
        "pages": {
            kind: [
                {kind: name, "before": before, "after": after} for name, (before, after) in found.pages(kind).items()
            ]
            for kind in ("team", "destination")
        },
        "examples": [{**_change(change), "alerts": count} for change, count in found.top_examples()],
        "lost_pages": [_change(change) for change in found.lost_pages],
        "losses": [{"kind": one.kind, "text": one.text} for one in found.losses],
        "sent": sent_json(found.sent) if found.sent else None,
        "keys": [{"key": one.path, "before": one.before, "after": one.after} for one in found.keys],
    }
    return json.dumps(report, indent=2) + "\n"


def _change(change: Change) -> dict[str, Any]:
    alert = change.recorded.alert
    return {
        "kind": change.kind,
        "place": change.recorded.place,
        "at": change.recorded.at.isoformat() if change.recorded.at else None,
        "incident": change.recorded.incident,
        "monitor": alert.monitor,
        "model": alert.model,
        "environment": alert.environment,
        "metric": alert.metric,
        "value": alert.value,
        "before": {"rule": change.old.rule, "tier": change.old.tier, "reason": change.old.reason},
        "after": {"rule": change.new.rule, "tier": change.new.tier, "reason": change.new.reason},
    }
