"""A change that Arize reports: recorded, and told to whoever looks for what changed lately. It pages nobody."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.contracts import Change, ChangeDelivery, Entries, Entry
    from workflows import calls
    from workflows.messages import CHANGE_WORKFLOW


@workflow.defn(name=CHANGE_WORKFLOW)
class ChangeReport:
    @workflow.run
    async def run(self, change: Change) -> int:
        """Returns how many destinations were told."""
        workflow.set_current_details(f"`{change.kind}` at {change.at:%Y-%m-%d %H:%M:%S} UTC")
        names = await calls.hearers(change)
        told = await asyncio.gather(*(self._tell(name, change) for name in names))
        reached = [name for name, is_told in zip(names, told, strict=True) if is_told]
        info = workflow.info()
        entry = Entry(
            key="change",
            at=change.at,
            what="changed",
            by="arize",
            text=change.text,
            data={"kind": change.kind, "told": reached, "not_told": [name for name in names if name not in reached]},
        )
        await calls.append(Entries(incident=info.workflow_id, opening=info.run_id, entries=(entry,)))
        return len(reached)

    async def _tell(self, name: str, change: Change) -> bool:
        try:
            await calls.tell_change(ChangeDelivery(target=name, change=change))
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            return False  # the record says so; a change that is not listed somewhere is no reason to wake anybody
        return True
