"""Standard error as the output of logs."""

import contextlib
import sys


class LenientStderr:
    """Standard error without its errors: a full or closed file loses the log line, and not the alert it is about.

    It looks ``sys.stderr`` up at each write, so that a logger outlives a replaced one.
    """

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
