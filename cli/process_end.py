"""How the process ends, with an exit code that is the command's own.

The threads of Temporal's SDK are native and still run when the interpreter finalizes. One that then calls into Python,
as for the result of a request, aborts the process: "Fatal Python error: PyGILState_Release", signal 6. A container's
healthcheck saw that in one of twenty runs. So a process that has loaded the SDK ends without finalizing.
"""

import atexit
import os
import sys
from contextlib import suppress
from typing import NoReturn

_NATIVE = "temporalio.bridge.temporal_sdk_bridge"
_FAILED = 1
_INTERRUPTED = 130


def end_process(error: BaseException | None) -> None:
    """End the process at once if Temporal's SDK is loaded; otherwise return, and the interpreter ends as usual.

    Args:
        error: what the command ended with, which decides the exit code; None is success.
    """
    if _NATIVE in sys.modules:
        _end_at_once(_exit_code(error))


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        sys.stderr.write(f"{error.code}\n")
        return _FAILED
    if isinstance(error, KeyboardInterrupt):
        return _INTERRUPTED
    sys.excepthook(type(error), error, error.__traceback__)
    return _FAILED


def _end_at_once(code: int) -> NoReturn:
    """What finalization does and people can see: registered functions run, and the streams are written out."""
    with suppress(Exception):
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]  # the only way to run them without finalizing
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
