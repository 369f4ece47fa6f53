from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.arize_harness import ArizeHarness
from tests.cli.connect_harness import AuthenticatingGateway, ConnectHarness
from tests.cli.harness import CliHarness
from tests.vendors.arize import ArizeTenant


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliHarness:
    return CliHarness(tmp_path, monkeypatch)


@pytest.fixture
def arize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arize_tenant: ArizeTenant) -> ArizeHarness:
    return ArizeHarness(tmp_path, monkeypatch, arize_tenant)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[AuthenticatingGateway]:
    with AuthenticatingGateway(tmp_path / "state") as stand_in:
        yield stand_in


@pytest.fixture
def commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arize_tenant: ArizeTenant, gateway: AuthenticatingGateway
) -> ConnectHarness:
    """The commands that connect a tenant, beside the tenant of the shared samples."""
    arize_tenant.seed()
    return ConnectHarness(tmp_path, monkeypatch, arize_tenant, gateway)
