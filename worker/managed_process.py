"""Child processes that are started, restarted when they die, and stopped in order."""

import asyncio
import contextlib
import ctypes
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2): the child gets a signal when this process dies, however it dies
STOP_TIMEOUT = 20.0  # seconds between SIGTERM and SIGKILL
STABLE_AFTER = 30.0  # seconds of running, after which the next restart waits as little as the first
RESTART_WAIT, MAX_RESTART_WAIT = 0.5, 10.0  # seconds


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass(kw_only=True)
class ManagedProcess:
    """One child process. ``on_exit`` gets a sentence each time it ends without having been stopped."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(repr=False)
    on_exit: Callable[[str], None] = field(repr=False)
    output: Path | None = None
    """The file for its output; None shares this process's own."""
    folder: Path | None = None
    """Its working directory; None shares this process's own."""
    inherited: Sequence[int] = ()
    """File descriptors that it gets."""
    code: int | None = field(default=None, init=False)
    """How it ended the last time without having been stopped: an exit code, or a signal as a negative number."""
    _process: asyncio.subprocess.Process | None = field(default=None, init=False, repr=False)
    _watcher: asyncio.Task[None] | None = field(default=None, init=False, repr=False)
    _stopping: bool = field(default=False, init=False, repr=False)

    async def start(self) -> None:
        process = await self._spawn()
        self._watcher = asyncio.create_task(self._watch(process))

    async def _spawn(self) -> asyncio.subprocess.Process:
        output = self.output.open("ab") if self.output else None
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                env=dict(self.environment),
                cwd=self.folder,
                pass_fds=self.inherited,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A session of its own: Ctrl-C reaches the parent alone, which then stops its children in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        finally:
            if output:
                output.close()
        return self._process

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        # Written out rather than a retry decorator: the wait starts over once the process has run for a while.
        wait = RESTART_WAIT
        while True:
            started_at = time.monotonic()
            self.code = code = await process.wait()
            if self._stopping:
                return
            ran_for = time.monotonic() - started_at
            wait = RESTART_WAIT if ran_for > STABLE_AFTER else min(wait * 2, MAX_RESTART_WAIT)
            cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            self.on_exit(f"{self.name} ended unexpectedly ({cause}); restarting it in {wait:g} s")
            await asyncio.sleep(wait)
            if self._stopping:
                return
            process = await self._spawn()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if the process is running."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self) -> None:
        """Ask the process to end, and kill it if it does not end in time."""
        self._stopping = True
        if self._process is not None and self._process.returncode is None:
            self.signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self._process.wait(), STOP_TIMEOUT)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
        if self._watcher is not None:
            self._watcher.cancel()
