"""Finds missed webhooks by polling Arize: started by a Temporal Schedule, one execution at a time."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.contracts import Repair, RepairRequest, ScanRequest
    from incident.text import counted
    from workflows import activity_calls
    from workflows.contracts import RECONCILE_WORKFLOW, ReconcileInput


@workflow.defn(name=RECONCILE_WORKFLOW)
class Reconcile:
    @workflow.run
    async def run(self, start: ReconcileInput) -> Repair:
        """Scans, waits for the grace period, and repairs the discrepancies that still exist."""
        previous: Repair | None = workflow.get_last_completion_result(Repair)
        matched = previous.matched if previous else {}
        scan = await activity_calls.scan_monitors(ScanRequest(matched=matched))
        if not scan.found:
            workflow.set_current_details(f"No discrepancy; {counted(len(scan.matched), 'monitor')} triggered.")
            return Repair(matched=scan.matched)
        workflow.set_current_details(
            f"{counted(len(scan.found), 'discrepancy', 'discrepancies')}, checked again after the grace period."
        )
        await workflow.sleep(timedelta(seconds=start.grace), summary="A webhook for what was found may be on its way")
        repair = await activity_calls.repair(RepairRequest(found=scan.found, matched=matched))
        workflow.set_current_details(f"{counted(repair.opened, 'incident')} opened, {repair.cleared} cleared.")
        return repair.model_copy(update={"matched": {**scan.matched, **repair.matched}})
