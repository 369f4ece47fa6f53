"""``tocsin up``: Temporal, worker, gateway and watchdog as one process tree."""

import asyncio
import shutil
import signal
import sys
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text
from temporalio.client import Client
from temporalio.service import RPCError

from gateway.health_monitor import pollers
from gateway.security.encryption import SETTING as ENCRYPTION_KEY
from worker.bootstrap import ADDRESS, ensure_secrets
from worker.embedded import free_port, server_command
from worker.errors import StartError
from worker.managed_process import ManagedProcess
from worker.policy_watcher import LoadedPolicy, load_policy_at_start
from worker.settings import Settings, display_path, read_settings
from worker.signals import reload_on_hangup, stop_on_signals
from worker.temporal import connect_with_retry, register_search_attributes

READY_TIMEOUT = 90.0  # seconds
POLL_INTERVAL = 0.1  # seconds
TEMPORAL = "Temporal"
T = TypeVar("T")


@dataclass(frozen=True)
class UpOptions:
    """The preferred ports of the embedded server; another one is used if it is in use."""

    temporal_port: int = 7233
    ui_port: int = 8233
    insecure: bool = False


class NotReadyError(StartError):
    """A process did not become ready in time."""

    code: ClassVar[str] = "not_ready"


async def run_up(environment: Mapping[str, str], options: UpOptions) -> None:
    """Start everything, print the addresses, and stop it in order on Ctrl-C or SIGTERM.

    Raises:
        PolicyError: the policy is not valid. Nothing was started.
        StartError: a setting is not valid, a secret is missing, or a process did not become ready. What was started is
            stopped first.
    """
    stop = stop_on_signals()
    child_environment = {"TOCSIN_LOG_LEVEL": "warning", "TOCSIN_CONSOLE_FALLBACK": "yes", **environment}
    child_environment["TOCSIN_PORT"] = str(free_port(read_settings(environment).port))
    notices = ensure_secrets(child_environment, read_settings(child_environment).state_dir)
    settings = read_settings(child_environment)
    loaded = load_policy_at_start(settings)
    if loaded.missing_secrets and not settings.console_fallback:
        lines = [f"destination {name} lacks {missing}" for name, missing in loaded.missing_secrets.items()]
        raise StartError("\n".join([*lines, "set it, or leave TOCSIN_CONSOLE_FALLBACK unset to print there instead"]))
    supervisor = _Supervisor(child_environment, options, stop)
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


@dataclass
class _Supervisor:
    """Starts the processes one after another, and stops them in reverse order."""

    environment: dict[str, str] = field(repr=False)
    options: UpOptions
    stop: asyncio.Event
    console: Console = field(default_factory=Console)
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
        port, ui_port = free_port(self.options.temporal_port), free_port(self.options.ui_port)
        self.environment["TEMPORAL_ADDRESS"] = f"127.0.0.1:{port}"
        self.environment["TOCSIN_TEMPORAL_UI_URL"] = f"http://127.0.0.1:{ui_port}"
        codec = f"{before.public_url}/codec" if before.secrets(ENCRYPTION_KEY) else ""
        command = server_command(before.state_dir / "temporal.db", namespace, port, ui_port, codec)
        await self._start(TEMPORAL, command, before.state_dir / "temporal.log")

    async def _start_role(self, role: str, *arguments: str) -> None:
        await self._start(role, [sys.executable, "-m", "cli.main", role, *arguments])

    async def _start(self, name: str, command: list[str], output: Path | None = None) -> None:
        process = ManagedProcess(
            name=name,
            command=command,
            environment=self.environment,
            on_exit=lambda line: self.console.print(Text(line, style="yellow")),
            output=output,
        )
        self._processes.append(process)
        await process.start()

    async def _unless_stopped(self, work: Awaitable[None]) -> bool:
        """Whether the work was completed; otherwise ``stop`` was set, and the work is cancelled."""
        working, stopping = asyncio.ensure_future(work), asyncio.create_task(self.stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if working.done():
            working.result()
            return True
        working.cancel()
        return False


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
    async with httpx.AsyncClient() as http:
        while True:
            try:
                answer = await http.get(f"http://127.0.0.1:{settings.port}/readyz", timeout=5)
                if answer.status_code == 200:
                    return
            except httpx.HTTPError:
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
    addresses = Table.grid(padding=(0, 2))
    addresses.add_row("Gateway", settings.public_url)
    addresses.add_row("Arize webhook", f"{settings.public_url}/webhooks/arize")
    addresses.add_row("Temporal UI", settings.temporal_ui_url or f"of the cluster at {settings.temporal_address}")
    addresses.add_row("Policy", f"{display_path(settings.policy)} ({loaded.policy.digest})")
    addresses.add_row("State folder", str(settings.state_dir))
    console.rule("Tocsin is up")
    console.print(addresses)
    for line in notices:
        console.print(Text(line, style="dim"))
    if loaded.missing_secrets:
        console.print(Text("The console replaces destinations that lack a secret:", style="yellow"))
        for name, missing in loaded.missing_secrets.items():
            console.print(Text(f"  {name}: {missing}", style="yellow"))
    command = "tocsin" if shutil.which("tocsin") else display_path(Path(sys.executable).parent / "tocsin")
    console.print(
        f"Try: [bold]{command} send critical[/bold], then [bold]{command} incidents list[/bold]. "
        "Ctrl-C stops everything."
    )
    for problem in loaded.problems:
        console.print(Text(f"The policy is rejected, and the previous one decides: {problem}", style="bold red"))
