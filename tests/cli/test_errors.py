"""What a user can cause is one line and an exit code, and no traceback."""

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from audit import AuditLog
from audit.schema import VERSION_TABLE
from tests.cli.harness import REPOSITORY, TOKEN, TRIGGERED, gateway, tocsin
from tests.ports import unused_port

DATABASE_READERS = [
    ("audit", "verify"),
    ("audit", "show", "incident-x"),
    ("audit", "export", os.devnull),
    ("policy", "show", "0123456789ab"),
    ("policy", "show", "--list"),
    ("policy", "diff", "policies/tocsin.yaml", "policies/tocsin.yaml"),
]


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The only line that a failed command printed."""
    (line,) = done.stderr.splitlines()
    assert done.stdout == ""
    return line


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TOCSIN_")}
    return {**kept, "TOCSIN_STATE_DIR": str(tmp_path / "state")}


@pytest.mark.parametrize("command", DATABASE_READERS, ids=" ".join)
def test_unavailable_database_is_exit_code_3(command: tuple[str, ...], environment: Mapping[str, str]) -> None:
    url = "postgresql://tocsin:geheim@127.0.0.1:1/tocsin"
    done = tocsin(*command, environment={**environment, "TOCSIN_DATABASE_URL": url})
    assert done.returncode == 3, done.stderr
    expected = "tocsin: the audit log's database, TOCSIN_DATABASE_URL, cannot be read: connection failed"
    assert one_line(done).startswith(expected)
    assert "geheim" not in done.stderr


def test_newer_schema_is_not_reported_as_an_edit(environment: Mapping[str, str], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/audit.db"
    log = AuditLog(url)
    log.count()
    log.close()
    with sqlite3.connect(tmp_path / "audit.db") as connection:
        connection.execute(f"UPDATE {VERSION_TABLE} SET version_num = 'v9_0_0'")
    done = tocsin("audit", "verify", environment={**environment, "TOCSIN_DATABASE_URL": url})
    assert done.returncode == 3
    assert one_line(done).startswith("tocsin: the audit database has schema v9_0_0, which this version does not know")


def test_export_to_a_missing_folder(environment: Mapping[str, str], tmp_path: Path) -> None:
    log = AuditLog(f"sqlite:///{tmp_path}/state/audit.db")
    log.count()
    log.close()
    done = tocsin("audit", "export", "nofolder/file", environment=environment, folder=tmp_path)
    assert (done.returncode, one_line(done)) == (2, "tocsin: nofolder/file: No such file or directory")


@pytest.mark.parametrize("command", [("audit", "verify"), ("worker",), ("incidents", "list")], ids=" ".join)
def test_invalid_setting_is_named_without_secret(command: tuple[str, ...], environment: Mapping[str, str]) -> None:
    done = tocsin(*command, environment={**environment, "TOCSIN_DATABASE_URL": "mysql://tocsin:geheim@db/tocsin"})
    assert done.returncode == 1
    assert one_line(done).startswith("tocsin: TOCSIN_DATABASE_URL must be sqlite:")
    assert "geheim" not in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "expected"),
    [
        (("send", "nofile"), 2, "tocsin: nofile: no such file, and no sample; the samples are critical, high, low"),
        (("send", "."), 2, "tocsin: .: Is a directory"),
        (("send", "binary"), 2, "tocsin: binary: the body is not UTF-"),
        (("send", "list.json"), 2, "tocsin: list.json: the body must be a JSON object, not an array"),
        (("send", "deep.json"), 2, "tocsin: deep.json: the body is nested deeper than 32 levels"),
        (("send", "alert.json"), 2, "tocsin: no signing secret: set ARIZE_WEBHOOK_SECRET"),
        (("audit", "verify", "nofile"), 2, "tocsin: nofile: No such file or directory"),
        (("audit", "verify", "."), 2, "tocsin: .: Is a directory"),
        (("audit", "verify", "binary"), 2, "tocsin: binary is not an export: it is not UTF-8 text"),
        (("audit", "verify", "alert.json"), 1, "alert.json:1: not a record of the audit log"),
        (("audit", "show", "incident-x"), 1, "tocsin: the audit log has no record of incident-x"),
        (("audit", "verify"), 3, "tocsin: there is no audit log at "),
        (("audit", "export", "nofolder/file"), 3, "tocsin: there is no audit log at "),
        (("policy", "check", "nofile"), 2, "tocsin: nofile: the policy cannot be read: No such file or directory"),
        (("policy", "check", "folder"), 2, "tocsin: folder: the folder contains no *.yaml file"),
        (("policy", "check", "folder/nofile"), 2, "tocsin: folder/nofile: the policy cannot be read: No such file"),
        (("policy", "show", "--policy", "nofile"), 2, "tocsin: nofile: the policy cannot be read: No such file"),
        (("destinations", "list"), 2, "tocsin: nopolicy: the policy cannot be read: No such file or directory"),
        (("policy", "explain", "alert.json", "--at", "9999-12-31"), 2, "tocsin: --at leaves no time"),
        (("token", "new", "viewer", "a", "--file", "binary"), 1, "tocsin: binary cannot be read: it is not UTF-8"),
        (("drill", "errors", "--wait", "-1"), 2, "tocsin: Invalid value for '--wait'"),
        (("policy", "explain", "nofile"), 2, "tocsin: nofile: No such file or directory"),
        (("policy", "explain", "."), 2, "tocsin: .: Is a directory"),
        (("policy", "explain", "binary"), 2, "tocsin: binary: the body is not UTF-"),
        (
            ("policy", "diff", "nofile", "nofile"),
            1,
            "tocsin: nofile is neither a file nor the digest of a policy that was in force",
        ),
        (("policy", "nothing"), 2, "tocsin: no command 'nothing'; see tocsin policy --help"),
        (("incident",), 2, "tocsin: no command 'incident': did you mean incidents?; see tocsin --help"),
        (("incidents", "list", "--limit", "0"), 2, "tocsin: Invalid value for '--limit'"),
        (("incidents", "show", ""), 2, "tocsin: the incident's id is empty"),
        (("health",), 2, "tocsin: Missing argument 'role'. Choose from: gateway, worker; see tocsin health --help"),
        (("incidents", "list"), 2, "tocsin: no API token: set TOCSIN_TOKEN"),
        (("token", "new", "viewer", "two words"), 2, "tocsin: a name has 1 to 200 characters, no space and no #"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_input_that_cannot_be_used(
    command: tuple[str, ...], code: int, expected: str, environment: Mapping[str, str], tmp_path: Path
) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "folder").mkdir()
    (tmp_path / "alert.json").write_text(json.dumps(TRIGGERED))
    policy = {"TOCSIN_POLICY": "nopolicy"} if command[0] == "destinations" else {}
    done = tocsin(*command, environment={**environment, **policy}, folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert one_line(done).startswith(expected), done.stderr


def test_gateway_that_is_not_running(environment: Mapping[str, str]) -> None:
    address = f"http://127.0.0.1:{unused_port()}"
    asked = {**environment, "TOCSIN_PUBLIC_URL": address, "TOCSIN_TOKEN": TOKEN}
    done = tocsin("incidents", "list", environment=asked)
    assert done.returncode == 2
    assert one_line(done).startswith(f"tocsin: {address}/api/incidents does not answer (ConnectError): is `tocsin up`")


def test_unreachable_gateway_names_the_setting_that_is_set(environment: Mapping[str, str]) -> None:
    asked = {**environment, "TOCSIN_GATEWAY_URL": f"http://127.0.0.1:{unused_port()}", "TOCSIN_TOKEN": TOKEN}
    done = tocsin("incidents", "list", environment=asked)
    assert one_line(done).endswith("is `tocsin up` running? TOCSIN_GATEWAY_URL is its address")


def test_wrong_token_names_the_setting(environment: Mapping[str, str]) -> None:
    with gateway() as stand_in:
        asked = {**environment, "TOCSIN_PUBLIC_URL": stand_in.url, "TOCSIN_TOKEN": "wrong"}
        done = tocsin("incidents", "list", environment=asked)
    assert (done.returncode, one_line(done)) == (1, "tocsin: 401 the token is not valid; check TOCSIN_TOKEN")


def test_another_program_on_the_port(environment: Mapping[str, str]) -> None:
    with gateway() as stand_in:
        stand_in.html = True
        asked = {**environment, "TOCSIN_PUBLIC_URL": stand_in.url, "TOCSIN_TOKEN": TOKEN}
        done = tocsin("incidents", "list", environment=asked)
    assert done.returncode == 2
    assert "answers 200 without JSON: is it Tocsin's gateway?" in one_line(done)


def test_another_program_that_answers_json(environment: Mapping[str, str]) -> None:
    with gateway({"id": "incident-x-000000000000"}) as stand_in:
        asked = {**environment, "TOCSIN_PUBLIC_URL": stand_in.url, "TOCSIN_TOKEN": TOKEN}
        done = tocsin("incidents", "show", "incident-x-000000000000", environment=asked)
    assert done.returncode == 2
    assert "is it Tocsin's gateway? TOCSIN_PUBLIC_URL is its address" in one_line(done)


@pytest.mark.parametrize(
    ("role", "setting", "expected"),
    [
        (
            "gateway",
            {"TOCSIN_PORT": "{port}"},
            "tocsin: cannot listen on 127.0.0.1, port {port}: Address already in use",
        ),
        ("gateway", {"TOCSIN_HOST": "no.such.host.invalid"}, "tocsin: cannot listen on no.such.host.invalid, port"),
        ("gateway", {"TOCSIN_API_TOKENS": "/nofile"}, "tocsin: TOCSIN_API_TOKENS: /nofile cannot be read"),
        (
            "gateway",
            {"TEMPORAL_PROFILE": "none"},
            "tocsin: Temporal's settings cannot be used: Profile 'none' not found",
        ),
        (
            "worker",
            {"TEMPORAL_PROFILE": "none"},
            "tocsin: Temporal's settings cannot be used: Profile 'none' not found",
        ),
        (
            "worker",
            {"TOCSIN_WORKER_METRICS": "127.0.0.1:{port}"},
            "tocsin: TOCSIN_WORKER_METRICS is 127.0.0.1:{port}, and",
        ),
        ("worker", {"TOCSIN_POLICY": "/nofile"}, "tocsin: the policy, TOCSIN_POLICY, is not valid:"),
    ],
)
def test_process_that_cannot_start_names_the_setting(
    role: str, setting: Mapping[str, str], expected: str, environment: Mapping[str, str]
) -> None:
    with gateway() as another:
        port = another.url.rpartition(":")[2]
        given = {name: value.format(port=port) for name, value in setting.items()}
        secrets = {"ARIZE_WEBHOOK_SECRET": "s-0123456789", "TOCSIN_CONSOLE_FALLBACK": "yes"}
        settings = {"TOCSIN_LOG_LEVEL": "critical", "TEMPORAL_ADDRESS": "127.0.0.1:1", **secrets, **given}
        done = tocsin(role, environment={**environment, **settings})
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[0].startswith(expected.format(port=port))


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9", "nonsense"])
def test_proxies_are_ignored_on_this_machine(environment: Mapping[str, str], proxy: str) -> None:
    with gateway() as stand_in:
        asked = {**environment, "TOCSIN_PUBLIC_URL": stand_in.url, "TOCSIN_TOKEN": TOKEN}
        proxies = {"HTTP_PROXY": proxy, "http_proxy": proxy, "ALL_PROXY": proxy, "NO_PROXY": ""}
        done = tocsin("incidents", "list", environment={**asked, **proxies})
    assert (done.returncode, done.stdout) == (0, "No incidents.\n"), done.stderr


def test_unusable_proxy_is_one_line(environment: Mapping[str, str]) -> None:
    asked = {**environment, "TOCSIN_PUBLIC_URL": "http://tocsin.example", "TOCSIN_TOKEN": TOKEN}
    done = tocsin(
        "incidents", "list", environment={**asked, "HTTP_PROXY": "nonsense://x", "http_proxy": "nonsense://x"}
    )
    assert done.returncode == 2
    assert "check TOCSIN_PUBLIC_URL and HTTP_PROXY" in one_line(done)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "ascii:strict"])
@pytest.mark.parametrize(
    "command",
    [("policy", "test"), ("policy", "schema"), ("destinations", "test", "--all", "--yes"), ("policy", "check", "ü✓")],
    ids=" ".join,
)
def test_encoding_that_lacks_a_character(
    command: tuple[str, ...], encoding: str, environment: Mapping[str, str]
) -> None:
    variables = {**environment, "PYTHONIOENCODING": encoding, "PYTHONPATH": str(REPOSITORY)}
    line = [sys.executable, "-m", "cli.main", *command]
    done = subprocess.run(line, env=variables, cwd=REPOSITORY, capture_output=True, timeout=120)
    assert b"Traceback" not in done.stderr
    if command[1] == "schema":
        assert "…" in str(json.loads(done.stdout.decode("utf-8" if "ascii" in encoding else encoding)))


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full"])
@pytest.mark.parametrize("command", ["policy test", "config", "send -", "policy check nofile"])
def test_closed_stream_is_no_traceback(command: str, redirection: str, environment: Mapping[str, str]) -> None:
    line = ["sh", "-c", f"exec {sys.executable} -m cli.main {command} {redirection}"]
    done = subprocess.run(line, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    assert done.returncode in {0, 1, 2}
    assert b"Traceback" not in done.stderr
    assert b"Error" not in done.stderr


def test_closed_pipe_is_no_traceback(environment: Mapping[str, str]) -> None:
    command = f"{sys.executable} -m cli.main policy reference | head -1"
    done = subprocess.run(["sh", "-c", command], env=dict(environment), capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
