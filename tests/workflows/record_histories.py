"""Records the histories that test_replay replays.

``python -m tests.workflows.record_histories VERSION [SCENARIO ...]``

Run it once for each release, before its workflow code changes. A stored history is never overwritten: incidents that
are open somewhere have such histories.
"""

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from temporalio.client import WorkflowHistory

from alerts import incident_id
from gateway.ingest.changes import change_workflow, read_change, report_change
from tests.vendors import Arize, Fault, Jira, PagerDuty, Slack
from tests.workflows.harness import QUEUE, IncidentHarness, incident_harness, make_alert
from worker.reconcile import arize_api, create_reconciler
from worker.settings import read_settings
from workflows.contracts import DIGEST_WORKFLOW, RECONCILE_WORKFLOW, DigestInput, ReconcileInput

HISTORIES = Path(__file__).parent / "histories"
WORKFLOW_ID = "incident-chatbot-0123456789ab"


async def paged(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.callback("acknowledge", "Alice Example", id="pagerduty-1")
    await harness.until_state("acknowledged")
    await harness.clear()
    await harness.until_closed()


async def escalated(harness: IncidentHarness) -> None:
    await harness.fire(event_id="evt-1")
    await harness.until_state("notified")
    await harness.fire(make_alert(value=0.4), event_id="evt-2")
    await harness.advance(minutes=31)
    await harness.until(lambda view: len(view.receipts) == 4)
    await harness.act("acknowledge", "bob")
    await harness.advance(hours=5)
    await harness.act("resolve", "bob", note="rolled back")
    await harness.until_closed()


async def held(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("p95_latency_ms", 6200))
    await harness.until_state("holding")
    await harness.advance(minutes=6)
    await harness.until_state("notified")
    await harness.clear()
    await harness.until_closed()


async def ack_timeout(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("answer_relevance", 0.7))
    await harness.until_state("notified")
    await harness.advance(minutes=61)
    await harness.until(lambda view: view.tier == "critical" and len(view.receipts) == 2)
    await harness.clear()
    await harness.until_closed()


async def regulated(harness: IncidentHarness) -> None:
    harness.jira.script(Fault(status=503))
    await harness.fire(make_alert("bias", 0.2, model="underwriting"))
    await harness.advance(seconds=5)
    await harness.until(lambda view: len(view.receipts) == 2)
    await harness.clear()
    await harness.until_state("awaiting_human")
    await harness.act("annotate", "bob", note="looking")
    await harness.act("resolve", "Carol", "compliance", note="reviewed")
    await harness.until_closed()


async def fallback(harness: IncidentHarness) -> None:
    harness.pagerduty.always = Fault(status=401)
    await harness.fire()
    await harness.until(lambda view: view.receipts)
    await harness.act("resolve", "bob")
    await harness.until_closed()


async def low(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("percent_empty", 12))
    await harness.until_state("notified")
    await harness.clear()
    await harness.until_closed()


async def digest(harness: IncidentHarness) -> str:
    for number in range(3):
        await harness.fire(make_alert("percent_empty", 12, model=f"model-{number}"))
        await harness.until_state("notified")
    harness.slack.script(Fault(status=503))
    start = DigestInput(destination="daily")
    await harness.client.execute_workflow(DIGEST_WORKFLOW, start, id="digest-daily-1", task_queue=QUEUE)
    return "digest-daily-1"


async def silenced(harness: IncidentHarness) -> None:
    await harness.fire()
    await harness.until_state("notified")
    await harness.callback("silence", "Alice Example", id="slack-1", silence_seconds=3600)
    await harness.until_state("acknowledged")
    await harness.advance(minutes=61)
    await harness.until(lambda view: len(view.receipts) == 2)
    await harness.callback("false_alarm", "Alice Example", id="slack-2")
    await harness.until_closed()


async def unacknowledged(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("answer_relevance", 0.7))
    await harness.until_state("notified")
    for number in range(2):
        await harness.fire(event_id=f"repeat-{number}")
    await harness.until(lambda view: view.tier == "critical" and len(view.receipts) == 2)
    await harness.callback("acknowledge", "Alice Example", id="pagerduty-1")
    await harness.until_state("acknowledged")
    await harness.callback("reassign", "Alice Example", id="pagerduty-2", note="Bob")
    await harness.callback("unacknowledge", "Alice Example", id="pagerduty-3")
    await harness.until_state("notified")
    await harness.advance(minutes=16)
    await harness.until(lambda view: view.escalation_level == 2)
    await harness.act("resolve", "bob")
    await harness.until_closed()


async def change(harness: IncidentHarness) -> str:
    body = {"prompt": {"name": "support"}, "version": "8"}
    found = read_change("prompt.version.created", body, "evt-1", datetime(2026, 11, 24, tzinfo=UTC))
    assert found is not None
    name = change_workflow(found)
    await report_change(harness.client, QUEUE, found)
    await harness.client.get_workflow_handle(name).result()
    return name


async def storm(harness: IncidentHarness) -> None:
    """Alerts and actions in turn, some of them while no worker runs."""
    await harness.fire()
    await harness.until_state("notified")
    for number in range(4):
        await harness.fire(make_alert(value=0.4 + number / 10), event_id=f"repeat-{number}")
        await harness.callback("annotate", "Alice Example", id=f"slack-{number}", note=f"looking, {number}")
    async with harness.without_worker():
        await harness.fire(make_alert(value=0.9), event_id="repeat-9")
        await harness.callback("acknowledge", "Alice Example", id="slack-9")
        await harness.fire(make_alert(value=0.95), event_id="repeat-10")
    await harness.until_state("acknowledged")
    await harness.clear()
    await harness.until_closed()


async def reconcile(harness: IncidentHarness) -> str:
    with Arize() as arize:
        arize.put("m-1")
        environment = {"ARIZE_API_KEY": arize.key, "ARIZE_API_URL": arize.base_url, "TOCSIN_TASK_QUEUE": QUEUE}
        settings = read_settings(environment | {"TOCSIN_STATE_DIR": str(harness.policy_file.parent)})
        reconciler = create_reconciler(settings, harness.client, arize_api(settings), lambda *_: None)
        await harness.restart_worker(reconciler=reconciler)
        start = ReconcileInput(grace=1)
        await harness.client.execute_workflow(RECONCILE_WORKFLOW, start, id="reconcile-1", task_queue=QUEUE)
    return "reconcile-1"


@dataclass(frozen=True)
class Scenario:
    """``play`` returns the id of the workflow whose history is recorded; None is the incident."""

    play: Callable[[IncidentHarness], Awaitable[str | None]]
    shows: str
    real: bool = False
    """Needs the server that production uses."""


SCENARIOS: dict[str, Scenario] = {
    "paged": Scenario(paged, "page, acknowledgement by callback, clear"),
    "escalated": Scenario(escalated, "escalation steps, acknowledgement, reminder, resolve"),
    "held": Scenario(held, "hold that expires"),
    "ack_timeout": Scenario(ack_timeout, "post without acknowledgement: the tier rises"),
    "regulated": Scenario(regulated, "ticket with a retry, denied close, close by compliance"),
    "fallback": Scenario(fallback, "page that fails for good: fallback"),
    "low": Scenario(low, "entry of a digest"),
    "digest": Scenario(digest, "digest with a retry"),
    "silenced": Scenario(silenced, "silence that expires, false alarm"),
    "unacknowledged": Scenario(unacknowledged, "tier rise by repeats, withdrawn acknowledgement, reassignment"),
    "change": Scenario(change, "change event"),
    "storm": Scenario(storm, "interleaved alerts and actions, without and with a worker", real=True),
    "reconcile": Scenario(reconcile, "missed alert found by polling Arize", real=True),
}


async def history_of(name: str) -> str:
    """Play a scenario, and return its history as JSON."""
    scenario = SCENARIOS[name]
    with tempfile.TemporaryDirectory() as folder, PagerDuty() as pagerduty, Slack() as slack, Jira() as jira:
        async with incident_harness(Path(folder), pagerduty, slack, jira, real=scenario.real) as harness:
            workflow_id = await scenario.play(harness) or incident_id(harness.alert)
            history = await harness.client.get_workflow_handle(workflow_id).fetch_history()
    # A stack trace names the folders of the machine that recorded it, and replay does not read it.
    return re.sub(r'("stackTrace": )"(?:[^"\\]|\\.)*"', r'\1""', history.to_json()) + "\n"


async def record(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """Store the history of each scenario that the folder does not hold yet; return the new files."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [folder / f"{name}.json" for name in names or SCENARIOS if not (folder / f"{name}.json").exists()]
    for file in missing:
        file.write_text(await history_of(file.stem))
    return missing


def nondeterministic(history: str) -> WorkflowHistory:
    """A history that the code does not produce: its first timer is replaced by a marker."""
    content = json.loads(history)
    timer = next(event for event in content["events"] if event["eventType"].endswith("TIMER_STARTED"))
    timer["eventType"] = "EVENT_TYPE_MARKER_RECORDED"
    del timer["timerStartedEventAttributes"]
    timer["markerRecordedEventAttributes"] = {"markerName": "core_patch"}
    return WorkflowHistory.from_json(WORKFLOW_ID, json.dumps(content))


def main(version: str, names: Sequence[str]) -> None:
    recorded = asyncio.run(record(HISTORIES / version, names))
    for file in recorded:
        print(f"{file.stem}: {SCENARIOS[file.stem].shows}")
    print(f"{len(recorded)} histories recorded")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
