"""How long what is overdue waits for actions that are still in a gateway's spool."""

from datetime import UTC, datetime, timedelta

import pytest

from workflows.outage_grace import MAX_GRACES, SPOOL_DRAIN_GRACE, OutageGrace

DUE = datetime(2026, 11, 24, 3, 15, tzinfo=UTC)
GRACE = SPOOL_DRAIN_GRACE.total_seconds()


def waits(grace: OutageGrace, *late: float, repeats: bool = True, due: datetime | None = DUE) -> list[bool]:
    """Whether it must wait, asked that many seconds after it was due."""
    return [grace.waits(due, DUE + timedelta(seconds=one), repeats=repeats) for one in late]


def test_deadline_in_time_waits_for_nothing() -> None:
    grace = OutageGrace()
    assert waits(grace, -60, 0, 0.49) == [False, False, False]
    assert waits(grace, 100, due=None) == [False]
    assert grace.until is None


def test_overdue_deadline_waits_once() -> None:
    grace = OutageGrace()
    assert waits(grace, 40, 42, 40 + GRACE, 40.2 + GRACE) == [True, True, False, False]


@pytest.mark.parametrize(("repeats", "again"), [(True, True), (False, False)])
def test_outage_during_the_grace_has_its_own(repeats: bool, again: bool) -> None:
    """The action that stops it may have been spooled in the second one."""
    grace = OutageGrace()
    assert waits(grace, 40, 40 + GRACE + 9, repeats=repeats) == [True, again]
    assert waits(grace, 40 + GRACE + 9 + GRACE, repeats=repeats) == [False]


def test_machine_that_is_always_late_delays_no_page_for_ever() -> None:
    grace = OutageGrace()
    assert waits(grace, *(40 + turn * (GRACE + 1) for turn in range(MAX_GRACES + 2))) == [
        *[True] * MAX_GRACES,
        False,
        False,
    ]


def test_next_outage_has_its_graces_after_a_deadline_in_time() -> None:
    grace = OutageGrace()
    waits(grace, *(40 + turn * (GRACE + 1) for turn in range(MAX_GRACES + 2)))
    assert waits(grace, -1, 50) == [False, True]
