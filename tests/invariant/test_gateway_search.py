"""The same streams at a real Temporal server, a real worker and stand-in vendors: tens of them at the same time."""

import os
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings

from tests.invariant.gateway_world import open_site
from tests.invariant.stream import SUPPRESSED, Stream, streams

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "search"
BATCHES, BATCH_SIZE = (8, 24) if DEEP else (1, 24)
pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-invariant"), pytest.mark.timeout(3_600)]


def generated(count: int) -> list[Stream]:
    """Streams of the strategy, the same in every run unless the profile searches."""
    found: list[Stream] = []

    @given(streams(sizes=("small", "small", "labels"), max_steps=9))
    @settings(max_examples=count, phases=[Phase.generate], database=None, suppress_health_check=SUPPRESSED)
    def collect(stream: Stream) -> None:
        found.append(stream)

    collect()
    return found


async def test_streams_at_real_processes_keep_invariant(tmp_path: Path) -> None:
    every = generated(BATCHES * BATCH_SIZE)
    async with open_site(tmp_path) as site:
        for start in range(0, len(every), BATCH_SIZE):
            violations = await site.faults(every[start : start + BATCH_SIZE])
            assert violations == [], "\n".join(f"{faults}: {stream!r}" for stream, faults in violations)
