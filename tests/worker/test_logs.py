"""A log line is a line, whatever stands in it."""

import json
import os
import pty
import subprocess
import sys

import pytest

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
