"""A log line is one line without secrets, whatever text and errors it holds."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests import DEV_SERVER
from tests.hostile import CONTROL, HOSTILE

WRITE_LINES = """
import json, sys, structlog
from worker.logs import configure
configure("info", "test")
for name, text in json.loads(sys.stdin.read()).items():
    structlog.get_logger().info("alert_accepted", incident=name, by=text)
"""


def test_json_has_one_line_for_each_event() -> None:
    sent = json.dumps(HOSTILE)
    result = subprocess.run([sys.executable, "-c", WRITE_LINES], input=sent, capture_output=True, text=True, timeout=60)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert [one["incident"] for one in events] == list(HOSTILE), result.stderr[-2000:]
    assert all(len(one["by"]) <= 2001 for one in events)


@pytest.mark.parametrize("name", ["log-line", "control", "csv", "right-to-left"])
def test_terminal_receives_no_control_sequences_of_alerts(name: str) -> None:
    ours, theirs = pty.openpty()
    sent = json.dumps({name: HOSTILE[name]})
    subprocess.run([sys.executable, "-c", WRITE_LINES], input=sent.encode(), stderr=theirs, timeout=60, check=True)
    seen = os.read(ours, 65_536).decode()
    os.close(ours)
    os.close(theirs)
    assert seen.count("\n") == 1
    colours = {"\x1b", "\r", "\n"}  # structlog's own
    assert not (CONTROL - colours) & set(seen)
    assert "\x1b[2J" not in seen
    assert "\x1b]0;" not in seen


WRITE_SECRETS = """
import logging, os, structlog
from worker.logs import configure, environment_secrets, redact
redact([*environment_secrets(os.environ), 'a "quoted" secret', "short"])
configure("info", "test")
log = structlog.get_logger()
log.info("called", url="https://user:hunter22@example.com/x", header="Authorization: Bearer abc.def-ghi", word="short")
nested = {"list": ['a "quoted" secret', "second-value"]}
log.info("failed", error="vendor said: key-of-pagerduty is wrong", nested=nested)
try:
    raise ValueError("failed with key-of-pagerduty")
except ValueError:
    log.exception("broke")
logging.getLogger("httpx").warning("GET https://x/?token=%s", "key-of-pagerduty")
"""


def test_secrets_are_redacted_from_every_line() -> None:
    environment = {
        **os.environ,
        "PAGERDUTY_PRIMARY_KEY": "key-of-pagerduty, second-value",
        "TOCSIN_DATABASE_URL": "postgresql://tocsin:db-password@db/x",
    }
    result = subprocess.run(
        [sys.executable, "-c", WRITE_SECRETS], env=environment, capture_output=True, text=True, timeout=60
    )
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [one["event"] for one in lines][:3] == ["called", "failed", "broke"]
    assert lines[0]["url"] == "https://user:…@example.com/x"
    assert lines[0]["header"] == "Authorization: Bearer …"
    assert lines[0]["word"] == "short", "too short to be distinguished from a word"
    assert lines[1]["error"] == "vendor said: … is wrong"
    assert "ValueError: failed with …" in lines[2]["exception"]
    assert lines[3]["event"] == "GET https://x/?token=…"
    for secret in ("hunter22", "abc.def", "key-of-pagerduty", "second-value", "quoted"):
        assert secret not in result.stderr


def test_sdk_logs_in_the_same_format() -> None:
    """By default, Temporal's core prints lines in a format of its own, with colours."""
    say = """
import asyncio, logging, sys
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from worker.logs import configure
from worker.temporal import QUICK, make_runtime
configure("info", "test")
forwarded = []
class Probe(logging.Handler):
    def emit(self, record):
        forwarded.append(record)
logging.getLogger("temporalio").addHandler(Probe())
async def main():
    path = sys.argv[1]
    quiet = {"dev_server_existing_path": path, "dev_server_log_level": "never"}
    async with await WorkflowEnvironment.start_local(**quiet) as env:
        address = env.client.service_client.config.target_host
        client = await Client.connect(address, runtime=make_runtime(), retry_config=QUICK)
    try:
        await client.count_workflows("")
    except Exception as error:
        print(type(error).__name__)
    while not forwarded:
        await asyncio.sleep(0.05)
asyncio.run(main())
from cli.process_end import end_process
end_process(None)  # as commands end: the SDK's threads outlive the interpreter
"""
    result = subprocess.run([sys.executable, "-c", say, DEV_SERVER], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "RPCError"
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert any("gRPC call" in line["event"] for line in lines), result.stderr
    assert {line["level"] for line in lines} <= {"warning", "error"}


WRITE_ERRORS = """
import logging, structlog
from types import SimpleNamespace
from worker.logs import configure
configure("info", "test")
incident = {"workflow_id": "incident-chatbot-1", "workflow_type": "Incident"}
try:
    raise ValueError("no route")
except ValueError:
    structlog.get_logger().exception("page_failed")
    logging.getLogger("temporalio.activity").warning("Completing activity as failed", exc_info=True,
        extra={"temporal_activity": incident})
from temporalio.exceptions import ApplicationError
try:
    raise ApplicationError("Slack answered 503")
except ApplicationError:
    logging.getLogger("temporalio.activity").warning("Completing activity as failed", exc_info=True)
logging.getLogger("temporalio.workflow").warning("Failed activation", extra={"temporal_workflow": incident})
logging.getLogger("temporalio.workflow").warning("Failed activation",
    extra={"temporal_workflow": {"workflow_id": "digest-daily", "workflow_type": "DigestSending"}})
"""


def test_errors_are_text_and_sdk_lines_name_incidents() -> None:
    result = subprocess.run([sys.executable, "-c", WRITE_ERRORS], capture_output=True, text=True, timeout=60)
    ours, activity, expected, incident, digest = [json.loads(line) for line in result.stderr.splitlines()]
    for line in (ours, activity):
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert line["exception"].endswith("ValueError: no route")
    assert (expected["error"], "exception" in expected) == ("Slack answered 503", False)
    assert (activity["incident"], incident["incident"]) == ("incident-chatbot-1", "incident-chatbot-1")
    assert "incident" not in digest
    assert digest["workflow"] == "digest-daily"
    assert "object at 0x" not in result.stderr


FILL_DISK = """
import resource, structlog
from worker.logs import configure
configure("info", "test")
log = structlog.get_logger()
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
log.warning("nobody can write this")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.warning("and this again")
print("went on")
"""


def test_full_disk_loses_the_line_only(tmp_path: Path) -> None:
    """An error here would make the gateway answer the alert with 500."""
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-c", FILL_DISK], stdout=subprocess.PIPE, stderr=log, text=True, timeout=30
        )
    assert (done.returncode, done.stdout) == (0, "went on\n"), (tmp_path / "log").read_text()
    assert "and this again" in (tmp_path / "log").read_text()


CLOSE_STDERR = """
import sys, structlog
from worker.logs import configure
configure("info", "test")
log = structlog.get_logger()
log.warning("before")
sys.stderr.close()
log.warning("nobody can read this")
print("went on")
"""


def test_closed_standard_error_loses_the_line_only() -> None:
    """An error here would end the task that writes the line, such as the one that archives the policy."""
    done = subprocess.run([sys.executable, "-c", CLOSE_STDERR], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "went on\n"), done.stderr
    assert "before" in done.stderr


WRITE_LONG_LINES = """
import logging, sys, structlog
from worker.logs import configure
configure("info", "test")
body = "what a customer said " * 100_000
log = structlog.get_logger()
log.warning("text", body=body)
log.warning("list", items=[body] * 1_000)
log.warning("object", fields={f"{number} {body}": body for number in range(1_000)})
log.warning("nested", items=[[{"a": [body]}]] * 1_000)
log.warning("error", error=ValueError(body))
log.warning("many", **{f"field{number}": body for number in range(60)})
try:
    raise ValueError(body)
except ValueError as error:
    log.exception("ours")
    log.error("given", exc_info=error)
    log.error("tuple", exc_info=(ValueError, error, error.__traceback__))
    log.error("listed", exc_info=[ValueError, error, error.__traceback__])
    logging.getLogger("library").error("broke on %s", body, exc_info=True)
logging.getLogger("library").error("nothing was raised", exc_info=True)
"""


def test_line_is_bounded_and_readable() -> None:
    result = subprocess.run([sys.executable, "-c", WRITE_LONG_LINES], capture_output=True, text=True, timeout=150)
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert len(lines) == 12, result.stderr[-2000:]
    assert max(map(len, result.stderr.splitlines())) < 32_000
    for line in lines[6:11]:
        assert line["exception"].startswith("Traceback (most recent call last):")
        assert "exc_info" not in line
    assert ("exception" in lines[11], "exc_info" in lines[11]) == (False, False)
    assert "traceback object" not in result.stderr


FAIL_IN_ACTIVITY = """
import asyncio, sys
from datetime import timedelta
from temporalio import activity, workflow
from temporalio.common import RetryPolicy
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker
from worker.logs import configure
from workflows.contracts import INCIDENT_WORKFLOW
configure("info", "worker")
@activity.defn
async def page() -> None:
    raise ValueError("no route " * 10_000)
@workflow.defn(name=INCIDENT_WORKFLOW, sandboxed=False)
class Incident:
    @workflow.run
    async def run(self) -> None:
        once = RetryPolicy(maximum_attempts=1)
        await asyncio.wait([workflow.start_activity(page, start_to_close_timeout=timedelta(60), retry_policy=once)])
async def main():
    quiet = {"dev_server_existing_path": sys.argv[1], "dev_server_log_level": "never"}
    async with await WorkflowEnvironment.start_local(**quiet) as env:
        async with Worker(env.client, task_queue="q", workflows=[Incident], activities=[page]):
            await env.client.execute_workflow(INCIDENT_WORKFLOW, id="incident-chatbot-1", task_queue="q")
asyncio.run(main())
from cli.process_end import end_process
end_process(None)  # as commands end: the SDK's threads outlive the interpreter
"""


def test_failing_activity_names_its_incident() -> None:
    """The SDK's own line, as it writes it."""
    command = [sys.executable, "-c", FAIL_IN_ACTIVITY, DEV_SERVER]
    result = subprocess.run(command, capture_output=True, text=True, timeout=150)
    assert result.returncode == 0, result.stderr[-2000:]
    (line,) = [json.loads(one) for one in result.stderr.splitlines() if "Completing activity as failed" in one]
    assert line["incident"] == "incident-chatbot-1"
    assert line["exception"].startswith("Traceback (most recent call last):")
    assert len(json.dumps(line)) < 32_000
