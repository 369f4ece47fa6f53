"""All errors of two invalid policies, word for word. ``TOCSIN_WRITE_GOLDEN=1`` rewrites the golden files."""

import os
from pathlib import Path

import pytest

from integrations.base.registry import destination_types
from policy import PolicyError, load_policy

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["broken", "contradictory"])
def test_errors_match_golden_file(name: str) -> None:
    with pytest.raises(PolicyError) as rejected:
        load_policy(GOLDEN / f"{name}.yaml", destination_types(), {})
    text, expected = f"{rejected.value}\n", GOLDEN / f"{name}.txt"
    if os.environ.get("TOCSIN_WRITE_GOLDEN"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
