"""A command loads what it needs, and no more: shell completion runs ``tocsin`` at every TAB."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.harness import REPOSITORY

SERVICES = {"aiohttp", "fastapi", "httpx", "jira", "pdpyras", "slack_sdk", "sqlalchemy", "structlog", "temporalio"}
HEAVY = SERVICES | {"cel_expr_python", "matplotlib", "numpy", "pydantic", "rich", "ruamel", "uvicorn"}
RUN = """
import json, sys
import cli.main
sys.argv = ["tocsin", *sys.argv[1:]]
try:
    cli.main.main()
except SystemExit as end:
    assert not end.code, end.code
print()
print(json.dumps(sorted(name for name, module in sys.modules.items() if module)))
"""
WORKER = """
import json, sys
import worker.worker
from integrations.base.registry import destination_types
destination_types()
print(json.dumps(sorted(sys.modules)))
"""


def loaded(script: str, *arguments: str, **environment: str) -> set[str]:
    """The modules that a command leaves loaded."""
    command = [sys.executable, "-c", script, *arguments]
    variables = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY), **environment}
    done = subprocess.run(command, env=variables, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_root_options_import_no_command(option: str) -> None:
    modules = loaded(RUN, option)
    assert packages(modules) & HEAVY == set()
    own = {name for name in modules if name.startswith("cli.")}
    assert own == {"cli.completion", "cli.errors", "cli.groups", "cli.main", "cli.process_end", "cli.streams"}


@pytest.mark.parametrize(
    ("shell", "line", "expected"),
    [
        ("bash", {"COMP_WORDS": "tocsin inc", "COMP_CWORD": "1"}, "incidents"),
        ("bash", {"COMP_WORDS": "tocsin policy check --st", "COMP_CWORD": "3"}, "--strict"),
        ("bash", {"COMP_WORDS": "tocsin incidents list --f", "COMP_CWORD": "3"}, "--format"),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "tocsin dest"}, "destinations"),
        ("fish", {"_TYPER_COMPLETE_ARGS": "tocsin dest", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}, "destinations"),
    ],
)
def test_completion_is_right_and_imports_nothing(shell: str, line: dict[str, str], expected: str) -> None:
    environment = {"_TOCSIN_COMPLETE": f"complete_{shell}", **line}
    assert packages(loaded(RUN, **environment)) & HEAVY == set()
    command = [sys.executable, "-m", "cli.main"]
    variables = {"PYTHONPATH": str(REPOSITORY), **environment}
    done = subprocess.run(command, env=variables, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert expected in done.stdout, done.stderr


@pytest.mark.parametrize(
    "line",
    [
        {"COMP_WORDS": "tocsin nothing x", "COMP_CWORD": "2"},
        {"COMP_WORDS": "tocsin inc", "COMP_CWORD": "x"},
        {"COMP_WORDS": "tocsin health", "COMP_CWORD": "99"},
        {},
    ],
)
def test_completion_writes_no_error_into_the_prompt(line: dict[str, str]) -> None:
    environment = {"PYTHONPATH": str(REPOSITORY), "_TOCSIN_COMPLETE": "complete_bash", **line}
    command = [sys.executable, "-m", "cli.main"]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.stderr == ""


def test_policy_check_imports_no_service_library() -> None:
    modules = loaded(RUN, "policy", "check")
    assert packages(modules) & (SERVICES | {"matplotlib", "rich"}) == set()
    assert "worker.settings" not in modules


def test_policy_explain_imports_no_service_library() -> None:
    modules = loaded(RUN, "policy", "explain", "policies/samples/critical.json")
    assert packages(modules) & (SERVICES | {"matplotlib"}) == set()
    assert "worker.settings" not in modules


def test_worker_loads_no_chart_library(tmp_path: Path) -> None:
    """Memory that a worker does not use is never returned."""
    assert packages(loaded(WORKER)) & {"matplotlib", "numpy", "uvicorn"} == set()


def test_every_command_is_in_the_help() -> None:
    """The help lines of the root are written by hand; each command must exist."""
    from cli.main import Commands

    root = Commands(name="tocsin")
    for name in root.list_commands(None):
        command = root.get_command(None, name)
        assert command.name == name
        assert command.help
