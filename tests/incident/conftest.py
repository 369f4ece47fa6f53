"""Every test of an incident runs twice: as incidents are by now, and as those of earlier versions still behave."""

from collections.abc import Generator

import pytest

from tests.incident.timeline_player import TimelinePlayer


@pytest.fixture(params=[True, False], ids=["problems", "single"], autouse=True)
def tracks_problems(request: pytest.FixtureRequest) -> Generator[bool]:
    """Whether incidents follow their problems."""
    TimelinePlayer.tracks_problems = request.param
    yield request.param
    TimelinePlayer.tracks_problems = True
