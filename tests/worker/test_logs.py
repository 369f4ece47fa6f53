"""A log line is a line, whatever stands in it."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests import DEV_SERVER
from tests.hostile import CONTROL, HOSTILE

SAY = """
import json, sys, structlog
from worker.logs import configure
configure("info", "test")
for name, text in json.loads(sys.stdin.read()).items():
    structlog.get_logger().info("alert taken", incident=name, by=text)
"""


def test_for_machines_each_event_is_one_line_of_json() -> None:
    sent = json.dumps(HOSTILE)
    result = subprocess.run([sys.executable, "-c", SAY], input=sent, capture_output=True, text=True, timeout=60)
    events = [json.loads(line) for line in result.stderr.splitlines()]
    assert [one["incident"] for one in events] == list(HOSTILE), result.stderr[-2000:]
    assert all(len(one["by"]) <= 2001 for one in events)


@pytest.mark.parametrize("name", ["log-line", "control", "csv", "right-to-left"])
def test_for_people_a_terminal_does_nothing_that_an_alert_tells_it_to(name: str) -> None:
    ours, theirs = pty.openpty()
    sent = json.dumps({name: HOSTILE[name]})
    subprocess.run([sys.executable, "-c", SAY], input=sent.encode(), stderr=theirs, timeout=60, check=True)
    seen = os.read(ours, 65_536).decode()
    os.close(ours)
    os.close(theirs)
    assert seen.count("\n") == 1
    colours = {"\x1b", "\r", "\n"}  # structlog's own
    assert not (CONTROL - colours) & set(seen)
    assert "\x1b[2J" not in seen
    assert "\x1b]0;" not in seen


SCRUB = """
import logging, os, structlog
from worker.logs import configure, environment_secrets, keep_out
keep_out([*environment_secrets(os.environ), 'a "quoted" secret', "short"])
configure("info", "test")
log = structlog.get_logger()
log.info("called", url="https://user:hunter22@example.com/x", header="Authorization: Bearer abc.def-ghi", told="short")
log.info("said", error="vendor said: key-of-pagerduty is wrong", nested={"list": ['a "quoted" secret', "second-value"]})
try:
    raise ValueError("failed with key-of-pagerduty")
except ValueError:
    log.exception("broke")
logging.getLogger("httpx").warning("GET https://x/?token=%s", "key-of-pagerduty")
"""


def test_a_secret_stands_in_no_line_whoever_logs_it() -> None:
    environment = {
        **os.environ,
        "PAGERDUTY_PRIMARY_KEY": "key-of-pagerduty, second-value",
        "TOCSIN_DATABASE_URL": "postgresql://tocsin:db-password@db/x",
    }
    result = subprocess.run([sys.executable, "-c", SCRUB], env=environment, capture_output=True, text=True, timeout=60)
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [one["event"] for one in lines][:3] == ["called", "said", "broke"]
    assert lines[0]["url"] == "https://user:…@example.com/x"
    assert lines[0]["header"] == "Authorization: Bearer …"
    assert lines[0]["told"] == "short", "too short to be told from a word"
    assert lines[1]["error"] == "vendor said: … is wrong"
    assert "ValueError: failed with …" in lines[2]["exception"]
    assert lines[3]["event"] == "GET https://x/?token=…"
    for secret in ("hunter22", "abc.def", "key-of-pagerduty", "second-value", "quoted"):
        assert secret not in result.stderr


def test_the_sdk_logs_the_same_way() -> None:
    """Temporal's core prints lines of its own shape otherwise, with colours."""
    say = """
import asyncio, sys
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from worker.logs import configure
from worker.temporal import QUICK, make_runtime
configure("info", "test")
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
    await asyncio.sleep(0.5)
asyncio.run(main())
"""
    result = subprocess.run([sys.executable, "-c", say, DEV_SERVER], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "RPCError"
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert any("gRPC call" in line["event"] for line in lines), result.stderr
    assert {line["level"] for line in lines} <= {"warning", "error"}


FULL = """
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


def test_a_disk_that_is_full_costs_the_line_alone(tmp_path: Path) -> None:
    """And not the alert that it was about: the gateway would answer it with 500."""
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run([sys.executable, "-c", FULL], stdout=subprocess.PIPE, stderr=log, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "went on\n"), (tmp_path / "log").read_text()
    assert "and this again" in (tmp_path / "log").read_text()
