"""A short run of ``make chaos``: whatever breaks, nothing is lost, doubled, late or disobeyed, and all is recorded."""

from pathlib import Path

import pytest

from tests.chaos.__main__ import faults, report, run
from tests.chaos.wrecks import BREAKS

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance-chaos"), pytest.mark.timeout(700)]
CHOSEN = [
    "worker killed while a page is on its way",
    "Temporal server killed while a page is on its way",
    "gateway killed right after its 202",
    "everything killed, and started again",
    "Temporal server paused",
    "Temporal server paused, and the gateway killed meanwhile",
    "worker paused, and killed then",
    "pager takes it, and hangs up without a word",
    "disk full for the spool, while Temporal is paused",
    "disk full for the audit log",
    "spool locked by somebody else, while Temporal is paused",
    "audit log locked by somebody else, and the worker killed meanwhile",
    "memory of deliveries locked by somebody else, and the gateway killed meanwhile",
    "clocks jump four minutes ahead, then back",
]
"""The others are kinder versions of these, and come in the long run."""


def test_a_promise_is_kept_whatever_breaks(tmp_path: Path) -> None:
    # Fewer fires than in the long run: other tests run beside it, and how much a machine bears is for ``make bench``.
    chaos = run(tmp_path / "field", 0, 0.7, seed=5, only=[what for what in CHOSEN if what in BREAKS], tell=print)
    print(report(chaos))
    assert not faults(chaos), "\n".join(faults(chaos))
    assert len(chaos.fires) > 60, "what is counted is there"
    assert chaos.verdict.pages > 60
    assert any(fire.states["spooled"] for fire in chaos.fires), "how many, the machine's pace decides"
    assert sum(one.kills for one in chaos.wrecks) > 5
