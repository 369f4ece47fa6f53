from pathlib import Path

import pytest

from tests.cli.harness import CliHarness


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliHarness:
    return CliHarness(tmp_path, monkeypatch)
