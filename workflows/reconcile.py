"""Polls Arize for missed webhooks and for descriptions: started by a Temporal Schedule, one execution at a time."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.contracts import Repair, RepairRequest, ScanRequest
    from alerts.bounded import cut_map
    from incident.limits import MESSAGE_BYTES
    from incident.text import counted
    from workflows import activity_calls, background_calls
    from workflows.contracts import RECONCILE_WORKFLOW, ReconcileInput


@workflow.defn(name=RECONCILE_WORKFLOW)
class Reconcile:
    @workflow.run
    async def run(self, start: ReconcileInput) -> Repair:
        """Scans, waits for the grace period, and repairs the discrepancies that still exist."""
        if start.ended:
            report = await background_calls.report_ended_incidents()
            workflow.set_current_details(f"{counted(report.reported, 'incident')} ended outside Tocsin.")
        repair = await self._reconcile(start) if start.arize else Repair()
        if start.describe:
            try:
                await background_calls.refresh_descriptions()
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                # The next run repeats it; the descriptions that there are stay in use.
                reason, _ = activity_calls.failure_reason(error)
                workflow.set_current_details(f"The descriptions of monitors could not be refreshed: {reason}")
        return repair

    async def _reconcile(self, start: ReconcileInput) -> Repair:
        previous: Repair | None = workflow.get_last_completion_result(Repair)
        previous = previous or Repair()
        scan = await background_calls.scan_monitors(ScanRequest(matched=previous.matched, was_clear=previous.was_clear))
        unread = f" {counted(scan.failed, 'monitor')} could not be compared: the log says why." if scan.failed else ""
        if not scan.found:
            workflow.set_current_details(f"No discrepancy; {counted(len(scan.matched), 'monitor')} triggered.{unread}")
            return Repair(matched=scan.matched, was_clear=scan.was_clear, failed=scan.failed)
        workflow.set_current_details(
            f"{counted(len(scan.found), 'discrepancy', 'discrepancies')}, checked again after the grace period."
            + unread
        )
        await workflow.sleep(timedelta(seconds=start.grace), summary="A webhook for what was found may be on its way")
        repair = await background_calls.repair(
            RepairRequest(found=scan.found, matched=previous.matched, was_clear=scan.was_clear)
        )
        failed = f" {repair.failed} could not be repaired: the log says why." if repair.failed else ""
        done = f"{counted(repair.opened, 'incident')} opened, {repair.cleared} cleared."
        workflow.set_current_details(f"{done}{failed}{unread}")
        matched = cut_map({**repair.matched, **scan.matched}, 2 * MESSAGE_BYTES)
        return repair.model_copy(
            update={"matched": matched, "was_clear": scan.was_clear, "failed": repair.failed + scan.failed}
        )
