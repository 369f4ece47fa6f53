"""A short run of ``make chaos``: no alert is lost, paged twice, late or paged after an acknowledgement."""

from pathlib import Path

import pytest

from tests.chaos.__main__ import report, run, violations_in
from tests.chaos.faults import FAULTS

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-chaos"), pytest.mark.timeout(1200)]
CHOSEN = [
    "worker killed while a page is in flight",
    "Temporal server killed while a page is in flight",
    "gateway killed right after its 202",
    "everything killed and restarted",
    "Temporal server paused",
    "Temporal server paused, gateway killed",
    "pager accepts, and resets the connection",
    "disk full for the spool, Temporal paused",
    "disk full for the audit log",
    "audit log locked, worker killed",
    "clocks jump four minutes ahead, then back",
]
"""The other faults are milder forms of these; the long run has all of them."""


def test_guarantees_hold_under_every_fault(tmp_path: Path) -> None:
    # Fewer incidents a second than in the long run, since other tests run at the same time.
    only = [name for name in CHOSEN if name in FAULTS]
    chaos = run(tmp_path, 0, 0.7, seed=5, only=only, log=print)
    print(report(chaos))
    assert not violations_in(chaos), "\n".join(violations_in(chaos))
    assert len(chaos.incidents) > 60, "the run had something to check"
    assert chaos.verdict.pages > 60
    assert any(one.states["spooled"] for one in chaos.incidents)
    assert sum(one.kills for one in chaos.injected) > 5
