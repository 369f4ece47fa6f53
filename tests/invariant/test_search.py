"""The search: random streams, played without a Temporal server, keep the invariant."""

import os
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings

from tests.invariant.stream import SUPPRESSED, Stream, large_streams, streams
from tests.invariant.world import search

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "search"
EXAMPLES = 3_000 if DEEP else 150
LARGE_EXAMPLES = 500 if DEEP else 20
_SETTINGS = settings(suppress_health_check=SUPPRESSED, deadline=None)

pytestmark = pytest.mark.timeout(7_200 if DEEP else 600)
Play = Callable[[Stream], list[str]]


@pytest.fixture(scope="module")
def faults() -> Iterator[Play]:
    """Plays a stream, and returns its violations."""
    with search() as play:
        yield play


@given(stream=streams())
@settings(_SETTINGS, max_examples=EXAMPLES)
def test_every_stream_keeps_invariant(faults: Play, stream: Stream) -> None:
    assert faults(stream) == [], stream


@given(stream=large_streams())
@settings(_SETTINGS, max_examples=LARGE_EXAMPLES)
def test_large_streams_keep_invariant(faults: Play, stream: Stream) -> None:
    assert faults(stream) == [], stream
