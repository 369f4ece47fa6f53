"""Waiting for what real processes do in their own time."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(wanted: Callable[[], T], seconds: float = 30.0, every: float = 0.05, told: Callable[[], str] = str) -> T:
    """What ``wanted`` gives, as soon as it is true; ``told`` says where things stand when it never is."""
    end = time.monotonic() + seconds
    while True:
        found = wanted()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not so within {seconds} s {told()}")
        time.sleep(every)
