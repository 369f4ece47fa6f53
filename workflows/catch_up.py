"""The round that asks Arize for what never arrived: begun by a Temporal Schedule, one at a time."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts import CATCH_UP_WORKFLOW, CatchUpDue, Mended, Mending, Survey
    from workflows import calls


@workflow.defn(name=CATCH_UP_WORKFLOW)
class CatchUp:
    @workflow.run
    async def run(self, due: CatchUpDue) -> Mended:
        """What was found is looked at once more after the grace, before anybody is told."""
        before: Mended | None = workflow.get_last_completion_result(Mended)
        handled = before.handled if before else {}
        surveyed = await calls.survey_monitors(Survey(handled=handled))
        if not surveyed.found:
            workflow.set_current_details(f"Arize and Tocsin agree: {len(surveyed.handled)} monitors are triggered.")
            return Mended(handled=surveyed.handled)
        workflow.set_current_details(f"{len(surveyed.found)} monitors to look at once more.")
        await workflow.sleep(timedelta(seconds=due.grace), summary="What was just found may be on its way")
        mended = await calls.mend(Mending(found=surveyed.found, handled=handled))
        workflow.set_current_details(f"{mended.opened} opened, {mended.cleared} told that they are well again.")
        return mended.model_copy(update={"handled": {**surveyed.handled, **mended.handled}})
