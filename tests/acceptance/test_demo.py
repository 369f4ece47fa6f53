"""``make demo`` ends with exit code 0 only if everything that it shows has happened."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-demo"), pytest.mark.timeout(660)]


def test_demo_succeeds() -> None:
    shown = subprocess.run([sys.executable, "-m", "tests.demo"], capture_output=True, text=True, timeout=600)
    assert shown.returncode == 0, shown.stdout[-5000:] + shown.stderr[-3000:]
    assert "Timeline" in shown.stdout
    assert "The Temporal UI: http://127.0.0.1:" in shown.stdout
    assert "✗" not in shown.stdout
