"""``tocsin policy explain``: shows on one screen what an alert triggers, when, and why."""

from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from alerts import Alert
from incident.message_builder import headline
from policy import Decision, Policy, short_digest
from policy.authoring.near_misses import NearMiss, near_misses
from policy.meaning.interpret import InterpretationStep
from simulation.decision_text import field_texts
from simulation.noise_text import noise_lines
from simulation.preview import Line, conditional_lines, decide_by, preview
from simulation.simulator import Event, simulate

_COLOURS = {"critical": "bold white on red", "high": "bold black on yellow", "low": "bold white on blue"}

_NO_DETAIL = frozenset(
    {
        "rule",
        "reason",
        "trace",
        "policy",
        "tier",
        "steps",
        "fallback",
        "digest",
        "tickets",
        "hold",
        "respond_within",
        "on_ack_timeout",
        "remind",
        "regulated",
        "closed_by",
        "refire_after",
        "group_window",
        "reopen_within",
        "maintenance",
        "flapping",
        "phase",
        "withheld",
        "inhibits",
        "seasonal",
        "labels",
        "budget",
    }
)
"""Fields that other parts of the screen show, or that every decision has alike; the others are shown as details."""


def explanation(policy: Policy, alert: Alert, now: datetime, name: str) -> RenderableType:
    """The screen. ``name`` is the policy's, such as its file."""
    steps = policy.interpretation(alert)
    alert = policy.interpret(alert)
    decision = policy.decide(alert, now)
    return Group(
        _title(policy, alert, now, decision),
        Text(f"rule {decision.rule} · {name} ({short_digest(policy.digest)})", style="dim"),
        *_section("What it means", _interpretation(steps)),
        *_section("What happens", _what_happens(policy, alert, now, decision)),
        *_section("What keeps it quiet", _quiet(policy, alert, decision, now)),
        *_section("Why", _why(policy, decision)),
        *_section("Near misses", _near_misses(near_misses(policy, alert, now))),
        *_section("Rules that did not match", _trace(decision)),
    )


def _title(policy: Policy, alert: Alert, now: datetime, decision: Decision) -> Text:
    if alert.status == "cleared":
        return Text("CLEARED: resolves the open incident; opens none", style="bold")
    state = simulate([Event(timedelta(0), alert)], decide_by(policy), now, timedelta(0), policy.incident_of)[0].state
    first, _, rest = headline(state).partition(" ")
    return Text.assemble((f" {first} ", _COLOURS[decision.tier]), " ", (rest, "bold"))


def _section(title: str, content: RenderableType | None) -> list[RenderableType]:
    return [Text(f"\n{title}", style="bold underline"), Padding(content, (0, 0, 0, 2))] if content else []


def _interpretation(steps: list[InterpretationStep]) -> RenderableType | None:
    """From Arize's words to the policy's; a step that changes nothing is left out."""
    table = _grid(3)
    for step in steps:
        means = Text.assemble(step.said, (" → ", "dim"), (step.means, "bold"))
        table.add_row(Text(step.field, style="cyan"), means, Text(step.by, style="dim"))
    return table if steps else None


def _what_happens(policy: Policy, alert: Alert, now: datetime, decision: Decision) -> RenderableType | None:
    if alert.status == "cleared":
        return None
    table = _grid(4)
    for line in [*preview(policy, alert, now), *conditional_lines(decision)]:
        table.add_row(*_cells(line))
    for name, value in field_texts(decision).items():
        if value and name not in _NO_DETAIL:
            table.add_row(Text(name.replace("_", " "), style="dim"), "", value, "")
    return table


def _quiet(policy: Policy, alert: Alert, decision: Decision, now: datetime) -> RenderableType | None:
    lines = list(noise_lines(policy, alert, decision, now)) if alert.status != "cleared" else []
    table = _grid(2)
    for name, text in lines:
        table.add_row(Text(name, style="cyan"), text)
    return table if lines else None


def _cells(line: Line) -> tuple[RenderableType, ...]:
    return Text(line.when, style="cyan"), line.verb, Text(line.target, style="bold"), Text(line.condition, style="dim")


def _why(policy: Policy, decision: Decision) -> RenderableType:
    rule = next((each for each in policy.rules if each.name == decision.rule), None)
    if rule is None or rule.condition is None:
        reason = f"{decision.reason[:1].upper()}{decision.reason[1:]}"
        return Text(f"{reason}; {decision.rule} sets the tier {decision.tier}.")
    return Group(Text(rule.condition.source, style="green"), Text(f"because {decision.reason}"))


def _near_misses(misses: list[NearMiss]) -> RenderableType | None:
    if not misses:
        return None
    table = _grid(2)
    for miss in misses:
        table.add_row(Text(miss.rule, style="yellow"), f"({miss.tier}) needs {miss.needs}, this alert has {miss.has}")
    return table


def _trace(decision: Decision) -> RenderableType | None:
    # A rule that decided in doubt has not matched; Why says so.
    unmatched = [verdict for verdict in decision.trace if not verdict.matched and verdict.rule != decision.rule]
    if not unmatched:
        return None
    by_reason: dict[str, list[str]] = {}
    for verdict in unmatched:
        by_reason.setdefault(verdict.reason, []).append(verdict.rule)
    table = _grid(3)
    for reason, rules in by_reason.items():
        skipped = reason.startswith("skipped")
        mark = Text("?" if skipped else "✗", style="yellow" if skipped else "dim")
        table.add_row(mark, ", ".join(rules), Text(reason, style="dim"))
    return table


def _grid(columns: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for index in range(columns):
        table.add_column(no_wrap=index == 0, overflow="fold")
    return table
