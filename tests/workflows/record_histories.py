"""Records the histories that test_replay replays: ``python -m tests.workflows.record_histories VERSION``.

Once for each release, before its workflow code changes. A history that exists is never written over: open
incidents of that version are out there.
"""

import asyncio
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from alerts import incident_id
from tests.vendors import Fault, Jira, PagerDuty, Slack
from tests.workflows.stage import Stage, an_alert, staged

HISTORIES = Path(__file__).parent / "histories"


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


async def digest(stage: Stage) -> str:
    for number in range(3):
        await stage.fire(an_alert("percent_empty", 12, model=f"model-{number}"))
        await stage.settled("notified")
    await stage.after(hours=25)
    await stage.client.get_workflow_handle("digest-daily").result()
    return "digest-daily"


LIVES: list[Callable[[Stage], Awaitable[str | None]]] = [
    paged,
    escalated,
    held,
    risen,
    regulated,
    undeliverable,
    low,
    digest,
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
            async with staged(Path(state), pagerduty, slack, jira) as stage:
                other = await life(stage)
                handle = stage.client.get_workflow_handle(other or incident_id(stage.alert))
                file.write_text(_without_stacks((await handle.fetch_history()).to_json()) + "\n")
                print(f"{file.name}: {len((await handle.fetch_history()).events)} events")


def _without_stacks(history: str) -> str:
    """A stack names the folders of the machine that it was recorded on, and no replay reads it."""
    return re.sub(r'("stackTrace": )"(?:[^"\\]|\\.)*"', r'\1""', history)


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1]))
