"""Records the histories that test_replay replays: ``python -m tests.workflows.record_histories VERSION``.

Once for each release, before its workflow code changes. A history that exists is never written over: open
incidents of that version are out there.
"""

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from temporalio.client import WorkflowHistory

from activities.contracts import CATCH_UP_WORKFLOW, DIGEST_ISSUE_WORKFLOW, CatchUpDue, DigestDue
from alerts import incident_id
from gateway.changes import change_workflow, read_change, report_change
from tests.vendors import Arize, Fault, Jira, PagerDuty, Slack
from tests.workflows.stage import QUEUE, Stage, an_alert, staged
from worker.catching_up import arize_api, create_catch_up
from worker.settings import read_settings

HISTORIES = Path(__file__).parent / "histories"


def spoilt() -> WorkflowHistory:
    """A history that the code does not make: one timer is taken away."""
    history = json.loads((HISTORIES / "0.1.0" / "paged.json").read_text())
    timer = next(event for event in history["events"] if event["eventType"].endswith("TIMER_STARTED"))
    timer["eventType"] = "EVENT_TYPE_MARKER_RECORDED"
    del timer["timerStartedEventAttributes"]
    timer["markerRecordedEventAttributes"] = {"markerName": "core_patch"}
    return WorkflowHistory.from_json("incident-chatbot-0123456789ab", json.dumps(history))


async def paged(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.callback("acknowledge", "Alice Example", id="pagerduty-1")
    await stage.settled("acknowledged")
    await stage.clear()
    await stage.closed()


async def escalated(stage: Stage) -> None:
    await stage.fire(event_id="evt-1")
    await stage.settled("notified")
    await stage.fire(an_alert(value=0.4), event_id="evt-2")
    await stage.after(minutes=31)
    await stage.until(lambda view: len(view.receipts) == 4)
    await stage.act("acknowledge", "bob")
    await stage.after(hours=5)
    await stage.act("resolve", "bob", note="rolled back")
    await stage.closed()


async def held(stage: Stage) -> None:
    await stage.fire(an_alert("p95_latency_ms", 6200))
    await stage.settled("holding")
    await stage.after(minutes=6)
    await stage.settled("notified")
    await stage.clear()
    await stage.closed()


async def risen(stage: Stage) -> None:
    await stage.fire(an_alert("answer_relevance", 0.7))
    await stage.settled("notified")
    await stage.after(minutes=61)
    await stage.until(lambda view: view.tier == "critical" and len(view.receipts) == 2)
    await stage.clear()
    await stage.closed()


async def regulated(stage: Stage) -> None:
    stage.jira.script(Fault(status=503))
    await stage.fire(an_alert("bias", 0.2, model="underwriting"))
    await stage.after(seconds=5)
    await stage.until(lambda view: len(view.receipts) == 2)
    await stage.clear()
    await stage.settled("awaiting_human")
    await stage.act("annotate", "bob", note="looking")
    await stage.act("resolve", "Carol", "compliance", note="reviewed")
    await stage.closed()


async def undeliverable(stage: Stage) -> None:
    stage.pagerduty.always = Fault(status=401)
    await stage.fire()
    await stage.until(lambda view: view.receipts)
    await stage.act("resolve", "bob")
    await stage.closed()


async def low(stage: Stage) -> None:
    await stage.fire(an_alert("percent_empty", 12))
    await stage.settled("notified")
    await stage.clear()
    await stage.closed()


async def digest_issue(stage: Stage) -> str:
    for number in range(3):
        await stage.fire(an_alert("percent_empty", 12, model=f"model-{number}"))
        await stage.settled("notified")
    stage.slack.script(Fault(status=503))
    due = DigestDue(destination="daily")
    await stage.client.execute_workflow(DIGEST_ISSUE_WORKFLOW, due, id="digest-daily-1", task_queue=QUEUE)
    return "digest-daily-1"


async def silenced(stage: Stage) -> None:
    await stage.fire()
    await stage.settled("notified")
    await stage.callback("silence", "Alice Example", id="slack-1", seconds=3600)
    await stage.settled("acknowledged")
    await stage.after(minutes=61)
    await stage.until(lambda view: len(view.receipts) == 2)
    await stage.callback("false_alarm", "Alice Example", id="slack-2")
    await stage.closed()


async def withdrawn(stage: Stage) -> None:
    await stage.fire(an_alert("answer_relevance", 0.7))
    await stage.settled("notified")
    for number in range(2):
        await stage.fire(event_id=f"again-{number}")
    await stage.until(lambda view: view.tier == "critical" and len(view.receipts) == 2)
    await stage.callback("acknowledge", "Alice Example", id="pagerduty-1")
    await stage.settled("acknowledged")
    await stage.callback("reassign", "Alice Example", id="pagerduty-2", note="Bob")
    await stage.callback("unacknowledge", "Alice Example", id="pagerduty-3")
    await stage.settled("notified")
    await stage.after(minutes=16)
    await stage.until(lambda view: view.escalation == 2)
    await stage.act("resolve", "bob")
    await stage.closed()


async def change_told(stage: Stage) -> str:
    body = {"prompt": {"name": "support"}, "version": "8"}
    change = read_change("prompt.version.created", body, "evt-1", datetime(2026, 11, 24, tzinfo=UTC))
    assert change is not None
    name = change_workflow(change)
    await report_change(stage.client, QUEUE, change)
    await stage.client.get_workflow_handle(name).result()
    return name


async def stormy(stage: Stage) -> None:
    """Repeats and answers in turn, some of which no worker was there for."""
    await stage.fire()
    await stage.settled("notified")
    for number in range(4):
        await stage.fire(an_alert(value=0.4 + number / 10), event_id=f"again-{number}")
        await stage.callback("annotate", "Alice Example", id=f"slack-{number}", note=f"looking, {number}")
    async with stage.unattended():
        await stage.fire(an_alert(value=0.9), event_id="again-9")
        await stage.callback("acknowledge", "Alice Example", id="slack-9")
        await stage.fire(an_alert(value=0.95), event_id="again-10")
    await stage.settled("acknowledged")
    await stage.clear()
    await stage.closed()


async def caught_up(stage: Stage) -> str:
    with Arize() as arize:
        arize.put("m-1")
        environment = {"ARIZE_API_KEY": arize.key, "ARIZE_API_URL": arize.base_url, "TOCSIN_TASK_QUEUE": QUEUE}
        settings = read_settings(environment | {"TOCSIN_STATE_DIR": str(stage.file.parent)})
        await stage.crew.shutdown()
        stage.crew = stage.hire(catch_up=create_catch_up(settings, stage.client, arize_api(settings), lambda *_: None))
        await stage.crew.start()
        await stage.client.execute_workflow(CATCH_UP_WORKFLOW, CatchUpDue(grace=1), id="catch-up-1", task_queue=QUEUE)
    return "catch-up-1"


REAL = {stormy, caught_up}
"""Those that need the real server."""
LIVES: list[Callable[[Stage], Awaitable[str | None]]] = [
    paged,
    escalated,
    held,
    risen,
    regulated,
    undeliverable,
    low,
    digest_issue,
    silenced,
    withdrawn,
    change_told,
    stormy,
    caught_up,
]


async def record(version: str) -> None:
    folder = HISTORIES / version
    folder.mkdir(parents=True, exist_ok=True)
    for life in LIVES:
        file = folder / f"{life.__name__}.json"
        if file.exists():
            print(f"{file.name} is there already")
            continue
        with tempfile.TemporaryDirectory() as state, PagerDuty() as pagerduty, Slack() as slack, Jira() as jira:
            async with staged(Path(state), pagerduty, slack, jira, real=life in REAL) as stage:
                other = await life(stage)
                handle = stage.client.get_workflow_handle(other or incident_id(stage.alert))
                file.write_text(_without_stacks((await handle.fetch_history()).to_json()) + "\n")
                print(f"{file.name}: {len((await handle.fetch_history()).events)} events")


def _without_stacks(history: str) -> str:
    """A stack names the folders of the machine that it was recorded on, and no replay reads it."""
    return re.sub(r'("stackTrace": )"(?:[^"\\]|\\.)*"', r'\1""', history)


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1]))
