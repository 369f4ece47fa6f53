"""Whether Arize's APIs answer: every request of a process is counted here, and a dead API is left alone for a while."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from integrations.base.errors import IntegrationError, TemporaryError, VendorTimeoutError

Api = Literal["rest", "graphql"]
Outcome = Literal["ok", "slow", "timeout", "unavailable", "rate_limited", "refused", "invalid", "skipped"]

MAX_CONCURRENCY = 64
"""Requests in flight at once, of one process."""
SLOW = 2.0  # seconds, from which a response counts as slow
CANCELLED_AS_TIMEOUT = 0.5  # seconds, from which a request that nobody waits for any more counts as timed out
FIRST_PAUSE, MAX_PAUSE = 1.0, 30.0  # seconds without requests after a failure; doubled with each failure
RATE_LIMIT_PAUSE = 5.0  # seconds, if Arize limits the rate and sends no Retry-After
REFUSED_PAUSE = 10.0  # seconds after Arize refused the key
REPORT_LIFETIME = 900.0  # seconds for which monitors that could not be read are reported: another worker may read them
_NAMES: Mapping[Api, str] = {"rest": "Arize's REST API", "graphql": "Arize's GraphQL"}
_PERMISSION_WORDS = ("permission", "unauthor", "unauthent", "forbidden", "denied", "access")


@dataclass
class Attempt:
    """One request. ``status`` is set as soon as there is a response."""

    status: int = 0
    of_one: bool = False
    """It asks for one object: that the key has no right to it says nothing about others."""


@dataclass
class _ApiState:
    problem: str = ""
    failures: int = 0
    rate_limited: bool = False
    paused_until: float = 0.0
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CONCURRENCY))


def _ignore(api: str, outcome: str) -> None:
    del api, outcome


class ArizeHealth:
    """Shared by the clients of a process.

    After a failure no request is sent for a second, and for longer after each further one, so that a storm of unknown
    monitors does not hammer an API that is down. A rate limit is obeyed for as long as its Retry-After says.
    """

    def __init__(
        self, count: Callable[[str, str], None] = _ignore, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            count: called with the API and the outcome of each request.
            clock: in seconds.
        """
        self._count, self._clock = count, clock
        self._apis: Mapping[Api, _ApiState] = {"rest": _ApiState(), "graphql": _ApiState()}
        self._unread, self._unread_until = "", 0.0

    @property
    def problems(self) -> dict[str, str]:
        """By the API: a sentence about the last request, if it failed or was slow; and by ``monitors``, see there."""
        found: dict[str, str] = {api: state.problem for api, state in self._apis.items() if state.problem}
        unread = self._unread if self._clock() < self._unread_until else ""
        return {**found, **({"monitors": unread} if unread else {})}

    def report_monitors(self, unread: Mapping[str, str]) -> None:
        """These are the monitors that could not be compared with their incidents, by id, and why."""
        first = next(iter(unread.items()), None)
        more = f", and {len(unread) - 1} more" if len(unread) > 1 else ""
        self._unread = f"monitor {first[0]}{more} cannot be compared with the incidents: {first[1]}" if first else ""
        self._unread_until = self._clock() + REPORT_LIFETIME

    @property
    def must_wait(self) -> bool:
        """Whether work that is not urgent must wait: Arize limits the rate, or its REST API is paused."""
        now, rest = self._clock(), self._apis["rest"]
        limited = any(state.rate_limited and now < state.paused_until for state in self._apis.values())
        return limited or now < rest.paused_until

    @property
    def wait(self) -> float:
        """Seconds until both APIs may be asked again; 0 if none is paused."""
        return max(0.0, *(state.paused_until - self._clock() for state in self._apis.values()))

    @asynccontextmanager
    async def request(self, api: Api) -> AsyncGenerator[Attempt]:
        """Count the request inside.

        Raises:
            TemporaryError: the API is paused after a failure. Its ``retry_after`` says for how long.
        """
        state = self._apis[api]
        self._refuse_if_paused(api, state)
        async with state.gate:
            self._refuse_if_paused(api, state)
            attempt, start = Attempt(), self._clock()
            try:
                yield attempt
            except IntegrationError as error:
                self._failed(api, error, attempt)
                raise
            except asyncio.CancelledError:
                waited = self._clock() - start
                if waited >= CANCELLED_AS_TIMEOUT:
                    error = VendorTimeoutError(f"{_NAMES[api]} did not answer within {waited:.1f} s")
                    self._failed(api, error, attempt)
                raise
            self._succeeded(api, self._clock() - start)

    def _refuse_if_paused(self, api: Api, state: _ApiState) -> None:
        left = state.paused_until - self._clock()
        if left > 0:
            self._count(api, "skipped")
            raise TemporaryError(f"{state.problem}; the next request is sent in {left:.0f} s", left)

    def _succeeded(self, api: Api, seconds: float) -> None:
        state, slow = self._apis[api], seconds >= SLOW
        self._count(api, "slow" if slow else "ok")
        if state.rate_limited and self._clock() < state.paused_until:
            return  # it was sent before Arize limited the rate
        state.problem = f"{_NAMES[api]} is slow: the last response took {seconds:.1f} s" if slow else ""
        state.failures, state.paused_until, state.rate_limited = 0, 0.0, False

    def _failed(self, api: Api, error: IntegrationError, attempt: Attempt) -> None:
        state, outcome = self._apis[api], _outcome(error, attempt)
        self._count(api, outcome)
        if outcome == "invalid":
            return
        state.problem = error.message
        now = self._clock()
        if now < state.paused_until and outcome != "rate_limited":
            return  # it was sent before the failure that paused the API
        state.failures += 1
        state.rate_limited = outcome == "rate_limited"
        pause = min(FIRST_PAUSE * 2.0 ** (state.failures - 1), MAX_PAUSE)
        if outcome == "rate_limited":
            pause = error.retry_after if error.retry_after is not None else RATE_LIMIT_PAUSE
        elif outcome == "refused":
            # GraphQL may refuse one query, and REST one object, and answer others.
            of_one = attempt.status == 200 or (attempt.status == 403 and attempt.of_one)
            pause = 0.0 if of_one else REFUSED_PAUSE
        state.paused_until = max(state.paused_until, now + pause)


def _outcome(error: IntegrationError, attempt: Attempt) -> Outcome:
    if attempt.status == 429:
        return "rate_limited"
    if attempt.status in {401, 403}:
        return "refused"
    if not error.permanent:
        return "timeout" if isinstance(error, VendorTimeoutError) else "unavailable"
    refused = attempt.status == 200 and any(word in error.message.casefold() for word in _PERMISSION_WORDS)
    return "refused" if refused else "invalid"
