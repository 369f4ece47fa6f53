"""The lock on a state folder: two ``tocsin up`` in one folder would write the same databases.

It is a lock of the operating system (flock), so a process that was killed leaves none behind. All processes that
``tocsin up`` starts inherit it: the folder is free when the last of them has ended.
"""

import asyncio
import fcntl
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from worker.errors import StartError

LOCK = "up.lock"
"""The file. It holds the process that has the lock, and since when."""
WAIT = 30.0
"""Seconds that the children of a killed ``tocsin up`` get for their end; they get SIGTERM when it dies."""
_POLL_INTERVAL = 0.2  # seconds


class StateFolderError(StartError):
    """The state folder is in use by another ``tocsin up``, or it cannot be written."""

    code: ClassVar[str] = "state_folder_unusable"


async def lock_state_folder(folder: Path, stop: asyncio.Event) -> int:
    """Create the folder, for its owner only, and lock it.

    Args:
        folder: the state folder.
        stop: ends the wait for the children of an earlier ``tocsin up`` that was killed.

    Returns:
        The descriptor of the lock, which lasts until it is closed here and in every process that inherited it.

    Raises:
        StateFolderError: another ``tocsin up`` has the lock, or the folder cannot be written.
    """
    lock = _open(folder)
    try:
        await _acquire(lock, folder, stop)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()} {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC\n".encode(), 0)
    except BaseException as error:
        os.close(lock)
        if isinstance(error, OSError):
            raise StateFolderError(_unusable(folder, error)) from None
        raise
    return lock


def _open(folder: Path) -> int:
    try:
        # Databases are created in this folder later; all of it is readable by its owner only.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateFolderError(_unusable(folder, error)) from None


async def _acquire(lock: int, folder: Path, stop: asyncio.Event) -> None:
    end = asyncio.get_running_loop().time() + WAIT
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        holder, _, since = os.pread(lock, 100, 0).decode("ascii", "replace").strip().partition(" ")
        if _runs(holder):
            raise StateFolderError(
                f"another tocsin up (process {holder}, since {since}) uses the state folder {folder}: "
                "stop it, or choose another folder with TOCSIN_STATE_DIR"
            )
        if stop.is_set() or asyncio.get_running_loop().time() > end:
            raise StateFolderError(
                f"processes of an earlier tocsin up (process {holder or 'unknown'}) still use the state folder "
                f"{folder}: end them, or choose another folder with TOCSIN_STATE_DIR"
            )
        await asyncio.sleep(_POLL_INTERVAL)


def _runs(pid: str) -> bool:
    """Whether a process of this machine has this id, or may have it."""
    if not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _unusable(folder: Path, error: OSError) -> str:
    return (
        f"the state folder {folder} cannot be used: {error.strerror or error}; "
        "choose a folder that you may write to with TOCSIN_STATE_DIR"
    )
