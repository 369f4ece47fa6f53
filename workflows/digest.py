"""A digest: started by the destination's Temporal Schedule, completed when it is sent."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.contracts import SendDigestRequest, SendDigestResult
    from workflows import activity_calls, background_calls
    from workflows.contracts import DIGEST_WORKFLOW, DigestInput
    from workflows.ui_details import escape_markdown

FIRST_RETRY_AFTER = timedelta(hours=1)
MAX_RETRY_INTERVAL = timedelta(hours=6)


@workflow.defn(name=DIGEST_WORKFLOW)
class DigestSending:
    @workflow.run
    async def run(self, start: DigestInput) -> SendDigestResult:
        """Retried until it is sent; after the first failure the fallback is notified."""
        request = SendDigestRequest(key=workflow.info().workflow_id, destination=start.destination)
        interval, fallback_notified = FIRST_RETRY_AFTER, False
        while True:
            try:
                result = await background_calls.send_digest(request)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                reason, _ = activity_calls.failure_reason(error)
                workflow.set_current_details(f"**Could not be sent, and is retried:** {escape_markdown(reason)}")
                if not fallback_notified:
                    fallback_notified = await self._notify_fallback(start, reason)
                await workflow.sleep(interval, summary="Retry")
                interval = min(interval * 2, MAX_RETRY_INTERVAL)
                continue
            text = f"{result.incidents} sent to {start.destination}: {result.receipt.id}"
            workflow.set_current_details(escape_markdown(text))
            return result

    async def _notify_fallback(self, start: DigestInput, reason: str) -> bool:
        reached = False
        for target in start.fallback:
            try:
                await background_calls.notify_digest_fallback(
                    workflow.info(), start.destination, target, reason, workflow.now()
                )
                reached = True
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
        return reached
