"""A rehearsal says what the workflow does: the same script is played on both, and compared."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from activities.destinations import destination_types
from alerts import Alert
from policy import load_policy
from tests.workflows.stage import Stage, an_alert
from worker.review.happens import deciding
from workflows.messages import Answer, IncidentView
from workflows.rehearsal import Event, Rehearsed, pages, rehearse

Script = list[tuple[int, Alert | Answer]]
"""Minutes after the first alert, and what comes."""

ERRORS = an_alert()
LATENCY = an_alert("p95_latency_ms", 6200)
QUALITY = an_alert("answer_relevance", 0.7)
RULED = an_alert(model="underwriting")


def cleared(alert: Alert) -> Alert:
    return alert.model_copy(update={"status": "cleared", "value": 0.01})


SCRIPTS: dict[str, tuple[Script, int]] = {
    "nobody answers a page": ([(0, ERRORS)], 70),
    "somebody acknowledges, and is reminded": ([(0, ERRORS), (20, Answer(act="acknowledge", by="alice"))], 600),
    "it heals while it is held": ([(0, LATENCY), (3, cleared(LATENCY))], 10),
    "it burns on after its hold": ([(0, LATENCY)], 22),
    "nobody answers a post": ([(0, QUALITY)], 80),
    "repeats raise the tier": ([(0, QUALITY), (10, QUALITY), (20, QUALITY)], 40),
    "a regulated one waits for its person": (
        [(0, RULED), (5, cleared(RULED)), (30, Answer(act="resolve", by="carl", role="compliance"))],
        40,
    ),
    "somebody resolves it": ([(0, ERRORS), (16, Answer(act="resolve", by="alice", role="responder"))], 20),
    "only a digest": ([(0, an_alert("drift", 0.2)), (5, an_alert("drift", 0.3))], 10),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_workflow_does_what_the_rehearsal_says(stage: Stage, tmp_path: Path, name: str) -> None:
    script, minutes = SCRIPTS[name]
    policy = load_policy(tmp_path / "policy.yaml", destination_types())
    view = await _play(stage, script, minutes)
    events = [Event(timedelta(minutes=at), what) for at, what in script]
    (rehearsed,) = rehearse(events, deciding(policy), view.opened_at, timedelta(minutes=minutes))
    assert _told(view) == _said(rehearsed)
    state, there = rehearsed.state, view
    assert (there.state, there.tier, there.rule) == (state.state, state.tier, state.decision and state.decision.rule)
    assert _happened(view) == [
        (entry.what, round((entry.at - state.opened_at) / timedelta(minutes=1)))
        for entry in state.timeline
        if entry.what in _BY_THE_RULES
    ]


_BY_THE_RULES = frozenset(
    {
        *("received", "joined", "classified", "holding", "hold_ended", "escalated", "unanswered", "reminded"),
        *("acknowledged", "cleared", "resolved", "noted", "burning_again"),
    }
)
"""What ``Life`` notes, by the workflow's clock; receipts are noted by the clock of the vendor's answer."""


async def _play(stage: Stage, script: Script, minutes: int) -> IncidentView:
    passed = 0
    for at, what in script:
        if at > passed:
            await stage.after(minutes=at - passed)
            passed = at
        if isinstance(what, Answer):
            await stage.act(what.act, what.by, what.role or "responder")
        else:
            taken = await stage.fire(what)
            if taken.state == "started":
                await stage.until(lambda view: view.decision)
        await _quiet(stage)
    await stage.after(minutes=minutes - passed)
    return await _quiet(stage)


async def _quiet(stage: Stage) -> IncidentView:
    """The incident, once nothing is owed any more."""
    before = -1

    def same(view: IncidentView) -> IncidentView | None:
        nonlocal before
        now = len(view.timeline)
        still, before = now == before, now
        return view if still and "receipt" not in view.awaiting else None

    for _ in range(3):
        await stage.until(same)
    return await stage.view()


def _told(view: IncidentView) -> Counter[str]:
    return Counter(receipt.destination for receipt in view.receipts)


def _said(rehearsed: Rehearsed) -> Counter[str]:
    sent = [one.target.name for one in rehearsed.sent if one.verb in {"notify", "remind"}]
    assert len(pages(rehearsed.sent)) <= len(sent)
    return Counter(sent)


def _happened(view: IncidentView) -> list[tuple[str, int]]:
    return [
        (entry.what, round((entry.at - view.opened_at) / timedelta(minutes=1)))
        for entry in view.timeline
        if entry.what in _BY_THE_RULES
    ]
