"""The embedded Temporal server: the real server, in one process with one database file, for one machine."""

import shutil
import socket
import sys
from pathlib import Path

from worker.errors import StartError
from workflows import search


class NoTemporalError(StartError):
    """The ``temporal`` command is not to be found."""


def temporal_binary() -> str:
    """The command beside this Python (from the extra ``embedded``), or else the one on the PATH."""
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if not found:
        raise NoTemporalError(
            "there is no temporal command: install tocsin[embedded], or set TEMPORAL_ADDRESS to use a cluster"
        )
    return found


def server_command(database: Path, namespace: str, port: int, ui_port: int, codec: str = "") -> list[str]:
    """How to start the server. ``ui_port`` 0 means without its UI; ``codec`` is where that has histories decrypted."""
    command = [temporal_binary(), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port)]
    command += ["--db-filename", str(database), "--namespace", namespace, "--log-level", "error"]
    # A write-ahead log, flushed at each commit: as durable as without it, and twice as fast.
    command += ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=FULL"]
    command += ["--ui-port", str(ui_port)] if ui_port else ["--headless"]
    command += ["--ui-codec-endpoint", codec] if codec and ui_port else []
    for key in search.KEYWORDS:
        command += ["--search-attribute", f"{key.name}=Keyword"]
    return [*command, "--search-attribute", f"{search.REGULATED.name}=Bool"]


def free_port(wanted: int = 0) -> int:
    """The wanted port where it is free, else one that is."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free")
