"""``tocsin up``: the whole product as one process tree."""

import asyncio
import shutil
import signal
import sys
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
from rich.console import Console
from rich.table import Table
from rich.text import Text
from temporalio.client import Client
from temporalio.service import RPCError

from gateway.encryption import SETTING as ENCRYPTION_KEY
from gateway.vitals import pollers
from worker.children import Child
from worker.embedded import free_port, server_command
from worker.errors import StartError
from worker.first_start import ADDRESS, complete
from worker.policy_in_force import policy_at_start
from worker.settings import Settings, near, read_settings
from worker.temporal import connect_patiently, register_search_attributes

READY_WITHIN = 90.0  # seconds
TEMPORAL = "Temporal"
T = TypeVar("T")


@dataclass(frozen=True)
class UpOptions:
    temporal_port: int = 7233
    ui_port: int = 8233
    insecure: bool = False


class NotReadyError(StartError):
    """A process did not come up."""


async def run_up(environment: Mapping[str, str], options: UpOptions) -> None:
    """Start everything, say where it is, and stop it cleanly on Ctrl-C or SIGTERM.

    Raises PolicyError, StartError, NotReadyError or NoTemporalError; whatever was started is stopped first.
    """
    console = Console()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    env = dict(environment)
    env.setdefault("TOCSIN_LOG_LEVEL", "warning")
    env.setdefault("TOCSIN_CONSOLE_FALLBACK", "yes")
    env["TOCSIN_PORT"] = str(free_port(int(env.get("TOCSIN_PORT") or 8080)))
    made = complete(env, read_settings(env).state_dir)
    begun = read_settings(env)
    policy, lacking, refused = policy_at_start(begun)  # before anything starts: a bad policy starts nothing
    if lacking and not begun.console_fallback:
        lines = [f"destination {name} lacks {missing}" for name, missing in lacking.items()]
        raise StartError("\n".join([*lines, "set it, or leave TOCSIN_CONSOLE_FALLBACK unset to print there instead"]))

    children: list[Child] = []
    had_terminal = sys.stdin is not None and sys.stdin.isatty()

    def hung_up() -> None:
        """The terminal is gone, and whoever sat there; or somebody asks for the policy to be loaded again."""
        if had_terminal and not sys.stdin.isatty():
            stop.set()
            return
        for child in children:
            if child.name != TEMPORAL:
                child.signal(signal.SIGHUP)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)

    async def start(name: str, command: list[str], output: Path | None = None) -> None:
        child = Child(name, command, env, lambda line: console.print(Text(line, style="yellow")), output)
        children.append(child)
        await child.start()

    try:
        if not env.get("TEMPORAL_ADDRESS"):
            namespace = env.setdefault("TEMPORAL_NAMESPACE", "default")
            port, ui_port = free_port(options.temporal_port), free_port(options.ui_port)
            env["TEMPORAL_ADDRESS"] = f"127.0.0.1:{port}"
            env["TOCSIN_TEMPORAL_UI_URL"] = f"http://127.0.0.1:{ui_port}"
            state = read_settings(env).state_dir
            codec = f"{begun.public_url}/codec" if begun.secrets(ENCRYPTION_KEY) else ""
            await start(
                TEMPORAL,
                server_command(state / "temporal.db", namespace, port, ui_port, codec),
                state / "temporal.log",
            )
        settings = read_settings(env)
        if await _first(stop, _prepare(settings)):
            return
        python = [sys.executable, "-m", "worker.cli"]
        await start("worker", [*python, "worker"])
        await start("gateway", [*python, "gateway", *(["--insecure"] if options.insecure else [])])
        if await _first(stop, _ready(settings)):
            return
        if policy.watchdog is not None:
            await start("watchdog", [*python, "watchdog"])
        (settings.state_dir / ADDRESS).write_text(settings.public_url + "\n", encoding="utf-8")
        _announce(console, settings, policy.digest, made, lacking)
        for problem in refused:
            console.print(Text(f"Refused, so the policy before it decides: {problem}", style="bold red"))
        await stop.wait()
        console.print("Stopping …")
    finally:
        for child in reversed(children):
            await child.stop()


async def _first(stop: asyncio.Event, work: Awaitable[None]) -> bool:
    """Do the work, unless told to stop before it is done: then True."""
    working, stopping = asyncio.ensure_future(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
        return False
    working.cancel()
    return True


async def _prepare(settings: Settings) -> None:
    """Wait for Temporal and register the search attributes, which the gateway's first start needs."""
    client = await _within(connect_patiently(settings), "Temporal")
    await register_search_attributes(client)


async def _ready(settings: Settings) -> None:
    client = await connect_patiently(settings)
    await _within(asyncio.gather(_gateway_answers(settings), _worker_polls(client, settings)), "gateway and worker")


async def _within(work: Awaitable[T], what: str) -> T:
    try:
        return await asyncio.wait_for(work, READY_WITHIN)
    except TimeoutError:
        raise NotReadyError(f"{what} did not get ready within {READY_WITHIN:g} s; see what was printed above") from None


async def _gateway_answers(settings: Settings) -> None:
    async with httpx.AsyncClient() as http:
        while True:
            try:
                answer = await http.get(f"http://127.0.0.1:{settings.port}/readyz", timeout=5)
                if answer.status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)


async def _worker_polls(client: Client, settings: Settings) -> None:
    while True:
        try:
            if await pollers(client, settings.task_queue):
                return
        except RPCError:
            pass
        await asyncio.sleep(0.1)


def _announce(console: Console, settings: Settings, digest: str, made: list[str], lacking: Mapping[str, str]) -> None:
    where = Table.grid(padding=(0, 2))
    where.add_row("Gateway", settings.public_url)
    where.add_row("Arize sends to", f"{settings.public_url}/webhooks/arize")
    where.add_row("Temporal UI", settings.temporal_ui_url or f"that of {settings.environment['TEMPORAL_ADDRESS']}")
    where.add_row("Policy", f"{near(settings.policy)} ({digest})")
    where.add_row("State", str(settings.state_dir))
    console.rule("Tocsin is up")
    console.print(where)
    for line in made:
        console.print(Text(line, style="dim"))
    if lacking:
        console.print(Text("The console stands in for what lacks its secret:", style="yellow"))
        for name, missing in lacking.items():
            console.print(Text(f"  {name}: {missing}", style="yellow"))
    command = "tocsin" if shutil.which("tocsin") else near(Path(sys.executable).parent / "tocsin")
    console.print(
        f"Try: [bold]{command} send critical[/bold], then [bold]{command} incidents list[/bold]. "
        "Ctrl-C stops everything."
    )
