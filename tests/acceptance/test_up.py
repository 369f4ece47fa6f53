"""``tocsin up`` on other addresses, behind a proxy, in odd folders, and beside another one."""

import signal
import socket
import sqlite3
from collections.abc import Generator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.ports import unused_port
from tests.processes import Tocsin, tocsin
from tests.waiting import SLOW_MACHINE, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-up")]

PROXIES = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")


@pytest.fixture
def up(tmp_path: Path) -> Generator[Tocsin]:
    """With the shipped policy and no secret, in a folder whose name has every character with a meaning in a URL."""
    up = Tocsin(tmp_path / "st ate#1?x%41&[red]", None, 60)
    for name in ("ARIZE_WEBHOOK_SECRET", "PAGERDUTY_WEBHOOK_SECRET", "TOCSIN_API_TOKENS", "TOCSIN_TOKEN"):
        del up.environment[name]
    yield up
    if up.process and up.process.poll() is None:
        up.stop()


def ports() -> tuple[str, ...]:
    """Options for the embedded server's ports: other tests start servers at the same time."""
    return "--temporal-port", str(unused_port()), "--ui-port", str(unused_port())


@pytest.mark.parametrize("host", ["::1", "0.0.0.0", "localhost"])
def test_up_on_another_address_behind_a_proxy(up: Tocsin, host: str) -> None:
    up.environment |= {"TOCSIN_HOST": host, **PROXIES}
    up.http = httpx.Client(timeout=SLOW_MACHINE, trust_env=False)
    up.start()
    state = Path(up.environment["TOCSIN_STATE_DIR"])
    assert f"State folder   {state}" in up.printed()
    assert tocsin("health", "gateway", environment=up.environment).returncode == 0
    sent = tocsin("send", "critical", environment=up.environment)
    assert sent.returncode == 0, sent.stderr
    assert "critical" in tocsin("incidents", "list", environment=up.environment).stdout
    wait_for(lambda: " record" in tocsin("audit", "verify", environment=up.environment).stdout)
    for name, table in (("audit.db", "audit_records"), ("gateway.db", "dedup"), ("spool.db", "spool")):
        with sqlite3.connect(state / name) as connection:
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert any(one.startswith(table) for one in tables), (name, tables)
    assert (state / "temporal.db").exists()
    assert [one.name for one in up.folder.parent.iterdir()] == [up.folder.name]
    assert up.stop() == 0


def test_second_up_names_the_process_that_has_the_folder(up: Tocsin) -> None:
    up.start()
    assert up.process is not None
    second = tocsin("up", environment={**up.environment, "TOCSIN_PORT": str(unused_port())})
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert f"another tocsin up (process {up.process.pid}, since 20" in line
    assert up.environment["TOCSIN_STATE_DIR"] in line
    assert tocsin("health", "gateway", environment=up.environment).returncode == 0, "the first one runs on"


def test_up_starts_again_after_being_killed(up: Tocsin) -> None:
    """Its children may still be ending: the new one waits for them."""
    up.start()
    assert up.process is not None
    children = psutil.Process(up.process.pid).children(recursive=True)
    up.process.send_signal(signal.SIGKILL)
    up.process.wait(SLOW_MACHINE)
    up.start()
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_port_in_use_is_refused_if_it_was_asked_for(up: Tocsin) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for options in (("--port", port), ("--temporal-port", port), ("--ui-port", port)):
            failed = tocsin("up", *options, environment=up.environment)
            assert failed.returncode == 1, failed.stdout
            (line,) = failed.stderr.splitlines()
            assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in line


def test_port_that_two_parts_would_have(up: Tocsin) -> None:
    port = str(unused_port())
    failed = tocsin("up", "--temporal-port", port, "--ui-port", port, environment=up.environment)
    assert (failed.returncode, "another part of tocsin up has it" in failed.stderr) == (1, True), failed.stderr


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"TOCSIN_HOST": "no.such.host.invalid"}, "cannot listen on no.such.host.invalid"),
        ({"TOCSIN_HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
        ({"TOCSIN_STATE_DIR": "/proc/tocsin"}, "the state folder /proc/tocsin cannot be used: No such file"),
        ({"TOCSIN_API_TOKENS": "/nofile"}, "gateway could not start (exit code 1)"),
        ({"TEMPORAL_CONFIG_FILE": "/nofile"}, "TEMPORAL_CONFIG_FILE is '/nofile'; it must be the path of a file"),
        ({"TOCSIN_WORKER_METRICS": "192.0.2.1:1"}, "worker could not start (exit code 1)"),
    ],
    ids=str,
)
def test_up_that_cannot_start_ends_with_the_reason(up: Tocsin, settings: dict[str, str], reason: str) -> None:
    failed = tocsin("up", *ports(), environment={**up.environment, **settings})
    assert failed.returncode == 1
    assert reason in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("name", "kind"),
    [("link-secret", "folder"), ("temporal.db", "binary"), ("spool.db", "folder"), ("spool.db", "binary")],
)
def test_file_of_the_state_folder_that_is_unusable(up: Tocsin, name: str, kind: str) -> None:
    state = Path(up.environment["TOCSIN_STATE_DIR"])
    state.mkdir(parents=True)
    if kind == "folder":
        (state / name).mkdir()
    else:
        (state / name).write_bytes(b"\xff\xfe\x00 no database" * 300)
    failed = tocsin("up", *ports(), environment=up.environment)
    assert failed.returncode == 1, failed.stdout
    assert "Traceback" not in failed.stderr
    assert name.partition(".")[0] in failed.stderr


def test_health_of_worker_never_aborts(up: Tocsin) -> None:
    """The SDK's threads may abort the process when the interpreter ends."""
    up.start()
    assert up.process is not None
    servers = [one.cmdline() for one in psutil.Process(up.process.pid).children(recursive=True)]
    (server,) = [one for one in servers if "start-dev" in one]
    environment = {**up.environment, "TEMPORAL_ADDRESS": f"127.0.0.1:{server[server.index('--port') + 1]}"}
    codes = [tocsin("health", "worker", environment=environment).returncode for _ in range(6)]
    assert set(codes) == {0}
