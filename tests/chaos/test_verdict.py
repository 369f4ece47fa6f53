"""The checker of ``make chaos`` finds each kind of violation."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.client import WorkflowHistory

from audit import AuditLog, NewRecord
from tests.chaos.faults import InjectedFault
from tests.chaos.harness import ChaosHarness, Pager
from tests.chaos.replay import replay_all
from tests.chaos.stream import ScriptedIncident
from tests.chaos.verdict import Verdict, judge
from tests.processes import Tocsin
from tests.vendors import Jira, Request, Slack
from tests.vendors.policy import SECRETS
from tests.workflows.record_histories import WORKFLOW_ID, history_of, nondeterministic

BEGAN = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
START = BEGAN.timestamp()
INCIDENT = "incident-chatbot-1"


class Case:
    """One incident: paged immediately, escalated after ten seconds, cleared after twenty."""

    def __init__(self, folder: Path) -> None:
        self.log = AuditLog(f"sqlite:///{folder}/audit.db")
        self.harness = ChaosHarness(cast("Tocsin", None), Pager(), Slack(), Jira())
        self.injected: list[InjectedFault] = []
        self.timeline = [("classified", "tocsin", "critical"), ("notified", "tocsin", "primary")]
        self.timeline.append(("notified", "tocsin", "secondary"))
        self.recorded = list(self.timeline)
        steps = [{"after": after, "notify": [{"name": name}]} for after, name in ((0, "primary"), (10, "secondary"))]
        self.incident = ScriptedIncident(0, "unacknowledged", INCIDENT, ["evt-1", "evt-2"], cleared_at=START + 20)
        self.view: dict[str, Any] = {"alert_count": 2, "decision": {"steps": steps}}
        self.pages = [("primary", 0.1, ""), ("secondary", 10.2, "")]

    def verdict(self) -> Verdict:
        for name, after, key in self.pages:
            self._event("trigger", name, after, key)
        for name, _, key in self.pages:
            self._event("resolve", name, 21, key)
        entries = [
            {"at": BEGAN.isoformat(), "event": event, "by": by, "text": text} for event, by, text in self.timeline
        ]
        self.incident.view = {**self.view, "timeline": entries}
        new = [
            NewRecord(INCIDENT, "run", str(number), BEGAN, event, by, text, {"destination": text})
            for number, (event, by, text) in enumerate(self.recorded)
        ]
        self.log.append([new])
        return judge(self.harness, [self.incident], self.injected, self.log)

    def _event(self, action: str, name: str, after: float, key: str) -> None:
        body = {"routing_key": SECRETS[name.upper()], "event_action": action, "dedup_key": f"{INCIDENT}.run{key}"}
        body["payload"] = cast("Any", {"summary": "s", "source": "s", "severity": "critical"})
        self.harness.pager.answer(Request("POST", "/v2/enqueue", {}, {}, body, START + after))


def _fault(name: str, began: float, removed: float, ended: float, kills: int = 0) -> InjectedFault:
    return InjectedFault(name, START + began, START + removed, START + ended, kills)


def _lose_alert(case: Case) -> None:
    case.view["alert_count"] = 1


def _never_close(case: Case) -> None:
    case.incident.error = "waited 240 s for it to be closed"


def _page_twice(case: Case) -> None:
    case.pages.append(("primary", 0.2, "/again"))


def _page_late(case: Case) -> None:
    case.pages[1] = ("secondary", 21, "")


def _page_late_after_recovery(case: Case) -> None:
    case.injected = [_fault("worker paused", 9, 12, 12)]
    case.incident.cleared_at += 100
    case.pages[1] = ("secondary", 60, "")


def _page_early(case: Case) -> None:
    case.pages[1] = ("secondary", 9, "")


def _page_after_ack(case: Case) -> None:
    case.incident.acknowledged_at = START + 5


def _page_after_spooled_ack(case: Case) -> None:
    """Accepted by a gateway while Temporal was unavailable; the step became due meanwhile, and had to wait."""
    case.incident.acknowledged_at, case.incident.acknowledgement_spooled = START + 5, True
    case.injected = [_fault("Temporal server paused", 4, 12, 13)]
    case.pages[1] = ("secondary", 12.5, "")


def _omit_record(case: Case) -> None:
    case.recorded.pop()


def _add_false_record(case: Case) -> None:
    case.recorded.append(("acknowledged", "Mallory", "never"))


def _close_by_older_clear(case: Case) -> None:
    case.incident.swallowed.append("a clear from before its trigger: it is closed")


def _swallow_second_fire(case: Case) -> None:
    case.incident.required = [START, START + 30]


def _page_again_for_repeat(case: Case) -> None:
    case.incident.required = [START]
    case.pages.append(("primary", 12, "/again"))


def _page_late_for_second_fire(case: Case) -> None:
    case.incident.required = [START, START + 30]
    case.pages.append(("primary", 50, "/again"))


def _comment_twice(case: Case) -> None:
    text = {"type": "text", "text": "Tocsin · 3f9a2c71"}
    case.harness.jira.comments["GOV-1"] = [{"id": number, "body": {"content": [text]}} for number in "12"]


@pytest.mark.parametrize(
    ("violate", "kind"),
    [
        (_lose_alert, "lost"),
        (_close_by_older_clear, "swallowed"),
        (_swallow_second_fire, "swallowed"),
        (_page_again_for_repeat, "doubled"),
        (_page_late_for_second_fire, "late"),
        (_comment_twice, "doubled"),
        (_never_close, "lost"),
        (_page_twice, "doubled"),
        (_page_late, "late"),
        (_page_late_after_recovery, "late"),
        (_page_early, "early"),
        (_page_after_ack, "paged_after_ack"),
        (_page_after_spooled_ack, "paged_after_ack"),
        (_omit_record, "audit"),
        (_add_false_record, "audit"),
    ],
)
def test_checker_finds_each_violation(tmp_path: Path, violate: Callable[[Case], None], kind: str) -> None:
    case = Case(tmp_path)
    violate(case)
    verdict = case.verdict()
    assert not verdict.holds
    assert getattr(verdict, kind), verdict


async def test_checker_finds_history_that_does_not_replay() -> None:
    history = await history_of("paged")

    async def histories() -> AsyncIterator[WorkflowHistory]:
        yield WorkflowHistory.from_json(WORKFLOW_ID, history)
        yield nondeterministic(history)

    (line,) = await replay_all(histories())
    assert line.startswith(f"{WORKFLOW_ID} does not replay")
    assert "TMPRL1100" in line
    assert not Verdict(replay=[line]).holds


def test_checker_accepts_correct_run(tmp_path: Path) -> None:
    verdict = Case(tmp_path).verdict()
    assert verdict.holds, verdict


def test_lateness_counts_from_recovery(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.injected = [_fault("worker paused", 9, 14, 14)]
    case.pages[1] = ("secondary", 16, "")
    verdict = case.verdict()
    assert verdict.holds, verdict
    assert max(verdict.lateness) == pytest.approx(2)


def test_step_due_while_spool_drains_is_allowed(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.incident.acknowledged_at, case.incident.acknowledgement_spooled = START + 5, True
    case.injected = [_fault("Temporal server paused", 4, 9.5, 11)]
    assert case.verdict().holds


@pytest.mark.parametrize(("kills", "holds"), [(1, True), (0, False)])
@pytest.mark.parametrize("action", ["acknowledged", "cleared"])
def test_spooled_action_counts_from_gateway_restart(tmp_path: Path, action: str, kills: int, holds: bool) -> None:
    case = Case(tmp_path)
    if action == "acknowledged":
        case.incident.acknowledged_at, case.incident.acknowledgement_spooled = START + 5, True
    else:
        case.incident.cleared_at, case.incident.clear_spooled = START + 5, True
    case.injected = [_fault("Temporal server paused, gateway killed", 6, 13, 15, kills)]
    case.pages[1] = ("secondary", 14, "")
    assert case.verdict().holds == holds
