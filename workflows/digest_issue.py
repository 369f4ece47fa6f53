"""A digest's issue: begun by the destination's Temporal Schedule, ended when it is out."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.contracts import DIGEST_ISSUE_WORKFLOW, DigestDue, DigestOutcome, DigestSending
    from workflows import calls
    from workflows.story import plain

FIRST_WAIT = timedelta(hours=1)
LONGEST_WAIT = timedelta(hours=6)


@workflow.defn(name=DIGEST_ISSUE_WORKFLOW)
class DigestIssue:
    @workflow.run
    async def run(self, due: DigestDue) -> DigestOutcome:
        """What was gathered is never given up: it is tried again, and after the first failure somebody is told."""
        sending = DigestSending(key=workflow.info().workflow_id, destination=due.destination)
        wait, told = FIRST_WAIT, False
        while True:
            try:
                outcome = await calls.issue_digest(sending)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                reason, _ = calls.reason_of(error)
                workflow.set_current_details(f"**Could not be sent, and is tried again:** {plain(reason)}")
                if not told:
                    told = await self._tell_instead(due, reason)
                await workflow.sleep(wait, summary="Try to send it again")
                wait = min(wait * 2, LONGEST_WAIT)
                continue
            text = f"{outcome.entries} sent to {due.destination}: {outcome.receipt.id}"
            workflow.set_current_details(plain(text))
            return outcome

    async def _tell_instead(self, due: DigestDue, reason: str) -> bool:
        reached = False
        for target in due.fallback:
            try:
                await calls.tell_of_digest(workflow.info(), due.destination, target, reason, workflow.now())
                reached = True
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
        return reached
