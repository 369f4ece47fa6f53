"""Every command of the command line, with everything that a user can get wrong: a line and an exit code, no traceback.

The commands and their parameters are walked: a new command, or a new parameter that takes a file, fails here until the
tables below have it.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import typer.main
from typer.core import TyperGroup

from cli.main import app
from tests.cli.command_batch import Ended, Line, run_batch
from tests.cli.harness import TOKEN, gateway
from tests.policy.policies import BASE, RULES
from tests.ports import unused_port

pytestmark = pytest.mark.acceptance  # over a thousand commands: minutes, and too many for `make test`
PROCESSES = ("up", "worker", "gateway", "watchdog")
"""They run until they are stopped: only what keeps them from starting is tried with them."""
ARGUMENTS: dict[str, str] = {
    "send": "critical",
    "drill": "errors --yes --wait 0",
    "incidents show": "chatbot",
    "incidents ack": "incident-chatbot-0123456789ab",
    "incidents resolve": "chatbot",
    "incidents annotate": "chatbot note",
    "silences add": "--field alert.model=chatbot --reason fault --for 1h --yes",
    "silences preview": "--field alert.model=chatbot",
    "silences expire": "s-1",
    "intake show": "q-1",
    "policy explain": "alert.json",
    "policy diff": "policy.yaml policy.yaml --history alert.json",
    "policy replay": "--history alert.json",
    "report rollout": "--history alert.json",
    "arize apply": "alert.json --yes",
    "arize connect": "--yes",
    "arize draft": "drafts",
    "arize import": "--out imported.yaml",
    "destinations test": "--all --yes",
    "audit show": "chatbot",
    "audit export": "export.jsonl",
    "token new": "viewer vera --file new-tokens",
    "health": "gateway",
}
"""What each command needs; the others need nothing."""
FILES: dict[str, tuple[str, ...]] = {
    "up": ("--policy {}",),
    "send": ("{}", "{} --cleared"),
    "policy check": ("{}",),
    "policy test": ("{}", "--policy {}", "--junit {}"),
    "policy explain": ("{}", "alert.json --policy {}"),
    "policy diff": ("{} {}", "policy.yaml policy.yaml --history {}", "policy.yaml policy.yaml --output {}"),
    "policy replay": ("--policy {}", "--history {}", "--history alert.json --output {}"),
    "policy show": ("--policy {}", "{}"),
    "report rollout": ("--policy {}", "--history {}"),
    "arize connect": ("--secret-file {} --yes", "--policy {} --yes"),
    "arize coverage": ("--policy {}",),
    "arize draft": ("{}",),
    "arize plan": ("{}", "--policy {}", "--out {}"),
    "arize apply": ("{} --yes",),
    "arize import": ("--out {}", "--policy {}"),
    "arize drift": ("{}", "--policy {}"),
    "audit verify": ("{}", "--expect {}"),
    "audit export": ("{}",),
    "token new": ("viewer vera --file {}",),
}
"""Every place of a file on the command line."""
FILE_SETTINGS = (
    ("TOCSIN_POLICY", "TOCSIN_API_TOKENS", "ARIZE_WEBHOOK_SECRET_FILE"),
    ("TOCSIN_STATE_DIR",),
)
"""Of one setting that is not valid, others are not tried."""
KEY = {"ARIZE_API_KEY": "key"}
WRONG_FILES = (
    "nofile",
    "nofolder/nofile",
    "folder",
    "binary",
    "binary/below",
    "bom.json",
    "empty",
    "loop",
    "x" * 300,
    "/proc/self/mem",  # opens, and cannot be read by anyone, root included
    "/proc/none/file",  # cannot be created by anyone
    "secret",  # no permission; for root it is an empty file
)


def _walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if not isinstance(command, TyperGroup):
        yield " ".join(path), command
        return
    for name in command.list_commands(cast("Any", None)):
        yield from _walk(command.get_command(cast("Any", None), name), (*path, name))


COMMANDS = dict(_walk(typer.main.get_command(app)))
SHORT = {name: command for name, command in COMMANDS.items() if name not in PROCESSES}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(BASE + RULES)
    (tmp_path / "alert.json").write_text(
        '{"monitor": "errors", "model": "chatbot", "metric": "error_rate", "value": 1}'
    )
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00\x81")
    (tmp_path / "bom.json").write_bytes(b"\xef\xbb\xbf{}")
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret").touch(mode=0)
    (tmp_path / "loop").symlink_to("loop")
    return tmp_path


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    address = f"127.0.0.1:{unused_port()}"
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TOCSIN_STATE_DIR": str(folder / "state"),
        "TOCSIN_POLICY": "policy.yaml",
        "TOCSIN_PUBLIC_URL": f"http://{address}",
        "TOCSIN_TOKEN": TOKEN,
        "TOCSIN_HOST": "127.0.0.1",
        "TOCSIN_LOG_LEVEL": "critical",
        "TEMPORAL_ADDRESS": address,
        "ARIZE_WEBHOOK_SECRET": "whsec_0123456789",
        "ARIZE_API_URL": f"http://{address}",
        "ARIZE_APP_URL": f"http://{address}",
        "COLUMNS": "200",
    }


def line(command: str, arguments: str | None = None, **more: Any) -> Line:
    asked = ARGUMENTS.get(command, "") if arguments is None else arguments
    return Line((*command.split(), *asked.split()), **more)


def explained(line: Line, ended: Ended) -> str:
    """What is wrong with how a command ended; empty if nothing is."""
    wrong: list[str] = []
    if ended.code not in {0, 1, 2, 3}:
        wrong.append("exit code")
    if "Traceback" in ended.stderr or "Error:" in ended.stderr.replace("Connection", ""):
        wrong.append("traceback")
    if ended.code and not (ended.stderr + ended.stdout).strip() and line.stdout == "file":
        wrong.append("no reason")
    if "geheim" in ended.stderr + ended.stdout:
        wrong.append("a secret")
    if not wrong:
        return ""
    asked = f"tocsin {' '.join(line.arguments)[:200]} {dict(line.environment)}"
    return f"{', '.join(wrong)}: {asked} -> {ended.code}: {ended.stderr[-1500:]}"


def all_explained(lines: list[Line], environment: Mapping[str, str], folder: Path) -> list[Ended]:
    """Run the lines, each of which must end with a code and a reason."""
    ended = run_batch(lines, environment, folder)
    assert [text for pair in zip(lines, ended, strict=True) if (text := explained(*pair))] == []
    return ended


def test_tables_name_every_command_and_file() -> None:
    files = {
        name
        for name, command in COMMANDS.items()
        for parameter in command.params
        if "Path" in str(getattr(getattr(parameter, "type_descriptor", None), "annotation", ""))
    }
    assert files <= set(FILES), "a command takes a file that is not tried"
    needy = {name for name, command in COMMANDS.items() if any(one.required for one in command.params)}
    assert needy <= set(ARGUMENTS), "a command needs arguments that are not known here"
    assert set(ARGUMENTS) | set(FILES) <= set(COMMANDS)


@pytest.mark.parametrize("wrong", WRONG_FILES, ids=lambda name: name[:20])
def test_wrong_file_is_one_reason(wrong: str, environment: Mapping[str, str], folder: Path) -> None:
    given = [line(command, text.replace("{}", wrong)) for command, texts in FILES.items() for text in texts]
    if wrong in {"nofile", "binary", "/proc/none/file"}:  # each asks Arize's API, which takes its retries' time
        given = [replace(one, environment=KEY) if one.arguments[0] == "arize" else one for one in given]
    if wrong in {"bom.json", "empty", "secret"}:  # a process may start with these
        given = [one for one in given if one.arguments[0] not in PROCESSES]
    all_explained(given, environment, folder)


@pytest.mark.parametrize("wrong", ["binary", "/proc/self/mem"])
@pytest.mark.parametrize("settings", FILE_SETTINGS, ids=" ".join)
def test_setting_that_names_a_wrong_file(
    wrong: str, settings: tuple[str, ...], environment: Mapping[str, str], folder: Path
) -> None:
    lines = [line(command, environment=dict.fromkeys(settings, wrong)) for command in SHORT]
    all_explained(lines, environment, folder)


@pytest.mark.parametrize("wrong", ["nofile", "folder", "binary", "binary/below", "/proc/self/mem"])
def test_process_does_not_start_with_a_wrong_policy(wrong: str, environment: Mapping[str, str], folder: Path) -> None:
    lines = [line(process, environment={"TOCSIN_POLICY": wrong}) for process in PROCESSES]
    assert {one.code for one in all_explained(lines, environment, folder)} <= {1, 2}


@pytest.mark.parametrize("wrong", ["binary", "binary/below", "/proc/none/file", "/proc/self/mem"])
def test_process_does_not_start_without_state_folder(wrong: str, environment: Mapping[str, str], folder: Path) -> None:
    lines = [line(process, environment={"TOCSIN_STATE_DIR": wrong}) for process in ("up", "gateway")]
    assert {one.code for one in all_explained(lines, environment, folder)} == {1}


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"TOCSIN_TOKEN": ""},
        {"TOCSIN_TOKEN": "gehe\u00efm"},
        {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"},
        {"HTTP_PROXY": "nonsense", "http_proxy": "nonsense", "ALL_PROXY": "nonsense://x"},
        {"TOCSIN_PUBLIC_URL": "http://no.such.host.invalid"},
        {"TOCSIN_PUBLIC_URL": "http://[::1"},
        {"TOCSIN_PUBLIC_URL": "tocsin.example.com"},
        {"TOCSIN_DATABASE_URL": "postgresql://tocsin:geheim@127.0.0.1:1/tocsin"},
        {"TOCSIN_DATABASE_URL": "sqlite:////proc/none/audit.db"},
        {"ARIZE_API_KEY": "key"},
    ],
    ids=str,
)
def test_every_command_without_a_server(setting: dict[str, str], environment: Mapping[str, str], folder: Path) -> None:
    all_explained([line(command, environment=setting) for command in SHORT], environment, folder)


def test_every_command_with_a_wrong_token(environment: Mapping[str, str], folder: Path) -> None:
    with gateway() as stand_in:
        url = {"TOCSIN_PUBLIC_URL": stand_in.url, "TOCSIN_TOKEN": "wrong"}
        all_explained([line(command, environment=url) for command in SHORT], environment, folder)


def test_every_command_beside_another_program(environment: Mapping[str, str], folder: Path) -> None:
    with gateway() as stand_in:
        stand_in.html = True
        url = {**KEY, "TOCSIN_PUBLIC_URL": stand_in.url, "ARIZE_API_URL": stand_in.url, "ARIZE_APP_URL": stand_in.url}
        all_explained([line(command, environment=url) for command in SHORT], environment, folder)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_every_command_on_another_terminal(encoding: str, environment: Mapping[str, str], folder: Path) -> None:
    plain = {"PYTHONIOENCODING": encoding, "LANG": "C", "LC_ALL": "C"}
    lines = [line(command, environment=plain, encoding=encoding) for command in SHORT]
    lines += [line(command, "--help", environment=plain, encoding=encoding) for command in COMMANDS]
    all_explained(lines, environment, folder)


@pytest.mark.parametrize("stdout", ["pipe", "closed"])
def test_every_command_whose_reader_is_gone(stdout: str, environment: Mapping[str, str], folder: Path) -> None:
    lines = [line(command, stdout=stdout) for command in SHORT]
    lines += [line(command, "--help", stdout=stdout) for command in COMMANDS]
    all_explained(lines, environment, folder)
