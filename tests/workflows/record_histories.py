"""Records the histories that test_replay replays.

``python -m tests.workflows.record_histories VERSION [SCENARIO ...]``

Run it once for each release, before its workflow code changes. A stored history is never overwritten: incidents that
are open somewhere have such histories.
"""

import asyncio
import base64
import gzip
import json
import re
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle, WorkflowHistory

from alerts import incident_id, normalise
from gateway.ingest.changes import change_workflow, read_change, report_change
from gateway.ingest.grouping import Ungrouped
from integrations.arize.health import ArizeHealth
from tests.vendors import Arize, Fault, Jira, PagerDuty, Slack
from tests.workflows.harness import QUEUE, IncidentHarness, incident_harness, make_alert
from tests.workflows.limit_scenarios import full_while_sending, large_audit_events, many_updates
from worker.arize import Arize as ArizeClients
from worker.arize import open_arize
from worker.reconcile import create_reconciler
from worker.settings import read_settings
from workflows.contracts import DIGEST_WORKFLOW, RECONCILE_WORKFLOW, DigestInput, ReconcileInput

HISTORIES = Path(__file__).parent / "histories"
WORKFLOW_ID = "incident-chatbot-0123456789ab"
_RECEIPT_KEY = re.compile(r'"key":"(incident-[a-z0-9-]+)\.[0-9a-f]{8}:')


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


async def reconcile(harness: IncidentHarness, *, describe: bool = False) -> str:
    with Arize() as arize:
        arize.put("m-1")
        async with _clients(harness, arize) as clients:
            settings = read_settings({"TOCSIN_TASK_QUEUE": QUEUE, "TOCSIN_STATE_DIR": str(harness.policy_file.parent)})
            reconciler = create_reconciler(settings, harness.client, clients, lambda *_: None, Ungrouped())
            await harness.restart_worker(reconciler=reconciler, clients=clients)
            start = ReconcileInput(grace=1, describe=describe)
            await harness.client.execute_workflow(RECONCILE_WORKFLOW, start, id="reconcile-1", task_queue=QUEUE)
    return "reconcile-1"


async def refresh(harness: IncidentHarness) -> str:
    return await reconcile(harness, describe=True)


async def undescribed(harness: IncidentHarness) -> None:
    with Arize() as arize:
        arize.put("m-1")
        async with _clients(harness, arize) as clients:
            harness.gateway_decides = False
            await harness.restart_worker(clients=clients)
            arize.always = Fault(status=503)
            await harness.fire(normalise({"monitor_id": "m-1"}))
            await harness.until_state("notified")
            arize.always = None
            await harness.until(lambda view: view.tier == "critical")
            await harness.act("acknowledge", "bob")
            await harness.clear()
            await harness.until_closed()


async def cleared_poke(harness: IncidentHarness) -> None:
    with Arize() as arize:
        arize.put("m-1", "CLEARED")
        async with _clients(harness, arize) as clients:
            harness.gateway_decides = False
            await harness.restart_worker(clients=clients)
            await harness.fire(normalise({"monitor_id": "m-1"}))
            await harness.until_closed()


async def refired(harness: IncidentHarness) -> None:
    """Twice: long after the last alert of an acknowledged incident, and after the clear of a regulated one."""
    alert = make_alert(model="underwriting")
    await harness.fire(alert, "1")
    await harness.until(lambda view: len(view.receipts) == 2)
    await harness.callback("acknowledge", "Alice Example", id="pagerduty-1")
    await harness.advance(minutes=31)
    await harness.fire(alert, "2")
    await harness.until(lambda view: view.refire_count == 1 and len(view.receipts) == 3)
    await harness.callback("acknowledge", "Alice Example", id="pagerduty-2")
    await harness.callback("acknowledge", "Bob Example", id="pagerduty-3")
    await harness.clear()
    await harness.until_state("awaiting_human")
    await harness.fire(alert, "3")
    await harness.until(lambda view: view.refire_count == 2 and len(view.receipts) == 4)
    await harness.act("resolve", "Carol", "compliance", note="reviewed")
    await harness.until_closed()


async def out_of_order(harness: IncidentHarness) -> None:
    now = datetime.now(UTC)

    def times(minutes: float) -> dict[str, Any]:
        return {"evaluated_at": (now - timedelta(minutes=minutes)).isoformat()}

    await harness.fire(make_alert(**times(10)))
    await harness.until_state("notified")
    await harness.send(make_alert(status="CLEARED", **times(11)))
    await harness.callback("acknowledge", "Alice Example", id="2", occurred_at=now - timedelta(minutes=1))
    await harness.callback("unacknowledge", "Alice Example", id="1", occurred_at=now - timedelta(minutes=2))
    await harness.until(lambda view: any(one.event == "older_action" for one in view.timeline))
    await harness.send(make_alert(status="CLEARED", **times(1)))
    await harness.until_closed()


async def made_regulated(harness: IncidentHarness) -> None:
    """The first alert names no model, the second a regulated one at the same tier."""
    await harness.fire(make_alert("bias", 0.2, model=""))
    await harness.until_state("notified")
    alert = make_alert("bias", 0.2, model="underwriting")
    await harness.send(alert, "2")
    await harness.until(lambda view: view.regulated and len(view.receipts) == 2)
    await harness.send(alert.model_copy(update={"status": "cleared"}), "3")
    await harness.until_state("awaiting_human")
    await harness.act("resolve", "Carol", "compliance", note="reviewed")
    await harness.until_closed()


async def regulated_clear(harness: IncidentHarness) -> None:
    """Only the clear names the regulated model."""
    await harness.fire(make_alert("bias", 0.2, model=""))
    await harness.until_state("notified")
    await harness.send(make_alert("bias", 0.1, model="underwriting", status="CLEARED"), "2")
    await harness.until_state("awaiting_human")
    await harness.act("resolve", "Carol", "compliance", note="reviewed")
    await harness.until_closed()


@asynccontextmanager
async def _clients(harness: IncidentHarness, arize: Arize) -> AsyncGenerator[ArizeClients]:
    """A worker's clients of a stand-in."""
    environment = {"ARIZE_API_KEY": arize.key, "ARIZE_API_URL": arize.base_url, "ARIZE_APP_URL": arize.base_url}
    settings = read_settings({**environment, "TOCSIN_STATE_DIR": str(harness.policy_file.parent)})
    clients = open_arize(settings, ArizeHealth())
    yield clients
    await harness.worker.shutdown()
    await clients.close()
    await harness.start_worker()


@dataclass(frozen=True)
class Scenario:
    """``play`` returns the workflow, or the run, whose history is recorded; None is the incident."""

    play: Callable[[IncidentHarness], Awaitable[str | WorkflowHandle[Any, Any] | None]]
    shows: str
    real: bool = False
    """Needs the server that production uses."""
    large: bool = False
    """Its history is stored compressed."""

    @property
    def suffix(self) -> str:
        return ".json.gz" if self.large else ".json"


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
    "refresh": Scenario(refresh, "the same, and descriptions refreshed", real=True),
    "undescribed": Scenario(undescribed, "decided in doubt, described later, raised to a page", real=True),
    "refired": Scenario(refired, "fires again after 31 minutes, and after a clear, in one regulated incident"),
    "out_of_order": Scenario(out_of_order, "an older clear and an older withdrawal, which change nothing"),
    "made_regulated": Scenario(made_regulated, "a later alert names a regulated model"),
    "regulated_clear": Scenario(regulated_clear, "a clear names a regulated model"),
    "cleared_poke": Scenario(cleared_poke, "an alert without status whose monitor has cleared"),
    "many_updates": Scenario(many_updates, "a ticket that cannot be written, while pages go on"),
    "full_while_sending": Scenario(
        full_while_sending,
        "6 MiB of history, continued as new while a notification is in flight",
        real=True,
        large=True,
    ),
    "large_audit_events": Scenario(large_audit_events, "audit events written in parts", real=True, large=True),
}


async def history_of(name: str) -> str:
    """Play a scenario, and return its history as JSON."""
    scenario = SCENARIOS[name]
    with tempfile.TemporaryDirectory() as folder, PagerDuty() as pagerduty, Slack() as slack, Jira() as jira:
        async with incident_harness(Path(folder), pagerduty, slack, jira, real=scenario.real) as harness:
            played = await scenario.play(harness) or incident_id(harness.alert)
            handle = harness.client.get_workflow_handle(played) if isinstance(played, str) else played
            history = await handle.fetch_history()
    # A stack trace names the folders of the machine that recorded it, and replay does not read it.
    return re.sub(r'("stackTrace": )"(?:[^"\\]|\\.)*"', r'\1""', history.to_json()) + "\n"


async def record(folder: Path, names: Sequence[str] = ()) -> list[Path]:
    """Store the history of each scenario that the folder does not hold yet; return the new files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / f"{name}{SCENARIOS[name].suffix}": name for name in names or SCENARIOS}
    missing = [file for file in files if not file.exists()]
    for file in missing:
        text = (await history_of(files[file])).encode()
        file.write_bytes(gzip.compress(text, 9, mtime=0) if file.suffix == ".gz" else text)
    return missing


def stored_text(file: Path) -> str:
    """The JSON of a stored history."""
    content = file.read_bytes()
    return (gzip.decompress(content) if file.suffix == ".gz" else content).decode()


def stored_history(file: Path) -> WorkflowHistory:
    """A stored history under the workflow id that it was recorded with: the keys in its receipts begin with the id."""
    text = stored_text(file)
    for event in json.loads(text)["events"]:
        for payload in event.get("activityTaskCompletedEventAttributes", {}).get("result", {}).get("payloads", ()):
            if found := _RECEIPT_KEY.search(base64.b64decode(payload.get("data", "")).decode()):
                return WorkflowHistory.from_json(found[1], text)
    return WorkflowHistory.from_json(WORKFLOW_ID, text)


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
        name = file.name.split(".")[0]
        print(f"{name}: {SCENARIOS[name].shows}")
    print(f"{len(recorded)} histories recorded")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])
