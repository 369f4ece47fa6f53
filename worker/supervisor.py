"""``tocsin up``: Temporal, worker, gateway and watchdog as one process tree."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import httpx
from rich.console import Console
from rich.text import Text
from temporalio.client import Client
from temporalio.service import RPCError

from gateway.health_monitor import pollers
from gateway.security.encryption import SETTING as ENCRYPTION_KEY
from policy import short_digest
from worker.bootstrap import ADDRESS, ensure_secrets, local_url
from worker.embedded import PortError, bound_port, free_port, server_command
from worker.errors import StartError
from worker.managed_process import ManagedProcess
from worker.policy_watcher import LoadedPolicy, load_policy_at_start
from worker.settings import Settings, display_path, read_settings
from worker.signals import reload_on_hangup, stop_on_signals
from worker.state_lock import lock_state_folder
from worker.temporal import connect_with_retry, register_search_attributes

LOCAL = "127.0.0.1"
TEMPORAL_PORT, UI_PORT = 7233, 8233
READY_TIMEOUT = 90.0  # seconds
POLL_INTERVAL = 0.1  # seconds
REFUSED = frozenset({1, 2})
"""Exit codes of a process that cannot start: a restart would not help. It has printed the reason."""
TEMPORAL, TEMPORAL_LOG = "Temporal", "temporal.log"
T = TypeVar("T")


@dataclass(frozen=True)
class UpOptions:
    """The ports of the embedded server; None is its usual port, or any free one if that is in use."""

    temporal_port: int | None = None
    ui_port: int | None = None
    insecure: bool = False


class NotReadyError(StartError):
    """A process did not become ready in time, or could not start."""

    code: ClassVar[str] = "not_ready"


async def run_up(environment: Mapping[str, str], options: UpOptions) -> None:
    """Start everything, print the addresses, and stop it in order on Ctrl-C or SIGTERM.

    Raises:
        PolicyError: the policy is not valid. Nothing was started.
        StartError: a setting is not valid, a secret is missing, another ``tocsin up`` uses the state folder, or a
            process did not become ready. What was started is stopped first.
    """
    stop = stop_on_signals()
    lock = await lock_state_folder(read_settings(environment).state_dir, stop)
    try:
        await _run_locked(environment, options, stop, lock)
    finally:
        os.close(lock)


async def _run_locked(environment: Mapping[str, str], options: UpOptions, stop: asyncio.Event, lock: int) -> None:
    child_environment = {"TOCSIN_LOG_LEVEL": "warning", "TOCSIN_CONSOLE_FALLBACK": "yes", **environment}
    ports = _choose_ports(read_settings(environment), options)
    child_environment["TOCSIN_PORT"] = str(ports.gateway)
    notices = [*ports.notices, *ensure_secrets(child_environment, read_settings(child_environment).state_dir)]
    settings = read_settings(child_environment)
    loaded = load_policy_at_start(settings)
    if loaded.missing_secrets and not settings.console_fallback:
        lines = [f"destination {name} lacks {missing}" for name, missing in loaded.missing_secrets.items()]
        raise StartError("\n".join([*lines, "set it, or leave TOCSIN_CONSOLE_FALLBACK unset to print there instead"]))
    supervisor = _Supervisor(child_environment, options, stop, ports, lock)
    reload_on_hangup(supervisor.on_hangup)
    try:
        started = await supervisor.start_all(with_watchdog=loaded.policy.watchdog is not None)
        if started is None:
            return
        (started.state_dir / ADDRESS).write_text(started.public_url + "\n", encoding="utf-8")
        _announce(supervisor.console, started, loaded, notices)
        await stop.wait()
        supervisor.console.print("Stopping …")
    finally:
        await supervisor.stop_all()


@dataclass(frozen=True)
class _Ports:
    """The ports of the gateway and of the embedded server, all different, and what a user has to know of them."""

    gateway: int
    temporal: int
    ui: int
    notices: tuple[str, ...] = ()


def _choose_ports(settings: Settings, options: UpOptions) -> _Ports:
    """A port that was asked for is used, or refused; another one replaces a default that is in use. Raises PortError"""
    notices: list[str] = []
    taken: list[int] = []

    def choose(name: str, host: str, asked: int | None, default: int) -> int:
        if asked:
            _check_port(name, host, asked, taken)
        port = asked or free_port(default, host, taken)
        if port != asked and default not in {0, port}:
            notices.append(f"port {default} of {host} is in use: {name} listens on port {port}")
        taken.append(port)
        return port

    port_is_asked = settings.is_set("port") and settings.port
    gateway = choose("the gateway", settings.host, settings.port if port_is_asked else None, settings.port)
    if not settings.embedded:
        return _Ports(gateway, 0, 0, tuple(notices))
    temporal = choose("Temporal", LOCAL, options.temporal_port, TEMPORAL_PORT)
    ui = choose("the Temporal UI", LOCAL, options.ui_port, UI_PORT)
    return _Ports(gateway, temporal, ui, tuple(notices))


def _check_port(name: str, host: str, port: int, taken: Collection[int]) -> None:
    """Raises PortError if a port that was asked for cannot be used."""
    try:
        if port not in taken:
            bound_port(host, port)
            return
        reason = "another part of tocsin up has it"
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise PortError(f"{name} cannot listen on {host}, port {port}: {reason}; choose another port or TOCSIN_HOST")


@dataclass
class _Supervisor:
    """Starts the processes one after another, and stops them in reverse order."""

    environment: dict[str, str] = field(repr=False)
    options: UpOptions
    stop: asyncio.Event
    ports: _Ports
    lock: int
    """The lock on the state folder, which every process inherits."""
    console: Console = field(default_factory=Console)
    _refusal: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """Why a process could not start."""
    _starting: bool = True
    _processes: list[ManagedProcess] = field(default_factory=list[ManagedProcess])
    _had_terminal: bool = field(default_factory=lambda: sys.stdin is not None and sys.stdin.isatty())

    async def start_all(self, *, with_watchdog: bool) -> Settings | None:
        """Returns the settings of the processes, once all are ready; None if ``stop`` was set before.

        Raises:
            NotReadyError: a process did not become ready in time.
        """
        if not self.environment.get("TEMPORAL_ADDRESS"):
            await self._start_temporal()
        settings = read_settings(self.environment)
        if not await self._unless_stopped(_prepare(settings)):
            return None
        await self._start_role("worker")
        await self._start_role("gateway", *(["--insecure"] if self.options.insecure else []))
        if not await self._unless_stopped(_wait_until_ready(settings)):
            return None
        if with_watchdog:
            await self._start_role("watchdog")
        self._starting = False
        return settings

    async def stop_all(self) -> None:
        for process in reversed(self._processes):
            await process.stop()

    def on_hangup(self) -> None:
        """SIGHUP: stop if the terminal was closed; otherwise pass it on, and the processes reload the policy."""
        if self._had_terminal and not sys.stdin.isatty():
            self.stop.set()
            return
        for process in self._processes:
            if process.name != TEMPORAL:
                process.signal(signal.SIGHUP)

    async def _start_temporal(self) -> None:
        before = read_settings(self.environment)
        namespace = self.environment.setdefault("TEMPORAL_NAMESPACE", before.temporal_namespace)
        self.environment["TEMPORAL_ADDRESS"] = f"{LOCAL}:{self.ports.temporal}"
        self.environment["TOCSIN_TEMPORAL_UI_URL"] = f"http://{LOCAL}:{self.ports.ui}"
        codec = f"{before.public_url}/codec" if before.secrets(ENCRYPTION_KEY) else ""
        # A name without a folder: the server puts it into an SQLite URI as it is, where ?, # and % have a meaning.
        command = server_command(Path("temporal.db"), namespace, self.ports.temporal, self.ports.ui, codec)
        await self._start(TEMPORAL, command, before.state_dir)

    async def _start_role(self, role: str, *arguments: str) -> None:
        await self._start(role, [sys.executable, "-m", "cli.main", role, *arguments])

    async def _start(self, name: str, command: list[str], folder: Path | None = None) -> None:
        """Start a process; in a folder of its own, it writes its output to a log there."""
        process = ManagedProcess(
            name=name,
            command=command,
            environment=self.environment,
            on_exit=lambda line: self._ended(process, line),
            output=folder / TEMPORAL_LOG if folder else None,
            folder=folder,
            inherited=(self.lock,),
        )
        self._processes.append(process)
        await process.start()

    def _ended(self, process: ManagedProcess, line: str) -> None:
        """A process has ended by itself. During the start, one that refuses to start ends the whole start."""
        if not (self._starting and process.code in REFUSED):
            self.console.print(Text(line, style="yellow"))
        elif not self._refusal.done():
            reason = f"see {process.output}: {_last_error(process.output)}" if process.output else "see above"
            self._refusal.set_result(f"{process.name} could not start (exit code {process.code}): {reason}")

    async def _unless_stopped(self, work: Awaitable[None]) -> bool:
        """Whether the work was completed; otherwise ``stop`` was set, and the work is cancelled.

        Raises:
            NotReadyError: a process could not start.
        """
        working, stopping = asyncio.ensure_future(work), asyncio.create_task(self.stop.wait())
        await asyncio.wait({working, stopping, self._refusal}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            working.result()
            return True
        working.cancel()
        if self._refusal.done() and not self.stop.is_set():
            raise NotReadyError(self._refusal.result())
        return False


def _last_error(file: Path) -> str:
    """The last line of a log that states an error, otherwise its last line; at most 500 characters of it."""
    with file.open("rb") as log:
        log.seek(max(file.stat().st_size - 16_384, 0))
        lines = [line for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    stated = [line for line in lines if line.casefold().startswith(("error", "panic", "fatal"))]
    return [*lines, *stated][-1][:500] if lines else "it is empty"


async def _prepare(settings: Settings) -> None:
    """Wait for Temporal, and register the search attributes, which the first incident needs."""
    client = await _in_time(connect_with_retry(settings), "Temporal")
    await register_search_attributes(client)


async def _wait_until_ready(settings: Settings) -> None:
    client = await connect_with_retry(settings)
    ready = asyncio.gather(_gateway_ready(settings), _worker_polls(client, settings))
    await _in_time(ready, "the gateway or the worker")


async def _in_time(work: Awaitable[T], name: str) -> T:
    try:
        return await asyncio.wait_for(work, READY_TIMEOUT)
    except TimeoutError:
        raise NotReadyError(f"{name} is not ready after {READY_TIMEOUT:g} s: see the messages above") from None


async def _gateway_ready(settings: Settings) -> None:
    # No proxy: this is the machine's own address.
    async with httpx.AsyncClient(trust_env=False) as http:
        while True:
            try:
                answer = await http.get(f"{local_url(settings)}/readyz", timeout=5)
                if answer.status_code == 200:
                    return
            except (httpx.HTTPError, httpx.InvalidURL):
                pass
            await asyncio.sleep(POLL_INTERVAL)


async def _worker_polls(client: Client, settings: Settings) -> None:
    while True:
        try:
            if await pollers(client, settings.task_queue):
                return
        except RPCError:
            pass
        await asyncio.sleep(POLL_INTERVAL)


def _announce(console: Console, settings: Settings, loaded: LoadedPolicy, notices: list[str]) -> None:
    console.rule("Tocsin is up")
    for label, text in (
        ("Gateway", settings.public_url),
        ("Arize webhook", f"{settings.public_url}/webhooks/arize"),
        ("Temporal UI", settings.temporal_ui_url or f"of the cluster at {settings.temporal_address}"),
        ("Policy", f"{display_path(settings.policy)} ({short_digest(loaded.policy.digest)})"),
        ("State folder", str(settings.state_dir)),
    ):
        console.print(Text(f"{label:<13}  {text}"), soft_wrap=True)  # people copy addresses and paths
    for line in notices:
        console.print(Text(line, style="dim"), soft_wrap=True)
    if loaded.missing_secrets:
        console.print(Text("The console replaces destinations that lack a secret:", style="yellow"))
        for name, missing in loaded.missing_secrets.items():
            console.print(Text(f"  {name}: {missing}", style="yellow"))
    command = "tocsin" if shutil.which("tocsin") else display_path(Path(sys.executable).parent / "tocsin")
    console.print(
        Text.assemble(
            "Try: ",
            (f"{command} send critical", "bold"),
            ", then ",
            (f"{command} incidents list", "bold"),
            ". Ctrl-C stops everything.",
        )
    )
    for problem in loaded.problems:
        console.print(Text(f"The policy is rejected, and the previous one decides: {problem}", style="bold red"))
