"""What breaks, one thing at a time, each mended again: every function here returns once it is, or it mends itself."""

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

from tests.chaos.field import Field
from tests.polling import asking
from tests.vendors import Fault, Vendor
from tests.waiting import wait_for

KILLED = "killed"
FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None) if shutil.which("faketime") else None
CLOCK = "clock"
"""In the field's folder: by how much the clocks of Tocsin's processes are off, where faketime is installed."""


@dataclass(frozen=True)
class Wreck:
    """What was done, when that was over, and when all was well again. Times are Unix seconds."""

    what: str
    began: float
    freed: float
    ended: float
    kills: int


Break = Callable[[Field, random.Random], int]
"""Does it, and mends it; how many processes it killed."""
BREAKS: dict[str, Break] = {}


def _is(what: str) -> Callable[[Break], Break]:
    def listed(broken: Break) -> Break:
        BREAKS[what] = broken
        return broken

    return listed


def wreck(field: Field, what: str, dice: random.Random) -> Wreck:
    """Do one, and wait until Tocsin says that it is well again, and asks for work."""
    began = time.time()
    kills = BREAKS[what](field, dice)
    freed = time.time()
    field.pager.at_next_page = field.after_next_answer = None
    wait_for(lambda: _is_well(field), 90, 0.2, lambda: f"after: {what}\n{field.tocsin.printed()[-3000:]}")
    return Wreck(what, began, freed, time.time(), kills)


def _is_well(field: Field) -> bool:
    with suppress(httpx.HTTPError, StopIteration, psutil.NoSuchProcess):
        said = field.tocsin.http.get(f"{field.tocsin.url}/readyz").json()
        if said["ready"] and said["temporal"] == "ok" and said["spooled"]["items"] == 0:
            return str(field.tocsin.child("worker").pid) in asyncio.run(asking(field.temporal))
    return False


# ── Killed ──────────────────────────────────────────────────────────────────────────────────────────────────


def _kill(field: Field, role: str) -> int:
    with suppress(StopIteration, psutil.NoSuchProcess):  # it is dead already, or on its way up
        process = field.tocsin.child(role)
        process.kill()
        return 1
    return 0


@_is("gateway killed")
def _gateway(field: Field, dice: random.Random) -> int:
    del dice
    return _kill(field, "gateway")


@_is("worker killed")
def _worker(field: Field, dice: random.Random) -> int:
    del dice
    return _kill(field, "worker")


@_is("Temporal server killed")
def _server(field: Field, dice: random.Random) -> int:
    del dice
    return _kill(field, "server")


@_is("everything killed, and started again")
def _everything(field: Field, dice: random.Random) -> int:
    field.tocsin.kill()
    time.sleep(dice.uniform(0, 3))
    field.tocsin.start()
    return 4


@_is("gateway killed right after its 202")
def _gateway_after(field: Field, dice: random.Random) -> int:
    del dice
    return _at(lambda strike: setattr(field, "after_next_answer", strike), lambda: _kill(field, "gateway"))


@_is("worker killed while a page is on its way")
def _worker_paging(field: Field, dice: random.Random) -> int:
    # The pager takes the page, and the one who would hear that it did is dead.
    field.pager.choose = lambda one: Fault(delay=dice.uniform(0, 1), after=True) if "trigger" in str(one.body) else None
    kills = _at(lambda strike: setattr(field.pager, "at_next_page", strike), lambda: _kill(field, "worker"))
    field.pager.choose = lambda one: None
    return kills


@_is("Temporal server killed while a page is on its way")
def _server_paging(field: Field, dice: random.Random) -> int:
    del dice
    return _at(lambda strike: setattr(field.pager, "at_next_page", strike), lambda: _kill(field, "server"))


def _at(appoint: Callable[[Callable[[], None]], None], kill: Callable[[], int]) -> int:
    """Kill at a chosen instant, which may not come."""
    killed: list[int] = []
    appoint(lambda: killed.append(kill()))
    with suppress(AssertionError):
        wait_for(lambda: killed, 15)
    return sum(killed)


# ── Paused ──────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def paused(field: Field, role: str) -> Generator[None]:
    process = field.tocsin.child(role)
    process.suspend()
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):  # somebody killed it meanwhile
            process.resume()


@_is("gateway paused")
def _pause_gateway(field: Field, dice: random.Random) -> int:
    with paused(field, "gateway"):
        time.sleep(dice.uniform(1, 6))
    return 0


@_is("worker paused")
def _pause_worker(field: Field, dice: random.Random) -> int:
    with paused(field, "worker"):
        time.sleep(dice.uniform(2, 18))
    return 0


@_is("worker paused, and killed then")
def _pause_and_kill_worker(field: Field, dice: random.Random) -> int:
    # Whoever looks meanwhile waits for the next worker, which knows nothing; and so does what falls due.
    with paused(field, "worker"):
        time.sleep(dice.uniform(5, 12))
        return _kill(field, "worker")


@_is("Temporal server paused")
def _pause_server(field: Field, dice: random.Random) -> int:
    with paused(field, "server"):
        time.sleep(dice.uniform(2, 12))
    return 0


@_is("Temporal server paused, and the gateway killed meanwhile")
def _pause_and_kill(field: Field, dice: random.Random) -> int:
    with paused(field, "server"):
        time.sleep(dice.uniform(2, 6))
        kills = _kill(field, "gateway")
        time.sleep(dice.uniform(1, 3))
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


@_is("pager answers 503")
def _pager_away(field: Field, dice: random.Random) -> int:
    with _always(Fault(status=503), field.pager):
        time.sleep(dice.uniform(3, 20))
    return 0


@_is("pager asks for patience (429)")
def _pager_busy(field: Field, dice: random.Random) -> int:
    with _always(Fault(status=429, headers={"Retry-After": "2"}), field.pager):
        time.sleep(dice.uniform(3, 8))
    return 0


@_is("pager takes it, and hangs up without a word")
def _pager_mute(field: Field, dice: random.Random) -> int:
    with _always(Fault(reset=True, after=True), field.pager):
        time.sleep(dice.uniform(3, 10))
    return 0


@_is("pager takes it, and answers too late")
def _pager_late(field: Field, dice: random.Random) -> int:
    with _always(Fault(delay=12, after=True), field.pager):
        time.sleep(dice.uniform(3, 10))
    return 0


@_is("Slack and Jira answer 500")
def _others_away(field: Field, dice: random.Random) -> int:
    with _always(Fault(status=500), field.slack, field.jira):
        time.sleep(dice.uniform(3, 15))
    return 0


# ── Disks, locks, clocks ────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _full(process: psutil.Process, folder: Path, database: str) -> Generator[None]:
    """The process can make its database's files no longer than they are, nor any other file that long."""
    sizes = [file.stat().st_size for file in folder.glob(f"{database}*")]
    _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (min(sizes, default=0), hard))
    try:
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            process.rlimit(psutil.RLIMIT_FSIZE, (hard, hard))


@_is("disk full for the spool, while Temporal is paused")
def _spool_full(field: Field, dice: random.Random) -> int:
    with paused(field, "server"), _full(field.tocsin.child("gateway"), field.state, "spool.db"):
        time.sleep(dice.uniform(4, 8))
    return 0


@_is("disk full for the audit log")
def _audit_full(field: Field, dice: random.Random) -> int:
    with _full(field.tocsin.child("worker"), field.state, "audit.db"):
        time.sleep(dice.uniform(4, 10))
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


@_is("audit log locked by somebody else")
def _audit_locked(field: Field, dice: random.Random) -> int:
    with _locked(field.state / "audit.db"):
        time.sleep(dice.uniform(3, 15))
    return 0


def _lock_and_kill(field: Field, dice: random.Random, database: str, role: str) -> int:
    with _locked(field.state / database):
        time.sleep(dice.uniform(1, 4))
        kills = _kill(field, role)
        time.sleep(dice.uniform(3, 8))
    return kills


@_is("audit log locked by somebody else, and the worker killed meanwhile")
def _audit_locked_and_kill(field: Field, dice: random.Random) -> int:
    return _lock_and_kill(field, dice, "audit.db", "worker")


@_is("memory of deliveries locked by somebody else, and the gateway killed meanwhile")
def _memory_locked_and_kill(field: Field, dice: random.Random) -> int:
    return _lock_and_kill(field, dice, "gateway.db", "gateway")


@_is("spool locked by somebody else, while Temporal is paused")
def _spool_locked(field: Field, dice: random.Random) -> int:
    with paused(field, "server"), _locked(field.state / "spool.db"):
        time.sleep(dice.uniform(3, 8))
    return 0


def clock_settings(folder: Path) -> Mapping[str, str]:
    """What makes the clocks of Tocsin's processes adjustable; nothing where faketime is not installed."""
    if FAKETIME is None:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CLOCK).write_text("+0")
    return {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(folder / CLOCK),
        "FAKETIME_CACHE_DURATION": "1",
        # A wall clock that jumps leaves the monotonic one as it is.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@_is("clocks jump four minutes ahead, then back")
def _clock_jumps(field: Field, dice: random.Random) -> int:
    # What Arize signs is good for five minutes: a clock further off refuses it, and says so.
    for offset in ("+240", "-240", "+0"):
        (field.tocsin.folder / CLOCK).write_text(offset)
        time.sleep(dice.uniform(3, 6))
    return 0


if FAKETIME is None:
    del BREAKS["clocks jump four minutes ahead, then back"]
