"""The checker of ``make chaos`` finds each kind of broken promise: its counts can be other than nought."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.client import WorkflowHistory

from audit import AuditLog, NewRecord
from tests.chaos.field import Field, Pager
from tests.chaos.replaying import do_over
from tests.chaos.stream import Fire
from tests.chaos.verdict import Verdict, judge
from tests.chaos.wrecks import Wreck
from tests.processes import Tocsin
from tests.vendors import Jira, Request, Slack
from tests.vendors.policy import SECRETS
from tests.workflows.record_histories import HISTORIES, spoilt

BEGAN = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
INCIDENT = "incident-chatbot-1"


class Case:
    """One incident: paged at once, escalated after ten seconds, cleared after twenty."""

    def __init__(self, folder: Path) -> None:
        self.log = AuditLog(f"sqlite:///{folder}/audit.db")
        self.ground = Field(cast("Tocsin", None), Pager(), Slack(), Jira())
        self.wrecks: list[Wreck] = []
        self.timeline = [("classified", "tocsin", "critical"), ("notified", "tocsin", "primary")]
        self.timeline.append(("notified", "tocsin", "secondary"))
        self.recorded = list(self.timeline)
        steps = [{"after": after, "notify": [{"name": name}]} for after, name in ((0, "primary"), (10, "secondary"))]
        self.fire = Fire(0, "unanswered", INCIDENT, ["evt-1", "evt-2"], cleared_at=BEGAN.timestamp() + 20)
        self.view: dict[str, Any] = {"alerts": 2, "decision": {"steps": steps}}
        self.pages = [("primary", 0.1, ""), ("secondary", 10.2, "")]

    def verdict(self) -> Verdict:
        for name, after, key in self.pages:
            self._event("trigger", name, after, key)
        for name, _, key in self.pages:
            self._event("resolve", name, 21, key)
        entries = [{"at": BEGAN.isoformat(), "what": what, "by": by, "text": text} for what, by, text in self.timeline]
        self.fire.view = {**self.view, "timeline": entries}
        data = [{"destination": text} for _, _, text in self.recorded]
        new = [
            NewRecord(INCIDENT, "run", str(number), BEGAN, what, by, text, data[number])
            for number, (what, by, text) in enumerate(self.recorded)
        ]
        self.log.append([new])
        return judge(self.ground, [self.fire], self.wrecks, self.log)

    def _event(self, action: str, name: str, after: float, key: str) -> None:
        body = {"routing_key": SECRETS[name.upper()], "event_action": action, "dedup_key": f"{INCIDENT}.run{key}"}
        body["payload"] = cast("Any", {"summary": "s", "source": "s", "severity": "critical"})
        self.ground.pager.answer(Request("POST", "/v2/enqueue", {}, {}, body, BEGAN.timestamp() + after))


def _paused(began: float, freed: float, ended: float) -> Wreck:
    start = BEGAN.timestamp()
    return Wreck("Temporal server paused", start + began, start + freed, start + ended, 0)


def _lost(case: Case) -> None:
    case.view["alerts"] = 1


def _never_ended(case: Case) -> None:
    case.fire.fault = "waited in vain"


def _doubled(case: Case) -> None:
    case.pages.append(("primary", 0.2, "/again"))


def _late(case: Case) -> None:
    case.pages[1] = ("secondary", 21, "")


def _late_though_mended(case: Case) -> None:
    case.wrecks = [Wreck("worker paused", BEGAN.timestamp() + 9, BEGAN.timestamp() + 12, BEGAN.timestamp() + 12, 0)]
    case.fire.cleared_at += 100
    case.pages[1] = ("secondary", 60, "")


def _early(case: Case) -> None:
    case.pages[1] = ("secondary", 9, "")


def _disobeyed(case: Case) -> None:
    case.fire.acknowledged_at = BEGAN.timestamp() + 5


def _disobeyed_though_spooled(case: Case) -> None:
    """Taken by a gateway while Temporal was away; the step fell due meanwhile, and had to wait."""
    case.fire.acknowledged_at, case.fire.acknowledgement_spooled = BEGAN.timestamp() + 5, True
    case.wrecks = [_paused(4, 12, 13)]
    case.pages[1] = ("secondary", 12.5, "")


def _not_recorded(case: Case) -> None:
    case.recorded.pop()


def _recorded_falsely(case: Case) -> None:
    case.recorded.append(("acknowledged", "Mallory", "never"))


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (_lost, "lost"),
        (_never_ended, "lost"),
        (_doubled, "doubled"),
        (_late, "late"),
        (_late_though_mended, "late"),
        (_early, "early"),
        (_disobeyed, "disobeyed"),
        (_disobeyed_though_spooled, "disobeyed"),
        (_not_recorded, "audit"),
        (_recorded_falsely, "audit"),
    ],
)
def test_what_is_wrong_is_found(tmp_path: Path, wrong: Callable[[Case], None], kind: str) -> None:
    case = Case(tmp_path)
    wrong(case)
    verdict = case.verdict()
    assert not verdict.holds
    assert getattr(verdict, kind), verdict


async def test_a_history_that_cannot_be_done_over_is_found() -> None:
    async def histories() -> AsyncIterator[WorkflowHistory]:
        text = (HISTORIES / "0.3.0" / "paged.json").read_text()
        yield WorkflowHistory.from_json("incident-chatbot-0123456789ab", text)
        yield spoilt()

    (line,) = await do_over(histories())
    assert line.startswith("incident-chatbot-0123456789ab cannot be done over")
    assert "TMPRL1100" in line
    assert not Verdict(broken=[line]).holds


def test_what_is_right_is_not(tmp_path: Path) -> None:
    verdict = Case(tmp_path).verdict()
    assert verdict.holds, verdict


def test_what_was_broken_when_it_was_due_is_allowed_for(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.wrecks = [Wreck("worker paused", BEGAN.timestamp() + 9, BEGAN.timestamp() + 14, BEGAN.timestamp() + 14, 0)]
    case.pages[1] = ("secondary", 16, "")
    verdict = case.verdict()
    assert verdict.holds, verdict
    assert max(verdict.lateness) == pytest.approx(2)


def test_what_fell_due_while_it_was_handed_over_is_allowed_for(tmp_path: Path) -> None:
    case = Case(tmp_path)
    case.fire.acknowledged_at, case.fire.acknowledgement_spooled = BEGAN.timestamp() + 5, True
    case.wrecks = [_paused(4, 9.5, 11)]
    assert case.verdict().holds


@pytest.mark.parametrize(("kills", "holds"), [(1, True), (0, False)])
@pytest.mark.parametrize("said", ["acknowledged", "cleared"])
def test_what_was_kept_a_moment_before_counts_from_when_the_killed_gateway_is_back(
    tmp_path: Path, said: str, kills: int, holds: bool
) -> None:
    case = Case(tmp_path)
    if said == "acknowledged":
        case.fire.acknowledged_at, case.fire.acknowledgement_spooled = BEGAN.timestamp() + 5, True
    else:
        case.fire.cleared_at, case.fire.clear_spooled = BEGAN.timestamp() + 5, True
    start = BEGAN.timestamp()
    case.wrecks = [Wreck("paused, and killed", start + 6, start + 13, start + 15, kills)]
    case.pages[1] = ("secondary", 14, "")
    assert case.verdict().holds == holds
