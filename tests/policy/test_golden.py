"""The errors as a person reads them, word for word. ``TOCSIN_WRITE_GOLDEN=1`` writes them anew, for a review."""

import os
from pathlib import Path

import pytest

from activities.destinations import destination_types
from policy import PolicyError, load_policy

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["broken", "contradictory"])
def test_what_is_wrong_is_told_so(name: str) -> None:
    with pytest.raises(PolicyError) as refused:
        load_policy(GOLDEN / f"{name}.yaml", destination_types(), {})
    told, expected = f"{refused.value}\n", GOLDEN / f"{name}.txt"
    if os.environ.get("TOCSIN_WRITE_GOLDEN"):
        expected.write_text(told, encoding="utf-8")
    assert told == expected.read_text(encoding="utf-8")
