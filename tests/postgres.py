"""A PostgreSQL server for one test, on machines that have PostgreSQL installed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import unused_port


class PostgresServer:
    """A new server, running. ``url`` is its address for SQLAlchemy."""

    def __init__(self, folder: Path, port: int, *, durable: bool) -> None:
        initdb, pg_ctl = shutil.which("initdb"), shutil.which("pg_ctl")
        if not initdb or not pg_ctl:
            pytest.skip("PostgreSQL is not installed: initdb and pg_ctl are needed")
        self._user = "nobody" if os.geteuid() == 0 else None  # the server refuses to run as root
        self._folder, self._data, self._pg_ctl = folder, folder / "data", pg_ctl
        self._data.mkdir()
        for path in (folder, self._data):
            path.chmod(0o700)
            if self._user:
                shutil.chown(path, self._user)
        self._options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
        self._options += "" if durable else " -c fsync=off"
        self.url = f"postgresql+psycopg://tocsin@127.0.0.1:{port}/postgres"
        self._run(initdb, "-D", str(self._data), "-U", "tocsin", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.start()

    def start(self) -> None:
        log = f"{self._folder}/log"
        self._run(self._pg_ctl, "-D", str(self._data), "-w", "-l", log, "-o", self._options, "start")

    def stop(self) -> None:
        """Stop it as a crash does: connections are cut, nothing is flushed."""
        self._run(self._pg_ctl, "-D", str(self._data), "-m", "immediate", "stop")

    def _run(self, *command: str) -> None:
        environment = {**os.environ, "LC_ALL": "C"}
        done = subprocess.run(
            command, user=self._user, env=environment, cwd=self._folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def running_server(*, durable: bool = False) -> Generator[PostgresServer]:
    """A server that can be stopped and started. ``durable`` flushes each commit to the disk, as production does.

    Skips the test if PostgreSQL is not installed.
    """
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder), unused_port(), durable=durable)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def postgres(*, durable: bool = False) -> Generator[str]:
    """The address of a running server."""
    with running_server(durable=durable) as server:
        yield server.url
