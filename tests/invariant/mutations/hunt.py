"""Searches this checkout until a stream shows a violation: ``python -m tests.invariant.mutations.hunt``."""

import argparse
import sys
import time

from hypothesis import Phase, given, seed, settings

from cli.process_end import end_process
from tests.invariant.stream import SUPPRESSED, Stream, large_streams, streams
from tests.invariant.world import search


class FoundError(Exception):
    """A stream that shows violations, ``faults``."""

    def __init__(self, stream: Stream, faults: list[str]) -> None:
        super().__init__(repr(stream))
        self.stream, self.faults = stream, faults


def hunt(examples: int, seed_number: int, *, large: bool, shrink: bool) -> tuple[int, FoundError | None]:
    """How many streams were played, and the one that shows violations, if any does."""
    played = 0
    phases = [Phase.generate, Phase.shrink] if shrink else [Phase.generate]
    with search() as faults:

        @seed(seed_number)
        @settings(max_examples=examples, deadline=None, database=None, phases=phases, suppress_health_check=SUPPRESSED)
        @given(large_streams() if large else streams())
        def play(stream: Stream) -> None:
            nonlocal played
            played += 1
            if found := faults(stream):
                raise FoundError(stream, found)

        try:
            play()
        except FoundError as error:
            return played, error
    return played, None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--large", action="store_true", help="Streams of large deliveries.")
    parser.add_argument("--shrink", action="store_true", help="Look for a small stream that shows the same.")
    options = parser.parse_args()
    began = time.perf_counter()
    played, found = hunt(options.examples, options.seed, large=options.large, shrink=options.shrink)
    took = time.perf_counter() - began
    if found is None:
        print(f"{played} streams in {took:.0f} s show nothing")
        return 0
    print(f"found by stream {played} after {took:.0f} s: {found.faults[0]}")
    print(repr(found.stream))
    return 1


if __name__ == "__main__":
    code = main()
    end_process(SystemExit(code))
    sys.exit(code)
