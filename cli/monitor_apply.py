"""Carries out a saved plan, one change after the other; safe to repeat after any interruption.

Before each change, the monitor is read again: it must be as it was when the plan was made, or as the plan makes it.
After each change it is read once more: Arize must have done what it was asked.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from cli.arize_tenant import Arize, read_tenant
from monitors.describe import describe, differences
from monitors.execution import Progress, is_between, progress, stale
from monitors.ownership import write_notes
from monitors.plan import Change, ManualStep, Plan, PlanError, manual_steps, same_names
from monitors.state import changed_rest_fields, write_rest
from monitors.tenant import Observed, Tenant, observe

MUTATION_MARK = "tocsin-apply:"
"""Begins the ``clientMutationId`` of every mutation, so that the audit log shows which are Tocsin's."""
_READS = 5
"""How often a changed monitor is read until it shows the change."""
_READ_INTERVAL = 0.5  # seconds


@dataclass
class Outcome:
    """How far an apply came."""

    done: int = 0
    manual: list[ManualStep] = field(default_factory=list[ManualStep])


async def apply_plan(plan: Plan, arize: Arize, report: Callable[[str], None], outcome: Outcome) -> None:
    """Carry out every change that is not done yet.

    Args:
        plan: The plan.
        arize: The tenant that it was made for.
        report: Receives a line for each change.
        outcome: Counts the changes, also of an apply that fails.

    Raises:
        PlanError: The plan no longer fits the tenant, or Arize did not do what it was asked.
        IntegrationError: A request failed. It may have been carried out; applying again finds out.
    """
    changed = {one.monitor_id for one in plan.changes} | set(plan.base)
    tenant = await read_tenant(arize.store, namespace=plan.namespace, tags_of=changed)
    if reasons := stale(plan, tenant):
        raise PlanError("the plan is stale, and nothing was changed; plan again:\n  " + "\n  ".join(reasons))
    applier = _Applier(plan, arize, tenant)
    for change in plan.changes:
        report(await applier.apply(change))
        outcome.done += 1
        outcome.manual += applier.manual
        applier.manual.clear()


class _Applier:
    def __init__(self, plan: Plan, arize: Arize, tenant: Tenant) -> None:
        self.manual: list[ManualStep] = []
        self._plan, self._arize, self._tenant = plan, arize, tenant
        self._not_attached: set[str] = set()
        """Tags that only a person can attach."""

    async def apply(self, change: Change) -> str:
        """Carry out one change, and return what was done."""
        found = progress(change, self._plan, self._tenant)
        match change.action:
            case "create":
                done = await self._create(change, found)
                return f"{change.key}: {'created already' if found.created else 'created'} ({done.id})"
            case "update":
                sent = await self._update(change, found)
                return f"{change.key}: {'changed' if sent else 'changed already'} ({change.monitor_id})"
            case "replace":
                done = await self._create(change, found)
                if found.current:
                    await self._delete(change)
                return f"{change.key}: replaced {change.monitor_id} by {done.id}"
            case "delete":
                if found.current is None:
                    return f"{change.key}: deleted already ({change.monitor_id})"
                await self._delete(change)
                return f"{change.key}: deleted ({change.monitor_id})"

    async def _create(self, change: Change, found: Progress) -> Observed:
        """Create the monitor unless one has its mark already, and attach its tags."""
        assert change.after is not None
        if found.created:
            monitor_id, tags = found.created.id, found.created.tags
        else:
            content = write_rest(change.after, write_notes(change.after, change.mark))
            monitor_id, tags = await self._arize.mutations.create(content, self._mutation_id(change)), ()
        await self._set_tags(change, monitor_id, tags)
        return await self._confirmed(change, monitor_id)

    async def _update(self, change: Change, found: Progress) -> bool:
        """Change what is not changed yet. False if there was nothing to do."""
        assert change.after is not None
        assert found.current is not None
        current = await self._checked(change)
        fields = changed_rest_fields(current.state, change.after)
        if fields or current.mark != change.mark:
            content = write_rest(change.after, write_notes(change.after, change.mark))
            await self._arize.mutations.patch(change.monitor_id, content, fields | {"notes"}, self._mutation_id(change))
        await self._set_tags(change, change.monitor_id, current.tags)
        await self._confirmed(change, change.monitor_id)
        return not _is_done(change, current)

    async def _delete(self, change: Change) -> None:
        await self._checked(change)
        await self._arize.mutations.delete(change.monitor_id, self._mutation_id(change))
        if await self._arize.store.monitor(change.monitor_id) is not None:
            raise PlanError(f"{change.key}: Arize accepted the deletion of {change.monitor_id}, and still has it")

    async def _set_tags(self, change: Change, monitor_id: str, current: tuple[str, ...]) -> None:
        if change.tags_after is None or same_names(change.tags_after, current):
            return
        have, want = ({name.casefold() for name in names} for names in (current, change.tags_after))
        missing = [name for name in change.tags_after if name.casefold() not in have]
        for name in await self._arize.store.add_tags(monitor_id, missing, change.space_id):
            text = (
                f"in Arize, attach the tag {name} to the monitor: it exists and is attached nowhere, so that Arize's "
                "API cannot find it"
            )
            self._not_attached.add(name.casefold())
            self.manual.append(ManualStep(key=change.key, text=text))
        await self._arize.store.remove_tags(monitor_id, [name for name in current if name.casefold() not in want])

    async def _checked(self, change: Change) -> Observed:
        """The monitor that is about to be changed or deleted, if it is still the one that the plan means."""
        content = await self._arize.store.monitor(change.monitor_id)
        if content is None:
            raise PlanError(f"{change.key}: {change.monitor_id} was deleted while the plan was applied")
        found = observe(content, (await self._arize.store.tags([change.monitor_id]))[change.monitor_id])
        is_own = found.mark is not None and (found.mark.namespace, found.mark.key) == (self._plan.namespace, change.key)
        taken_over = found.mark is None and change.action in {"update", "replace"}
        after = change.after if change.action == "update" else None
        if not (is_own or taken_over) or not is_between(found, change.before, after, change):
            raise PlanError(f"{change.key}: {change.monitor_id} was changed by somebody while the plan was applied")
        return found

    async def _confirmed(self, change: Change, monitor_id: str) -> Observed:
        """The monitor after a change. Raises PlanError if it is not what was asked for."""
        assert change.after is not None
        found: Observed | None = None
        for attempt in range(_READS):
            if attempt:
                await asyncio.sleep(_READ_INTERVAL)
            content = await self._arize.store.monitor(monitor_id)
            found = observe(content, (await self._arize.store.tags([monitor_id]))[monitor_id]) if content else None
            if found and _is_done(change, found, self._not_attached):
                self.manual += manual_steps(change.key, change.after, change.webhooks, found)
                return found
        if found is None:
            raise PlanError(f"{change.key}: Arize accepted the change, and does not have the monitor {monitor_id}")
        tags = change.tags_after
        now = describe(found.state, None if tags is None else found.tags, self._tenant)
        wanted = describe(change.after, tags, self._tenant)
        differ = ", ".join(f"{one.key} is {one.before or 'not set'}" for one in differences(now, wanted))
        raise PlanError(f"{change.key}: Arize accepted the change, but of {monitor_id} {differ or 'the notes differ'}")

    def _mutation_id(self, change: Change) -> str:
        return f"{MUTATION_MARK}{change.key}:{self._plan.checksum[:12]}"


def _is_done(change: Change, found: Observed, not_attached: Collection[str] = ()) -> bool:
    wanted = [name for name in change.tags_after or () if name.casefold() not in not_attached]
    same_tags = change.tags_after is None or same_names(wanted, found.tags)
    return found.state == change.after and found.mark == change.mark and same_tags
