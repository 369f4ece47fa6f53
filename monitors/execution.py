"""How far a saved plan has been carried out in a tenant, and whether it still fits.

A plan may be applied again after an interruption: nobody knows whether a mutation without an answer was carried out, so
that each change is compared with the tenant first. What is neither as it was when the plan was made, nor as the plan
makes it, was changed by somebody else.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from monitors.plan import Change, Plan, observed_digest
from monitors.state import MonitorState
from monitors.tenant import Observed, Tenant


@dataclass(frozen=True)
class Progress:
    """What a change finds in the tenant: the monitor with its new state, and the one that it changes or deletes."""

    created: Observed | None = None
    current: Observed | None = None


def progress(change: Change, plan: Plan, tenant: Tenant) -> Progress:
    """What of a change exists already."""
    current = tenant.by_id.get(change.monitor_id)
    same_key = tenant.managed(plan.namespace).get(change.key, [])
    created = next((one for one in same_key if one.id != change.monitor_id), None)
    return Progress(created if change.action in {"create", "replace"} else None, current)


def stale(plan: Plan, tenant: Tenant) -> list[str]:
    """Why a plan no longer fits the tenant; empty if it does, also after a part of it was carried out."""
    reasons = [f"{change.key}: {reason}" for change in plan.changes for reason in _stale_change(change, plan, tenant)]
    planned = {change.monitor_id for change in plan.changes}
    created = {(change.key, change.action) for change in plan.changes}
    for key, found in sorted(tenant.managed(plan.namespace).items()):
        for one in found:
            if one.id in planned or (key, "create") in created or (key, "replace") in created:
                continue
            if one.id not in plan.base:
                reasons.append(f"{key}: {one.id} has Tocsin's mark, and had not when the plan was made")
            elif plan.base[one.id] != observed_digest(one):
                reasons.append(f"{key}: {one.id} was changed after the plan was made")
    gone = [one for one in plan.base if one not in tenant.by_id and one not in planned]
    return reasons + [f"{one} was deleted after the plan was made" for one in gone]


def _stale_change(change: Change, plan: Plan, tenant: Tenant) -> Iterator[str]:
    same_key = [one for one in tenant.managed(plan.namespace).get(change.key, []) if one.id != change.monitor_id]
    found = progress(change, plan, tenant)
    if change.action in {"create", "replace"}:
        if len(same_key) > 1:
            yield f"several monitors have its mark ({', '.join(one.id for one in same_key)})"
        elif found.created and not is_between(found.created, None, change.after, change):
            yield f"{found.created.id} has its mark, and is not what the plan creates"
    if change.action == "create":
        return
    if found.current is None:
        if change.action == "update" or (change.action == "replace" and found.created is None):
            yield f"{change.monitor_id} was deleted after the plan was made"
        return
    mark = found.current.mark
    if mark and (mark.namespace, mark.key) != (plan.namespace, change.key):
        yield f"{change.monitor_id} is managed by {mark} now"
    elif mark is None and change.action == "delete":
        yield f"{change.monitor_id} has lost Tocsin's mark since the plan was made"
    elif not is_between(found.current, change.before, change.after if change.action == "update" else None, change):
        yield f"{change.monitor_id} was changed after the plan was made"


def is_between(one: Observed, before: MonitorState | None, after: MonitorState | None, change: Change) -> bool:
    """Whether a monitor is as before a change, as after it, or at a point between: its tags follow its fields."""
    if one.state != before and one.state != after:
        return False
    if change.tags_after is None or before is None:
        return True  # tags are not managed, or those of a new monitor follow
    old, new, now = ({name.casefold() for name in names} for names in (change.tags_before, change.tags_after, one.tags))
    if after is None:
        return now == old
    return old & new <= now <= old | new
