"""Digests as 0.1.0 gathered them: those that are open send what they hold, and end. None is begun any more.

Today they are gathered in a ledger and sent by a schedule: ``digest_issue.py``.
"""

import contextlib
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.contracts import DIGEST_SIGNAL, DIGEST_WORKFLOW, Brief, DigestEntry, DigestIssue
    from workflows import calls
    from workflows.story import plain

FULL = 2_000
"""So many entries are sent before their time: a workflow's history has an end."""
TRY_AGAIN = timedelta(hours=1)


@workflow.defn(name=DIGEST_WORKFLOW)
class Digest:
    @workflow.init
    def __init__(self, destination: str, due: datetime) -> None:
        self._destination, self._due = destination, due
        self._entries: dict[str, Brief] = {}

    @workflow.run
    async def run(self, destination: str, due: datetime) -> int:
        """Returns how many incidents the issue held."""
        since = workflow.info().workflow_start_time
        wait = (due - workflow.now()).total_seconds()
        if wait > 0:
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: len(self._entries) >= FULL,
                    timeout=wait,
                    timeout_summary=f"Send at {due:%Y-%m-%d %H:%M:%S} UTC",
                )
        sent = 0
        # What arrives while an issue is being sent goes into one more, and never gets lost: the server
        # does not let a workflow end with a signal that it has not seen.
        while len(self._entries) > sent:
            fresh = tuple(self._entries.values())[sent:]
            key = f"digest:{destination}:{workflow.info().run_id}:{sent}"
            self._tell(f"Sending {len(fresh)} to {destination}")
            try:
                await calls.send_digest(DigestIssue(key=key, destination=destination, briefs=fresh, since=since))
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                self._tell(f"Could not be sent to {destination}, and is tried again: {error.cause}")
                await workflow.sleep(TRY_AGAIN, summary="Try to send it again")
                continue
            sent += len(fresh)
        self._tell(f"Sent {sent} to {destination}")
        return sent

    @workflow.signal(name=DIGEST_SIGNAL)
    def add(self, entry: DigestEntry) -> None:
        self._entries.setdefault(entry.key, entry.brief)
        self._tell(
            f"{len(self._entries)} gathered for {self._destination}, to be sent at {self._due:%Y-%m-%d %H:%M} UTC"
        )

    def _tell(self, text: str) -> None:
        workflow.set_current_details(
            f"**{text}**\n\n" + "\n".join(f"- {plain(b.headline)}" for b in self._entries.values())
        )
