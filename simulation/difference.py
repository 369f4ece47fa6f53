"""The most severe difference between two decisions about one alert."""

from collections.abc import Iterable
from typing import Literal

from policy.decision import TIERS, Decision, Step, Tier

Kind = Literal["stops paging", "no longer regulated", "pages later", "starts paging", "quieter", "louder", "other"]


def paged_by(decision: Decision) -> frozenset[str]:
    """The destinations of the first step that pages any."""
    for step in decision.steps:
        if names := _paged(step, decision.tier):
            return names
    return frozenset()


def _paged(step: Step, tier: Tier) -> frozenset[str]:
    # In a critical tier, the console counts as a page.
    kinds = {"page", "console"} if tier == "critical" else {"page"}
    return frozenset(target.name for target in step.notify if target.kind in kinds)


def _paged_after(decision: Decision) -> float | None:
    first = next((step.after for step in decision.steps if _paged(step, decision.tier)), None)
    return None if first is None else first + (decision.hold or 0.0)


def _loses_pagers(old: Decision, new: Decision) -> bool:
    """Whether pagers were notified, at once or without an acknowledgement, and are not now: a console wakes nobody."""
    at_once = _pages_by_vendor(old.steps) and not _pages_by_vendor(new.steps)
    later, now = (one.on_ack_timeout.steps if one.on_ack_timeout else () for one in (old, new))
    return at_once or (_pages_by_vendor(later) and not _pages_by_vendor((*now, *new.steps)))


def _pages_by_vendor(steps: Iterable[Step]) -> bool:
    return any(target.kind == "page" for step in steps for target in step.notify)


def difference(old: Decision, new: Decision) -> Kind | None:
    """The most severe difference between two decisions; None if they have the same effect."""
    before, after = _paged_after(old), _paged_after(new)
    checks: tuple[tuple[Kind, bool], ...] = (
        ("stops paging", (before is not None and after is None) or _loses_pagers(old, new)),
        ("no longer regulated", old.regulated and not new.regulated),
        ("pages later", before is not None and after is not None and after > before),
        ("starts paging", before is None and after is not None),
        ("quieter", TIERS.index(new.tier) < TIERS.index(old.tier)),
        ("louder", TIERS.index(new.tier) > TIERS.index(old.tier)),
        ("other", _effect(old) != _effect(new)),
    )
    return next((kind for kind, applies in checks if applies), None)


def _effect(decision: Decision) -> Decision:
    """The decision without the fields that only explain it."""
    return decision.model_copy(update={"rule": "", "reason": "", "trace": (), "policy": "", "labels": {}})
