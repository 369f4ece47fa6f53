"""What somebody changed by hand: the tenant compared with what was applied, and with the declarations.

A managed monitor's mark has the digest of the configuration that was applied last. If the monitor has another digest,
it was changed by hand, even if its declaration has changed since, too.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from monitors.describe import Difference, describe, differences
from monitors.load import Declarations
from monitors.plan import namesake_of
from monitors.resolve import Desired
from monitors.tenant import Observed, Tenant

DriftKind = Literal["changed", "missing", "mark_removed", "copied", "undeclared"]


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One monitor that is not as it was applied. ``monitor_id`` is empty for one that is missing."""

    kind: DriftKind
    key: str
    name: str
    monitor_id: str = ""
    url: str = ""
    differences: tuple[Difference, ...] = ()
    """From the declaration to the tenant."""
    declaration_changed: bool = False
    """The declaration is not what was applied last, so that some differences may not come from a change by hand."""
    other_ids: tuple[str, ...] = ()


def find_drift(declarations: Declarations, desired: Iterable[Desired], tenant: Tenant) -> list[Drift]:
    """All drift of the monitors of the declarations' namespace, by key."""
    managed = tenant.managed(declarations.namespace)
    found: list[Drift] = []
    wanted = {one.key: one for one in desired}
    bound = frozenset(one.takes_over for one in wanted.values())
    for key, one in wanted.items():
        observed = {current.id: current for current in managed.get(key, [])}
        if one.takes_over in tenant.by_id:
            observed[one.takes_over] = tenant.by_id[one.takes_over]
        found += _of_declared(one, list(observed.values()), tenant, bound)
    for key, monitors in managed.items():
        found += [_undeclared(one, key) for one in monitors if key not in wanted and _is_changed(one)]
    return sorted(found, key=lambda drift: drift.key)


def _of_declared(desired: Desired, observed: list[Observed], tenant: Tenant, bound: Collection[str]) -> list[Drift]:
    if not observed:
        namesake = namesake_of(desired, tenant, bound)
        if namesake:
            return [_drift("mark_removed", desired, namesake, tenant)]
        return [Drift(kind="missing", key=desired.key, name=desired.state.name)]
    if len(observed) > 1:
        first = observed[0]
        others = tuple(one.id for one in observed[1:])
        copied = replace(_drift("copied", desired, first, tenant), differences=(), other_ids=others)
        return [copied]
    (current,) = observed
    if current.mark is None or not _is_changed(current):
        return []  # taken over by id and not applied yet, or as it was applied
    drift = _drift("changed", desired, current, tenant)
    return [drift] if drift.differences else []


def _drift(kind: DriftKind, desired: Desired, current: Observed, tenant: Tenant) -> Drift:
    tags = desired.tags
    state = desired.state
    if state.baseline == "unmanaged":
        state = state.model_copy(update={"baseline": current.state.baseline})
    now = describe(current.state, None if tags is None else current.tags, tenant)
    return Drift(
        kind=kind,
        key=desired.key,
        name=current.state.name,
        monitor_id=current.id,
        url=current.url,
        differences=differences(describe(state, tags, tenant), now),
        declaration_changed=current.mark is not None and current.mark.digest != state.digest(tags),
    )


def _undeclared(current: Observed, key: str) -> Drift:
    return Drift(kind="undeclared", key=key, name=current.state.name, monitor_id=current.id, url=current.url)


def _is_changed(current: Observed) -> bool:
    """Whether a monitor differs from what its mark says was applied last, with or without its tags."""
    assert current.mark is not None
    return current.mark.digest not in {current.state.digest(current.tags), current.state.digest()}
