"""How a comparison of two policies reads: on the terminal, as a comment on a pull request, as JSON."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from policy import Decision, format_duration
from policy.compare import Change, Comparison
from policy.decision import TIERS, Target

MOST_CHARS = 60_000
"""Of Markdown: GitHub takes a comment of 65,536 characters."""
_STYLES = {
    "stops paging": "bold red",
    "no longer regulated": "bold red",
    "pages later": "red",
    "starts paging": "yellow",
}


def outcomes(change: Change) -> tuple[str, str]:
    """``critical by error-rate-breach, tells ai-primary``, before and after: what is different, and no more."""
    before, after = _parts(change.old), _parts(change.new)
    if change.old.tier != change.new.tier:
        # Another tier has other steps, times and fallbacks: that goes without saying.
        return _joined(before, _BRIEFLY), _joined(after, _BRIEFLY)
    different = [key for key in before if before[key] != after[key] or key == "tier"]
    return _joined(before, different, _NONE), _joined(after, different, _NONE)


_BRIEFLY = ("tier", "hold", "first", "digest", "ticket", "closed")
_NONE = {
    "hold": "at once",
    "first": "tells nobody",
    "later": "nobody later",
    "ticket": "no ticket",
    "digest": "no digest",
    "fallback": "no fallback",
    "answer": "no time to answer",
    "remind": "no reminder",
    "closed": "closed by anyone",
    "priority": "no priority",
    "tags": "no tags",
}


def _joined(parts: dict[str, str], keys: Iterable[str], none: Mapping[str, str] | None = None) -> str:
    return ", ".join(text for key in keys if (text := parts[key] or (none or {}).get(key, "")))


def _parts(decision: Decision) -> dict[str, str]:
    first = decision.steps[0].notify if decision.steps else ()
    later = [f"{_names(step.notify)} after {format_duration(step.after)}" for step in decision.steps[1:]]
    answer = decision.respond_within
    return {
        "tier": f"{decision.tier} by {decision.rule}",
        "hold": f"waits {format_duration(decision.hold)}" if decision.hold else "",
        "first": f"tells {_names(first)}" if first else "",
        "later": f"then {', '.join(later)}" if later else "",
        "digest": f"digest in {_names(decision.digest)}" if decision.digest else "",
        "ticket": f"ticket in {_names(decision.tickets)}" if decision.tickets else "",
        "fallback": f"falls back to {_names(decision.fallback)}" if decision.fallback else "",
        "answer": f"answer within {format_duration(answer)}" if answer else "",
        "remind": f"reminds every {format_duration(decision.remind)}" if decision.remind else "",
        "closed": f"closed by {decision.closed_by}" if decision.closed_by else "",
        "priority": f"priority {decision.priority}" if decision.priority else "",
        "tags": f"tags {', '.join(decision.tags)}" if decision.tags else "",
    }


def _names(targets: tuple[Target, ...]) -> str:
    return ", ".join(target.name for target in targets) or "nobody"


def about(change: Change) -> str:
    """``support-chatbot error_rate = 0.31, production (errors)``"""
    alert = change.recorded.alert
    value = "" if alert.value is None else f" = {alert.value:g}"
    what = f"{alert.metric}{value}" if alert.metric else value.strip(" =")
    parts = [" ".join(part for part in (alert.model, what) if part), alert.environment]
    return f"{', '.join(part for part in parts if part)} ({alert.monitor})"


def summary(found: Comparison) -> str:
    incidents = len(found.incidents)
    moved = sum(found.tier_changes().values())
    span = f" in {found.weeks:.1f} weeks" if found.weeks else ""
    return (
        f"{found.alerts:,} alerts of {incidents:,} incidents{span}: {found.changed:,} alerts are decided differently, "
        f"{moved:,} incidents change tier, {len(found.lost):,} alerts stop paging"
        + (f", {found.deregulated:,} are no longer regulated" if found.deregulated else "")
    )


def tier_lines(found: Comparison) -> list[tuple[str, int]]:
    """``high → low``, with how many incidents; the gravest loss first."""
    changes = found.tier_changes().items()
    ranked = sorted(changes, key=lambda item: (TIERS.index(item[0][1]) - TIERS.index(item[0][0]), -item[1]))
    return [(f"{before} → {after}", count) for (before, after), count in ranked]


def page_lines(found: Comparison) -> Iterator[tuple[str, str, str, str]]:
    """Who, before, after, and the difference; a week where the history says times, else in all."""
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
    return "incidents that page, a week" if found.weeks else "incidents that page"


def _rate(found: Comparison, count: int, *, signed: bool = False) -> str:
    value = count / found.weeks if found.weeks else float(count)
    if signed and not count:
        return "="
    digits = 1 if found.weeks else 0
    return f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"


def print_table(console: Console, found: Comparison) -> None:
    """Everything that a reviewer needs, on a terminal."""
    console.print(summary(found), style="bold")
    if not found.changed:
        console.print("Nothing in this history is decided differently.")
    if found.tier_changes():
        _table(
            console, "Incidents that change tier", ("tier", "incidents"), [(a, f"{n:,}") for a, n in tier_lines(found)]
        )
    lines = list(page_lines(found))
    if lines:
        _table(console, "Who is paged", ("who", "before", "after", "change"), lines, rate_title(found))
    rows = [(change.kind, f"{count:,}", about(change), *outcomes(change)) for change, count in found.foremost()]
    if rows:
        _table(console, "The ten that matter most", ("what", "alerts", "such as", "before", "after"), rows)
    if found.lost:
        lost = [(_place(one), about(one), *outcomes(one)) for one in found.lost]
        _table(
            console, f"Every alert that stops paging ({len(found.lost):,})", ("where", "alert", "before", "after"), lost
        )


def _table(
    console: Console, title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]], caption: str = ""
) -> None:
    console.print(f"\n{title}" + (f" ({caption})" if caption else ""), style="bold underline")
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = column in {"incidents", "alerts", "change"} or (
            len(columns) == 4 and columns[0] == "who" and index > 0
        )
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        style = _STYLES.get(row[0], "")
        table.add_row(*(Text(cell, style=style if index == 0 else "") for index, cell in enumerate(row)))
    console.print(table)


def _place(change: Change) -> str:
    at = change.recorded.at
    return f"{at:%Y-%m-%d %H:%M} {change.recorded.place}" if at else change.recorded.place


def markdown(found: Comparison, old: str, new: str) -> str:
    """A comment for a pull request; the alerts that stop paging come whole, as far as a comment holds them."""
    lost = len(found.lost)
    verdict = f"⚠️ **{lost:,} alerts stop paging.**" if lost else "No alert of this history stops paging."
    lines = [f"### Policy `{old}` → `{new}`", "", f"{summary(found)}.", "", verdict]
    if found.tier_changes():
        lines += ["", "| tier | incidents |", "| --- | ---: |"]
        lines += [f"| {change} | {count:,} |" for change, count in tier_lines(found)]
    pages = list(page_lines(found))
    if pages:
        lines += ["", f"| {rate_title(found)} | before | after | change |", "| --- | ---: | ---: | ---: |"]
        lines += [f"| {' | '.join(map(_plain, row))} |" for row in pages]
    if found.examples:
        lines += ["", "**The ten that matter most**", "", "| what | alerts | such as | before | after |"]
        lines += ["| --- | ---: | --- | --- | --- |"]
        lines += [
            f"| {change.kind} | {count:,} | {_plain(about(change))} | {' | '.join(map(_plain, outcomes(change)))} |"
            for change, count in found.foremost()
        ]
    if found.lost:
        lines += ["", f"<details><summary>Every alert that stops paging ({lost:,})</summary>", ""]
        lines += _lost_lines(found, MOST_CHARS - sum(len(line) + 1 for line in lines))
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _lost_lines(found: Comparison, room: int) -> Iterator[str]:
    for index, one in enumerate(found.lost):
        line = f"- {_plain(_place(one))}: {_plain(about(one))}: {' → '.join(map(_plain, outcomes(one)))}"
        room -= len(line) + 1
        if room < 0:
            yield f"- … and {len(found.lost) - index:,} more, which a comment has no room for: `--format json` has all"
            return
        yield line


def _plain(text: str) -> str:
    """An alert's words as words: no Markdown, no HTML, no mention of anybody, no cell of a table of its own."""
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~!])", r"\\\1", " ".join(text.split()))
    return escaped.replace("@", "@\u200b").replace("://", ":\u200b//")


def table_text(found: Comparison, old: str, new: str) -> str:
    """The tables as a text of 160 columns."""
    text = StringIO()
    text.write(f"{old} → {new}\n")
    print_table(Console(file=text, width=160), found)
    return text.getvalue()


def json_text(found: Comparison, old: str, new: str) -> str:
    """Everything, for machines; ``lost_pages`` holds every alert that stops paging."""
    whole: dict[str, Any] = {
        "old": old,
        "new": new,
        "alerts": found.alerts,
        "incidents": len(found.incidents),
        "weeks": found.weeks,
        "changed": found.changed,
        "no_longer_regulated": found.deregulated,
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
        "examples": [{**_change(change), "alike": count} for change, count in found.foremost()],
        "lost_pages": [_change(change) for change in found.lost],
    }
    return json.dumps(whole, indent=2) + "\n"


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
        "before": {"rule": change.old.rule, "tier": change.old.tier, "why": change.old.why},
        "after": {"rule": change.new.rule, "tier": change.new.tier, "why": change.new.why},
    }
