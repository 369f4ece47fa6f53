"""An API of Arize that fails is left alone for a while, and a rate limit is obeyed."""

import asyncio
from collections import Counter

import pytest

from integrations.arize.health import (
    MAX_PAUSE,
    RATE_LIMIT_PAUSE,
    REFUSED_PAUSE,
    REPORT_LIFETIME,
    SLOW,
    Api,
    ArizeHealth,
)
from integrations.base.errors import IntegrationError, PermanentError, TemporaryError, VendorTimeoutError


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Setup:
    def __init__(self) -> None:
        self.clock, self.outcomes = _Clock(), Counter[tuple[str, str]]()
        self.health = ArizeHealth(self._count, self.clock)

    def _count(self, api: str, outcome: str) -> None:
        self.outcomes[api, outcome] += 1

    async def request(
        self,
        error: IntegrationError | None = None,
        status: int = 200,
        seconds: float = 0.1,
        api: Api = "rest",
        *,
        of_one: bool = False,
    ) -> None:
        async with self.health.request(api) as attempt:
            self.clock.now += seconds
            attempt.status, attempt.of_one = status, of_one
            if error is not None:
                raise error

    async def fail(self, error: IntegrationError, status: int = 503, api: Api = "rest") -> None:
        with pytest.raises(IntegrationError):
            await self.request(error, status, api=api)

    async def pause(self, api: Api = "rest") -> float:
        """For how many seconds no request is sent."""
        with pytest.raises(TemporaryError) as raised:
            await self.request(api=api)
        assert raised.value.retry_after is not None
        return raised.value.retry_after


DOWN = TemporaryError("Arize answered 503")


async def test_pause_doubles_with_each_failure() -> None:
    setup, pauses = _Setup(), list[float]()
    for _ in range(7):
        await setup.fail(DOWN)
        pauses.append(round(await setup.pause()))
        setup.clock.now += pauses[-1]
    assert pauses == [1, 2, 4, 8, 16, MAX_PAUSE, MAX_PAUSE]
    await setup.request()
    assert setup.health.problems == {}
    await setup.fail(DOWN)
    assert round(await setup.pause()) == 1
    assert setup.outcomes == {("rest", "unavailable"): 8, ("rest", "skipped"): 8, ("rest", "ok"): 1}


async def test_failures_in_flight_count_once() -> None:
    """A storm of requests that fail together is one failure."""
    setup = _Setup()

    async def fail() -> None:
        async with setup.health.request("rest"):
            await asyncio.sleep(0)
            raise DOWN

    results = await asyncio.gather(*(fail() for _ in range(20)), return_exceptions=True)
    assert len(results) == 20
    assert round(await setup.pause()) == 1


async def test_retry_after_is_obeyed() -> None:
    setup = _Setup()
    await setup.fail(TemporaryError("Arize answered 429", 120.0), 429)
    assert round(await setup.pause()) == 120
    assert setup.health.must_wait
    setup.clock.now += 121
    assert not setup.health.must_wait
    await setup.fail(TemporaryError("Arize answered 429"), 429)
    assert round(await setup.pause()) == RATE_LIMIT_PAUSE


async def test_response_in_flight_ends_no_rate_limit() -> None:
    setup = _Setup()
    async with setup.health.request("rest"):
        await setup.fail(TemporaryError("Arize answered 429", 60.0), 429)
    assert round(await setup.pause()) == 60


async def test_refused_key_pauses_one_api() -> None:
    setup = _Setup()
    await setup.fail(PermanentError("Arize answered 401"), 401)
    assert round(await setup.pause()) == REFUSED_PAUSE
    await setup.request(api="graphql")
    assert list(setup.health.problems) == ["rest"]


async def test_refused_object_pauses_nothing() -> None:
    """The key has no right to one monitor, and reads the others; a list that is refused is the key's."""
    setup = _Setup()
    with pytest.raises(PermanentError):
        await setup.request(PermanentError("Arize answered 403"), 403, of_one=True)
    await setup.request()
    assert setup.health.problems == {}
    await setup.fail(PermanentError("Arize answered 403"), 403)
    assert round(await setup.pause()) == REFUSED_PAUSE


async def test_monitors_that_cannot_be_read_are_reported_for_a_while() -> None:
    setup = _Setup()
    setup.health.report_monitors({"m-1": "Arize answered 403", "m-2": "Arize answered 403"})
    await setup.request()
    text = "monitor m-1, and 1 more cannot be compared with the incidents: Arize answered 403"
    assert setup.health.problems == {"monitors": text}
    setup.clock.now += REPORT_LIFETIME
    assert setup.health.problems == {}
    setup.health.report_monitors({"m-1": "Arize answered 403"})
    setup.health.report_monitors({})
    assert setup.health.problems == {}


async def test_refused_query_pauses_nothing() -> None:
    """GraphQL may refuse one query for lack of a right, and answer others."""
    setup = _Setup()
    await setup.fail(PermanentError("Arize's GraphQL refused: permission denied"), 200, "graphql")
    assert "permission" in setup.health.problems["graphql"]
    await setup.request(api="graphql")
    assert setup.health.problems == {}


async def test_invalid_request_is_no_problem() -> None:
    setup = _Setup()
    await setup.fail(PermanentError("Arize answered 400"), 400)
    assert setup.health.problems == {}
    await setup.request()
    assert setup.outcomes == {("rest", "invalid"): 1, ("rest", "ok"): 1}


async def test_slow_response_is_problem_without_pause() -> None:
    setup = _Setup()
    await setup.request(seconds=SLOW)
    assert "slow" in setup.health.problems["rest"]
    await setup.request()
    assert setup.health.problems == {}


async def test_abandoned_request_counts_as_timeout() -> None:
    setup = _Setup()

    async def wait() -> None:
        async with setup.health.request("rest"):
            setup.clock.now += 3
            await asyncio.sleep(3600)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert setup.outcomes == {("rest", "timeout"): 1}
    assert "did not answer within 3.0 s" in setup.health.problems["rest"]


async def test_timeout_is_counted_as_such() -> None:
    setup = _Setup()
    await setup.fail(VendorTimeoutError("Arize could not be reached: ReadTimeout"), 0)
    assert setup.outcomes == {("rest", "timeout"): 1}
