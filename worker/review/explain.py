"""``tocsin policy explain``: one screen that says what an alert would do, to whom, when, and why."""

from datetime import datetime, timedelta

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from alerts import Alert
from policy import Decision, Policy
from policy.misses import Miss, near_misses
from worker.review.happens import Line, afterwards, deciding, what_happens
from workflows.brief import headline
from workflows.rehearsal import Event, rehearse

_COLOURS = {"critical": "bold white on red", "high": "bold black on yellow", "low": "bold white on blue"}


def explanation(policy: Policy, alert: Alert, now: datetime, named: str) -> RenderableType:
    """The screen. ``named`` is how the policy is called, such as its file."""
    decision = policy.decide(alert, now)
    return Group(
        _title(policy, alert, now, decision),
        Text(f"rule {decision.rule} · {named} ({policy.digest})", style="dim"),
        *_section("What happens", _happens(policy, alert, now, decision)),
        *_section("Why", _why(policy, decision)),
        *_section("Nearly", _nearly(near_misses(policy, alert, now))),
        *_section("Asked before", _trace(decision)),
    )


def say(console: Console, policy: Policy, alert: Alert, now: datetime, named: str) -> None:
    console.print(explanation(policy, alert, now, named))


def _title(policy: Policy, alert: Alert, now: datetime, decision: Decision) -> Text:
    if alert.status == "cleared":
        return Text("CLEARED: it resolves the incident that is open, and opens none", style="bold")
    state = rehearse([Event(timedelta(0), alert)], deciding(policy), now, timedelta(0))[0].state
    first, _, rest = headline(state).partition(" ")
    return Text.assemble((f" {first} ", _COLOURS[decision.tier]), " ", (rest, "bold"))


def _section(title: str, content: RenderableType | None) -> list[RenderableType]:
    return [Text(f"\n{title}", style="bold underline"), Padding(content, (0, 0, 0, 2))] if content else []


def _happens(policy: Policy, alert: Alert, now: datetime, decision: Decision) -> RenderableType | None:
    if alert.status == "cleared":
        return None
    table = _grid(4)
    for line in [*what_happens(policy, alert, now), *afterwards(decision)]:
        table.add_row(*_cells(line))
    for label, value in (
        ("priority", decision.priority),
        ("tags", ", ".join(decision.tags)),
        ("team", " · ".join(part for part in (decision.team, decision.owner and f"owner {decision.owner}") if part)),
        ("runbook", decision.runbook),
    ):
        if value:
            table.add_row(Text(label, style="dim"), "", value, "")
    return table


def _cells(line: Line) -> tuple[RenderableType, ...]:
    return Text(line.when, style="cyan"), line.how, Text(line.whom, style="bold"), Text(line.unless, style="dim")


def _why(policy: Policy, decision: Decision) -> RenderableType:
    rule = next((one for one in policy.rules if one.name == decision.rule), None)
    if rule is None or rule.condition is None:
        return Text(f"No rule matched, so otherwise decides: {decision.tier}.")
    return Group(Text(rule.condition.source, style="green"), Text(f"because {decision.why}"))


def _nearly(misses: list[Miss]) -> RenderableType | None:
    if not misses:
        return None
    table = _grid(2)
    for miss in misses:
        table.add_row(Text(miss.rule, style="yellow"), f"({miss.tier}) needs {miss.needs}, this alert has {miss.has}")
    return table


def _trace(decision: Decision) -> RenderableType | None:
    passed = [verdict for verdict in decision.trace if not verdict.matched]
    if not passed:
        return None
    by_reason: dict[str, list[str]] = {}
    for verdict in passed:
        by_reason.setdefault(verdict.why, []).append(verdict.rule)
    table = _grid(3)
    for why, rules in by_reason.items():
        skipped = why.startswith("skipped")
        mark = Text("?" if skipped else "✗", style="yellow" if skipped else "dim")
        table.add_row(mark, ", ".join(rules), Text(why, style="dim"))
    return table


def _grid(columns: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for index in range(columns):
        table.add_column(no_wrap=index == 0, overflow="fold")
    return table
