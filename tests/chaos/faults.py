"""The faults: each function injects one, and returns when it has removed it, or when Tocsin repairs it by itself."""

import asyncio
import random
import shutil
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.chaos.harness import ChaosHarness
from tests.polling import polling_processes
from tests.vendors import Fault, Vendor
from tests.waiting import SLOW_MACHINE, wait_for

FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None) if shutil.which("faketime") else None
CLOCK = "clock"
"""A file in the harness's folder: the offset of the clocks of Tocsin's processes, if faketime is installed."""


@dataclass(frozen=True)
class InjectedFault:
    """A fault, when it was removed, and when Tocsin had recovered from it. Times are Unix seconds."""

    name: str
    began: float
    removed: float
    ended: float
    kills: int


Injector = Callable[[ChaosHarness, random.Random], int]
"""Injects a fault and removes it; returns how many processes it killed."""
FAULTS: dict[str, Injector] = {}


def _fault(name: str) -> Callable[[Injector], Injector]:
    def register(injector: Injector) -> Injector:
        FAULTS[name] = injector
        return injector

    return register


def inject(harness: ChaosHarness, name: str, rng: random.Random) -> InjectedFault:
    """Inject a fault, and wait until Tocsin has recovered: it is ready, nothing is spooled, and a worker polls."""
    began = time.time()
    kills = FAULTS[name](harness, rng)
    removed = time.time()
    harness.pager.on_next_page = harness.on_next_response = None
    wait_for(
        lambda: _has_recovered(harness),
        2 * SLOW_MACHINE,
        0.2,
        lambda: f"after: {name}\n{harness.tocsin.last_output()}",
    )
    return InjectedFault(name, began, removed, time.time(), kills)


def _has_recovered(harness: ChaosHarness) -> bool:
    with suppress(httpx.HTTPError, StopIteration, psutil.NoSuchProcess):
        status = harness.tocsin.http.get(f"{harness.tocsin.url}/readyz").json()
        if status["ready"] and status["temporal"] == "ok" and status["spooled"]["items"] == 0:
            return str(harness.tocsin.child("worker").pid) in asyncio.run(polling_processes(harness.temporal))
    return False


# ── Killed ──────────────────────────────────────────────────────────────────────────────────────────────────


def _kill(harness: ChaosHarness, role: str) -> int:
    with suppress(StopIteration, psutil.NoSuchProcess):  # it has ended already, or is starting
        process = harness.tocsin.child(role)
        process.kill()
        return 1
    return 0


@_fault("gateway killed")
def _gateway(harness: ChaosHarness, rng: random.Random) -> int:
    del rng
    return _kill(harness, "gateway")


@_fault("worker killed")
def _worker(harness: ChaosHarness, rng: random.Random) -> int:
    del rng
    return _kill(harness, "worker")


@_fault("Temporal server killed")
def _server(harness: ChaosHarness, rng: random.Random) -> int:
    del rng
    return _kill(harness, "server")


@_fault("everything killed and restarted")
def _everything(harness: ChaosHarness, rng: random.Random) -> int:
    harness.tocsin.kill()
    time.sleep(rng.uniform(0, 3))
    harness.tocsin.start()
    return 4


@_fault("gateway killed right after its 202")
def _gateway_after(harness: ChaosHarness, rng: random.Random) -> int:
    del rng
    return _kill_when(lambda hook: setattr(harness, "on_next_response", hook), lambda: _kill(harness, "gateway"))


@_fault("worker killed while a page is in flight")
def _worker_paging(harness: ChaosHarness, rng: random.Random) -> int:
    # The pager accepts the page, and the worker dies before the response.
    harness.pager.choose = lambda one: (
        Fault(delay=rng.uniform(0, 1), after=True) if "trigger" in str(one.body) else None
    )
    kills = _kill_when(lambda hook: setattr(harness.pager, "on_next_page", hook), lambda: _kill(harness, "worker"))
    harness.pager.choose = lambda one: None
    return kills


@_fault("Temporal server killed while a page is in flight")
def _server_paging(harness: ChaosHarness, rng: random.Random) -> int:
    del rng
    return _kill_when(lambda hook: setattr(harness.pager, "on_next_page", hook), lambda: _kill(harness, "server"))


def _kill_when(set_hook: Callable[[Callable[[], None]], None], kill: Callable[[], int]) -> int:
    """Kill at the instant of a hook, which may not come."""
    kills: list[int] = []
    set_hook(lambda: kills.append(kill()))
    with suppress(AssertionError):
        wait_for(lambda: kills, 15)
    return sum(kills)


# ── Paused ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def paused(harness: ChaosHarness, role: str) -> Generator[None]:
    process = harness.tocsin.child(role)
    process.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):  # it was killed meanwhile
            process.resume()


@_fault("gateway paused")
def _pause_gateway(harness: ChaosHarness, rng: random.Random) -> int:
    with paused(harness, "gateway"):
        time.sleep(rng.uniform(1, 6))
    return 0


@_fault("worker paused")
def _pause_worker(harness: ChaosHarness, rng: random.Random) -> int:
    with paused(harness, "worker"):
        time.sleep(rng.uniform(2, 18))
    return 0


@_fault("worker paused, then killed")
def _pause_and_kill_worker(harness: ChaosHarness, rng: random.Random) -> int:
    # Queries and due deadlines wait for the next worker, which knows only the histories.
    with paused(harness, "worker"):
        time.sleep(rng.uniform(5, 12))
        return _kill(harness, "worker")


@_fault("Temporal server paused")
def _pause_server(harness: ChaosHarness, rng: random.Random) -> int:
    with paused(harness, "server"):
        time.sleep(rng.uniform(2, 12))
    return 0


@_fault("Temporal server paused, gateway killed")
def _pause_and_kill(harness: ChaosHarness, rng: random.Random) -> int:
    with paused(harness, "server"):
        time.sleep(rng.uniform(2, 6))
        kills = _kill(harness, "gateway")
        time.sleep(rng.uniform(1, 3))
    return kills


# ── Vendors ─────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _always(fault: Fault, *vendors: Vendor) -> Generator[None]:
    for vendor in vendors:
        vendor.always = fault
    try:
        yield
    finally:
        for vendor in vendors:
            vendor.always = None


@_fault("pager answers 503")
def _pager_503(harness: ChaosHarness, rng: random.Random) -> int:
    with _always(Fault(status=503), harness.pager):
        time.sleep(rng.uniform(3, 20))
    return 0


@_fault("pager answers 429")
def _pager_429(harness: ChaosHarness, rng: random.Random) -> int:
    with _always(Fault(status=429, headers={"Retry-After": "2"}), harness.pager):
        time.sleep(rng.uniform(3, 8))
    return 0


@_fault("pager accepts, and resets the connection")
def _pager_resets(harness: ChaosHarness, rng: random.Random) -> int:
    with _always(Fault(reset=True, after=True), harness.pager):
        time.sleep(rng.uniform(3, 10))
    return 0


@_fault("pager accepts, and answers too late")
def _pager_late(harness: ChaosHarness, rng: random.Random) -> int:
    with _always(Fault(delay=12, after=True), harness.pager):
        time.sleep(rng.uniform(3, 10))
    return 0


@_fault("Slack and Jira answer 500")
def _others_500(harness: ChaosHarness, rng: random.Random) -> int:
    with _always(Fault(status=500), harness.slack, harness.jira):
        time.sleep(rng.uniform(3, 15))
    return 0


@_fault("Slack and Jira accept, and reset the connection")
def _others_reset(harness: ChaosHarness, rng: random.Random) -> int:
    # Whether a message was written can only be looked up, also among hundreds of others.
    with _always(Fault(reset=True, after=True), harness.slack, harness.jira):
        time.sleep(rng.uniform(3, 15))
    return 0


# ── Disks, locks, clocks ────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _full(process: psutil.Process, folder: Path, database: str) -> Generator[None]:
    """The process cannot extend its database's files, nor make any other file as long."""
    sizes = [file.stat().st_size for file in folder.glob(f"{database}*")]
    _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (min(sizes, default=0), hard))
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))


@_fault("disk full for the spool, Temporal paused")
def _spool_full(harness: ChaosHarness, rng: random.Random) -> int:
    with paused(harness, "server"), _full(harness.tocsin.child("gateway"), harness.state, "spool.db"):
        time.sleep(rng.uniform(4, 8))
    return 0


@_fault("disk full for the audit log")
def _audit_full(harness: ChaosHarness, rng: random.Random) -> int:
    with _full(harness.tocsin.child("worker"), harness.state, "audit.db"):
        time.sleep(rng.uniform(4, 10))
    return 0


@contextmanager
def _locked(file: Path) -> Generator[None]:
    connection = sqlite3.connect(file, timeout=20, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@_fault("audit log locked")
def _audit_locked(harness: ChaosHarness, rng: random.Random) -> int:
    with _locked(harness.state / "audit.db"):
        time.sleep(rng.uniform(3, 15))
    return 0


def _lock_and_kill(harness: ChaosHarness, rng: random.Random, database: str, role: str) -> int:
    with _locked(harness.state / database):
        time.sleep(rng.uniform(1, 4))
        kills = _kill(harness, role)
        time.sleep(rng.uniform(3, 8))
    return kills


@_fault("audit log locked, worker killed")
def _audit_locked_and_kill(harness: ChaosHarness, rng: random.Random) -> int:
    return _lock_and_kill(harness, rng, "audit.db", "worker")


@_fault("dedup store locked, gateway killed")
def _dedup_store_locked_and_kill(harness: ChaosHarness, rng: random.Random) -> int:
    return _lock_and_kill(harness, rng, "gateway.db", "gateway")


@_fault("spool locked, Temporal paused")
def _spool_locked(harness: ChaosHarness, rng: random.Random) -> int:
    with paused(harness, "server"), _locked(harness.state / "spool.db"):
        time.sleep(rng.uniform(3, 8))
    return 0


def clock_settings(folder: Path) -> Mapping[str, str]:
    """Settings that make the clocks of Tocsin's processes adjustable; empty if faketime is not installed."""
    if FAKETIME is None:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CLOCK).write_text("+0")
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(folder / CLOCK),
        "FAKETIME_CACHE_DURATION": "1",
        # A jump of the wall clock does not change the monotonic clock.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@_fault("clocks jump four minutes ahead, then back")
def _clock_jumps(harness: ChaosHarness, rng: random.Random) -> int:
    # Arize's signatures are valid for five minutes: with a larger offset the gateway would reject them.
    for offset in ("+240", "-240", "+0"):
        (harness.tocsin.folder / CLOCK).write_text(offset)
        time.sleep(rng.uniform(3, 6))
    return 0


if FAKETIME is None:
    del FAULTS["clocks jump four minutes ahead, then back"]
