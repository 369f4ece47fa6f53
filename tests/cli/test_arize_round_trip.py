"""Any declaration, through Arize's API and back: applied, nothing is left to change; imported, neither."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.cli.arize_harness import ArizeHarness
from tests.monitors.declared import DECLARATIONS, as_yaml
from tests.vendors.arize import ArizeTenant
from tests.vendors.specs import load_text


@pytest.fixture(scope="module")
def arize(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArizeHarness]:
    """One tenant for all examples: the examples empty it."""
    if load_text("arize.graphql") is None:
        pytest.skip("shared/specs/arize.graphql is not beside the project")
    with pytest.MonkeyPatch.context() as monkeypatch, ArizeTenant() as tenant:
        yield ArizeHarness(tmp_path_factory.mktemp("arize"), monkeypatch, tenant)
    assert tenant.violations == []


@settings(max_examples=15)
@given(entries=DECLARATIONS)
def test_applied_and_imported_monitors_are_unchanged(
    arize: ArizeHarness, entries: dict[str, dict[str, object]]
) -> None:
    imported = Path("imported.yaml")
    arize.empty()
    arize.declare(as_yaml(entries))
    arize.bring_about()
    for path in ("monitors", str(imported)):
        result = arize.run("plan", path)
        assert result.exit_code == 0, result.output
        assert f"{len(entries)} of {len(entries)} monitors are as declared" in result.output
        assert arize.run("drift", path).exit_code == 0
        imported.unlink(missing_ok=True)
        assert arize.run("import", "--out", str(imported)).stderr == f"{len(entries)} monitors in imported.yaml\n"
    imported.unlink()
