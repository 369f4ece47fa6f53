"""``make demo`` is true on every commit: it ends with exit code 0 only if all it shows really happened."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-demo")]


def test_the_demo_shows_what_it_says() -> None:
    shown = subprocess.run([sys.executable, "-m", "tests.demo"], capture_output=True, text=True, timeout=150)
    assert shown.returncode == 0, shown.stdout[-5000:] + shown.stderr[-3000:]
    assert "What happened when" in shown.stdout
    assert "The Temporal UI: http://127.0.0.1:" in shown.stdout
    assert "✗" not in shown.stdout
