"""What each phase of a rollout would have sent about recorded alerts, beside what really came of the incidents."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from alerts import Alert
from incident.text import counted
from policy import Policy
from policy.decision import PHASES, Phase
from simulation.replay import ACKNOWLEDGE_AFTER, KINDS, Replay, counts, is_page, prepare, replay

_DAY = timedelta(days=1)
_BUSIEST = 3

OUTCOMES: dict[str, str] = {
    "acknowledged": "acknowledged by a person",
    "false_alarm": "marked as a false alarm",
    "withheld": "withheld by the phase that was in force",
}
"""Audit events that say what came of an incident, and their words."""


@dataclass
class PastIncidents:
    """What really came of incidents, by the audit log."""

    opened: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    had: dict[str, set[tuple[str, str]]] = field(default_factory=dict[str, set[tuple[str, str]]])

    def note(self, incident: str, first_run_id: str, event: str) -> None:
        """One record of the audit log."""
        key = (incident, first_run_id)
        if event == "received":
            self.opened.add(key)
        elif event in OUTCOMES:
            self.had.setdefault(event, set()).add(key)

    @property
    def figures(self) -> dict[str, int]:
        """How many there were, and of how many each outcome is recorded."""
        return {"opened": len(self.opened), **{event: len(self.had.get(event, ())) for event in OUTCOMES}}


@dataclass(frozen=True)
class RolloutReport:
    """A replay for each phase."""

    phase: Phase
    """The one in force."""
    exceptions: int
    replays: dict[Phase, Replay]
    past: PastIncidents | None


def report_rollout(
    policy: Policy, history: Sequence[tuple[datetime, Alert]], past: PastIncidents | None = None
) -> RolloutReport:
    """Play the alerts in each phase; the exceptions of the policy stay.

    Args:
        policy: whose rollout it is.
        history: alerts as they were received, and when.
        past: what came of the incidents, if that is known.
    """
    replays: dict[Phase, Replay] = {}
    for phase in PHASES:
        of_phase = replace(policy, rollout=replace(policy.rollout, phase=phase))
        replays[phase] = replay(of_phase, (prepare(of_phase, alert, at) for at, alert in history), ACKNOWLEDGE_AFTER)
    return RolloutReport(policy.rollout.phase, len(policy.rollout.exceptions), replays, past)


def rollout_json(report: RolloutReport) -> dict[str, Any]:
    """The figures of each phase, and of the real incidents."""
    return {
        "phase": report.phase,
        "exceptions": report.exceptions,
        "phases": {phase: _figures(found) for phase, found in report.replays.items()},
        "incidents": report.past.figures if report.past else None,
    }


def _figures(found: Replay) -> dict[str, Any]:
    paged = [one for one in found.notifications if is_page(one)]
    return {
        "incidents": found.incidents,
        **counts(found.notifications),
        "pages_by_destination": dict(Counter(one.target.name for one in paged).most_common()),
        "pages_by_team": dict(Counter(one.team for one in paged).most_common()),
        "pages_by_hour": dict(sorted(Counter(f"{found.at(one):%H}" for one in paged).items())),
        "pages_a_day": round(len(paged) / _days(found), 2),
    }


def _days(found: Replay) -> float:
    return max((found.last - found.start) / _DAY, 1.0) if found.last else 1.0


def rollout_screen(report: RolloutReport) -> RenderableType:
    """The figures as a table."""
    any_one = report.replays["page"]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("Phase", *KINDS, "a day", "pages for", "busiest hours (UTC)"):
        table.add_column(name, justify="right" if name in KINDS or name == "a day" else "left")
    for phase, found in report.replays.items():
        figures = _figures(found)
        hours = Counter[str](figures["pages_by_hour"]).most_common(_BUSIEST)
        table.add_row(
            f"{phase} *" if phase == report.phase else phase,
            *(f"{figures[kind]:,}" if figures[kind] else "·" for kind in KINDS),
            f"{figures['pages_a_day']:g}" if figures["pages"] else "·",
            _listed(figures["pages_by_destination"].items()),
            _listed(hours),
        )
    first = f"{any_one.start:%Y-%m-%d %H:%M}"
    last = f"{any_one.last:%Y-%m-%d %H:%M}" if any_one.last else first
    beside = f", beside {counted(report.exceptions, 'exception')}" if report.exceptions else ""
    title = f"{counted(any_one.alerts, 'alert')} from {first} to {last} UTC; * is in force{beside}"
    parts: list[RenderableType] = [Text(title), Text(""), table]
    if report.past is not None:
        figures = report.past.figures
        known = [f"{figures[event]:,} {words}" for event, words in OUTCOMES.items() if figures[event]]
        text = f"Real incidents: {figures['opened']:,} opened" + (f"; {', '.join(known)}" if known else "")
        parts += [Text(""), Text(text)]
    return Group(*parts)


def _listed(items: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in items) or "·"
