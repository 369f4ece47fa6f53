"""Child processes that are started, watched, started again when they die, and stopped in order."""

import asyncio
import contextlib
import ctypes
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2): the child gets a signal when this process dies, however it dies
GRACE = 20.0  # seconds between asking a child to stop and killing it


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One child. ``tell`` gets a line for each time it died by itself."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(repr=False)
    tell: Callable[[str], None] = field(repr=False)
    output: Path | None = None
    """Where what it prints goes; to this process's own output where it is left out."""
    process: asyncio.subprocess.Process | None = None
    _watcher: asyncio.Task[None] | None = None
    _stopping: bool = False

    async def start(self) -> None:
        await self._spawn()
        self._watcher = asyncio.create_task(self._watch())

    async def _spawn(self) -> None:
        # A session of its own: Ctrl-C reaches the parent alone, which then stops its children in order.
        output = self.output.open("ab") if self.output else None
        try:
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                env=dict(self.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        finally:
            if output:
                output.close()

    async def _watch(self) -> None:
        wait = 0.5
        while True:
            assert self.process is not None
            began = time.monotonic()
            code = await self.process.wait()
            if self._stopping:
                return
            wait = 0.5 if time.monotonic() - began > 30 else min(wait * 2, 10.0)
            cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            self.tell(f"{self.name} ended by itself ({cause}); starting it again in {wait:g} s")
            await asyncio.sleep(wait)
            if self._stopping:
                return
            await self._spawn()

    def signal(self, number: signal.Signals) -> None:
        """Pass a signal on, where it runs."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    async def stop(self) -> None:
        self._stopping = True
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), GRACE)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        if self._watcher is not None:
            self._watcher.cancel()
