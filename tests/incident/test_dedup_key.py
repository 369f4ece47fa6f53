"""The key of an incident at every vendor: two incidents of one id never share it."""

from collections.abc import Callable
from uuid import UUID

import pytest

from incident.dedup_key import earlier_dedup_key, incident_dedup_key, is_run, parse_dedup_key

INCIDENT = "incident-support-chatbot-4b629acc8409"


def run_id(milliseconds: int, end: int) -> str:
    """A run id as Temporal makes it: RFC 9562, version 7."""
    return str(UUID(int=milliseconds << 80 | 0x7 << 76 | 0x8 << 60 | end))


def test_runs_of_one_minute_have_keys_of_their_own() -> None:
    first, second = run_id(1_795_000_000_000, 0x1234ABCD), run_id(1_795_000_030_000, 0x9F4C01B7)
    assert first[:8] == second[:8]
    assert incident_dedup_key(INCIDENT, first) == f"{INCIDENT}.1234abcd"
    assert incident_dedup_key(INCIDENT, second) == f"{INCIDENT}.9f4c01b7"


@pytest.mark.parametrize("make", [incident_dedup_key, earlier_dedup_key])
def test_key_names_its_run(make: Callable[[str, str], str]) -> None:
    run, other = run_id(1_795_000_000_000, 0x1234ABCD), run_id(1_899_000_000_000, 0x9F4C01B7)
    parsed = parse_dedup_key(make(INCIDENT, run))
    assert parsed is not None
    assert parsed[0] == INCIDENT
    assert is_run(run, parsed[1])
    assert not is_run(other, parsed[1])
