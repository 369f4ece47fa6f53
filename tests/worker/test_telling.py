"""What the watchdog says is worth reading at 3 a.m., whatever it is that is not well."""

from gateway.vitals import NAMES
from worker.telling import MEANING


def test_whatever_is_looked_at_has_a_meaning_and_a_first_step() -> None:
    assert set(MEANING) == {*NAMES, "gateway", "spool", "deliveries", "policy", "drill"}
    for title, meaning in MEANING.values():
        assert 10 < len(title) <= 40
        assert meaning.endswith(".")
