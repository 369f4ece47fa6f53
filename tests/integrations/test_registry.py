"""Integrations are found by their folder or entry point, and reading a policy imports no vendor's library."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from integrations.base.open_destinations import open_destinations
from integrations.base.registry import callbacks, destination_class, destination_types, packages
from tests.integrations.vendors_table import VENDOR_CASES
from tests.policy.policies import BASE, load
from tests.vendors import Request, Vendor

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "destinations.md"
OTHER_TYPES = {"console", "email"}
"""Types that are not in the table of vendors, because they use no HTTP."""


def python(code: str, folder: Path | None = None) -> str:
    """The output of a new interpreter, which also finds the packages in ``folder``."""
    environment = {**os.environ, **({"PYTHONPATH": str(folder)} if folder else {})}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_table_covers_every_type() -> None:
    assert set(destination_types()) == set(VENDOR_CASES) | OTHER_TYPES


@pytest.mark.parametrize("type_name", sorted(packages()))
def test_each_type_has_a_destination_class(type_name: str) -> None:
    if type_name in destination_types():
        assert destination_class(type_name).__module__ == f"{packages()[type_name]}.destination"


def test_callbacks_are_named_after_their_type() -> None:
    assert {callback.name for callback in callbacks()} <= set(packages())


def test_reading_a_policy_imports_no_vendor_library() -> None:
    code = """
import sys
from integrations.base.registry import destination_types
destination_types()
heavy = {"httpx", "requests", "aiohttp", "slack_sdk", "jira", "pdpyras", "aiosmtplib", "jinja2", "matplotlib", "rich",
         "temporalio", "structlog"}
print(sorted(heavy & set(sys.modules)))
"""
    assert python(code) == "[]\n"


def test_integrations_do_not_import_temporal() -> None:
    code = """
import sys
from integrations.base.registry import callbacks, destination_class, destination_types
import integrations.arize.client, integrations.arize.webhook
callbacks()
for name in destination_types():
    destination_class(name)
print("temporalio" in sys.modules)
"""
    assert python(code) == "False\n"


def test_missing_secret_is_named(tmp_path: Path) -> None:
    policy = load(tmp_path, BASE)
    with pytest.raises(LookupError, match="destination pager: routing_key comes from KEY, which is not set"):
        open_destinations(policy, {})


def test_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("from-a-file\n")
    text = BASE.replace("{env: KEY}", f"{{file: {secret}}}")
    variables = {"SLACK": "s", "U": "u", "T": "t", "TOCSIN_SECRET_DIRS": f"/elsewhere, {tmp_path}"}
    opened = open_destinations(load(tmp_path, text), variables)
    assert opened["pager"].secrets == {"routing_key": "from-a-file"}


# ── A third party's integration: the example of docs/destinations.md ──────────────────────────────────────


class Pager9000(Vendor):
    """The API of the example."""

    def answer(self, request: Request) -> tuple[int, Any]:
        if request.path != "/pages" or request.headers.get("Authorization") != "Bearer key-9000":
            return 401, {}
        return 200, {"id": "page-1"}


@pytest.fixture
def third_party(tmp_path: Path) -> Path:
    """A folder with the example's distribution, as pip would install it."""
    text = DOCS.read_text()
    modules = re.findall(r"^`(tocsin_pager9000/\w+\.py)`:\n\n```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in modules] == [
        f"tocsin_pager9000/{part}.py" for part in ("config", "destination", "callback")
    ]
    project = re.search(r"```toml\n(.*?)```", text, re.DOTALL)
    assert project is not None
    entry_points = tomllib.loads(project[1])["project"]["entry-points"]
    folder = tmp_path / "site"
    (folder / "tocsin_pager9000").mkdir(parents=True)
    (folder / "tocsin_pager9000" / "__init__.py").write_text("")
    for name, code in modules:
        (folder / name).write_text(code)
    metadata = folder / "tocsin_pager9000-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tocsin-pager9000\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in entry_points.items()
    ]
    (metadata / "entry_points.txt").write_text("".join(lines))
    return folder


def test_third_party_destination_delivers(tmp_path: Path, third_party: Path) -> None:
    policy = tmp_path / "policy.yaml"
    environment = {
        **os.environ,
        "PYTHONPATH": str(third_party),
        "TOCSIN_POLICY": str(policy),
        "PAGER": "key-9000",
        "COLUMNS": "120",
    }
    with Pager9000() as vendor:
        pager = f"{{type: pager9000, base_url: '{vendor.base_url}', api_key: {{env: PAGER}}}}"
        policy.write_text(BASE.replace("{type: console}", f"{{type: console}}\n  own: {pager}"))
        command = [sys.executable, "-m", "cli.main", "destinations", "test", "own", "--yes"]
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "✓ own (pager9000): page-1 · Pager 9000 · " in result.stdout
    assert [request.body["action"] for request in vendor.requests] == ["notify", "resolve"]


def test_third_party_callback_is_served(third_party: Path) -> None:
    code = """
import json
from gateway.routes.callbacks import router
from integrations.base.registry import callbacks
(callback,) = [one for one in callbacks() if one.name == "pager9000"]
parsed = callback.parse({"key": "incident-x-0123456789ab.01234567", "user": "alice"})
print(json.dumps({
    "routed": "/webhooks/pager9000" in [route.path for route in router.routes],
    "action": parsed.action.type,
    "by": parsed.action.by,
    "authentic": callback.authenticate({"authorization": "Bearer s"}, b"", ["s"]) is None,
    "foreign": callback.parse({"key": "other"}),
}))
"""
    assert json.loads(python(code, third_party)) == {
        "routed": True,
        "action": "acknowledge",
        "by": "alice",
        "authentic": True,
        "foreign": "not an incident of Tocsin",
    }


def test_third_party_cannot_replace_own_type(tmp_path: Path, third_party: Path) -> None:
    entry_points = third_party / "tocsin_pager9000-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text(entry_points.read_text().replace("pager9000 = ", "slack = "))
    code = "from integrations.base.registry import destination_types; print(destination_types()['slack'].__name__)"
    assert python(code, third_party) == "SlackConfig\n"


@pytest.mark.parametrize("module", ["config", "callback"])
def test_broken_third_party_integration_is_named(third_party: Path, module: str) -> None:
    (third_party / "tocsin_pager9000" / f"{module}.py").write_text("import no_such_module")
    environment = {**os.environ, "PYTHONPATH": str(third_party)}
    command = [sys.executable, "-m", "cli.main", *(("policy", "check") if module == "config" else ("config",))]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "the integration pager9000 cannot be imported from tocsin_pager9000: No module named" in done.stderr
