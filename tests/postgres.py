"""A PostgreSQL server of its own for a test run, where the machine has one installed."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.ports import unused_port


@contextmanager
def postgres(*, durable: bool = False) -> Generator[str]:
    """The address of a fresh server, for SQLAlchemy; ``durable`` flushes each commit, as production does.

    Skips the test where PostgreSQL is not installed.
    """
    initdb, pg_ctl = shutil.which("initdb"), shutil.which("pg_ctl")
    if not initdb or not pg_ctl:
        pytest.skip("PostgreSQL is not installed here: initdb and pg_ctl are needed")
    user = "nobody" if os.geteuid() == 0 else None  # the server refuses to run as root
    port = unused_port()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        for path in (Path(folder), data):
            path.chmod(0o700)
            if user:
                shutil.chown(path, user)

        def run(*command: str) -> None:
            environment = {**os.environ, "LC_ALL": "C"}
            done = subprocess.run(command, user=user, env=environment, cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr

        run(initdb, "-D", str(data), "-U", "tocsin", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
        options += "" if durable else " -c fsync=off"
        run(pg_ctl, "-D", str(data), "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://tocsin@127.0.0.1:{port}/postgres"
        finally:
            run(pg_ctl, "-D", str(data), "-m", "immediate", "stop")
