"""The notifications of an incident: what is pending, under which key, and what follows a failure."""

from collections import Counter
from datetime import datetime, timedelta

from alerts.bounded import json_size
from incident.audit_events import notification_event
from incident.limits import PENDING_NOTES_BYTES
from incident.receipt import Receipt, Verb
from incident.state import Deadline, IncidentState, PendingNotification
from policy import Target
from policy.decision import Budget

RETRY_INTERVAL = timedelta(minutes=1)
"""After all attempts of a notification failed for a temporary reason and the fallback was notified."""
KEPT_MESSAGES = 20
"""Messages at each destination that are updated: an incident that waits for a person may fire for weeks."""
KEPT_PAGES = 200
"""Pages at each destination that are resolved with the incident."""
_NOTE_BYTES = 600
"""About what a pending update has beside its note."""
_FEW_BYTES = 4 * 2**10
SUPPORTS_ACK = frozenset({"page", "post", "console"})
HAS_THREAD = frozenset({"post", "ticket", "console"})


class Outbox:
    """Adds notifications to the state and removes them; the workflow sends them."""

    def __init__(self, state: IncidentState) -> None:
        self._state = state

    def enqueue(
        self,
        verb: Verb,
        target: Target,
        key: str,
        note: str = "",
        *,
        dedup_key: str = "",
        digest: bool = False,
        fallback_for: str = "",
        original_receipt: Receipt | None = None,
        fire: int = 0,
        budget: Budget | None = None,
    ) -> None:
        """Add a notification. ``key`` is unique within the incident; ``fire`` is the last one by default."""
        state = self._state
        if verb == "remind" and state.bounded:
            self._drop_waiting_reminders(target)
        dedup_key = dedup_key or state.dedup_key
        if (
            verb == "notify"
            and dedup_key == state.dedup_key
            and target.kind == "page"
            and target.name not in state.keyed
        ):
            state.keyed.append(target.name)
        state.pending.append(
            PendingNotification(
                key=f"{state.dedup_key}:{key}",
                dedup_key=dedup_key,
                verb=verb,
                target=target,
                note=note,
                digest=digest,
                fallback_for=fallback_for,
                original_receipt=original_receipt,
                fire=(fire or state.fires) if state.bounded else 0,
                budget=budget if target.kind == "page" else None,
            )
        )

    def page_key(self, target: Target, key: str) -> str:
        """The dedup key of a page: a pager folds a second trigger with the same key into the first without a sound.

        The first page of a pager may have arrived although no receipt came back.
        """
        state = self._state
        known = {receipt.destination for receipt in state.receipts} | {one.target.name for one in state.pending}
        is_known = target.name in known or (state.bounded and target.name in state.keyed)
        return f"{state.dedup_key}/{key}" if is_known else state.dedup_key

    def has(self, key: str) -> bool:
        """Whether a notification with this key is pending, was sent, or waits for a retry."""
        state = self._state
        full = f"{state.dedup_key}:{key}"
        retries = [deadline.notification for deadline in state.deadlines if deadline.notification]
        return any(one.key == full for one in (*state.pending, *state.receipts, *retries))

    def broadcast(self, verb: Verb, note: str, *, source: str = "", kinds: frozenset[str] = SUPPORTS_ACK) -> None:
        """Update every message that was sent, except where the change came from.

        ``source`` is the type of destination that the change came from. When several destinations of that type were
        notified, all of them are updated: a callback does not say which one it came from, and an update is idempotent.
        """
        for receipt in self._updated_receipts(verb):
            target = self._state.notified_targets.get(receipt.destination)
            if target and target.kind in kinds and not self._is_source(target, source):
                self._enqueue_update(verb, target, receipt, note)

    def _updated_receipts(self, verb: Verb) -> list[Receipt]:
        """Of each destination the last ones; all of them are resolved."""
        settled = set(self._state.settled)
        receipts = [one for one in self._state.receipts if one.key not in settled]
        if verb == "resolve" or not self._state.bounded:
            return list(receipts)
        later = Counter(one.destination for one in receipts)
        kept: list[Receipt] = []
        for receipt in receipts:
            later[receipt.destination] -= 1
            if later[receipt.destination] < KEPT_MESSAGES:
                kept.append(receipt)
        return kept

    def _is_source(self, target: Target, source: str) -> bool:
        """Whether an action came from this destination, which shows it already.

        Certain when no other destination of its type was notified. A post is never the source: a button was pressed
        below the message, and the message itself has not changed.
        """
        if target.kind == "post":
            return False
        state = self._state
        notified = {receipt.destination for receipt in state.receipts if receipt.type == source}
        pending = {one.target.name for one in state.pending if one.target.type == source and one.verb == "notify"}
        return notified | pending == {target.name}

    def _enqueue_update(self, verb: Verb, target: Target, receipt: Receipt, note: str) -> None:
        state = self._state
        if state.bounded and verb == "note" and self._has_too_many_notes(target):
            return  # the destination is unavailable for long; the timeline and the audit log have it
        base = receipt.key.removeprefix(f"{state.dedup_key}:")
        key = f"{verb}-{state.event_number}-{base}"
        if state.bounded and verb != "note":
            self._drop_superseded(verb, receipt)
        self.enqueue(verb, target, key, note, dedup_key=receipt.id, original_receipt=receipt)

    def _drop_superseded(self, verb: Verb, receipt: Receipt) -> None:
        """A destination that is unavailable for long gets the last of these updates, beside the one in flight."""
        state = self._state
        same = [one for one in state.pending if one.verb == verb and one.original_receipt == receipt]
        keys = {one.key for one in same[1:]}
        state.pending = [one for one in state.pending if one.key not in keys]

    def _drop_waiting_reminders(self, target: Target) -> None:
        """A destination that is unavailable for long gets the last reminder, beside the one in flight."""
        state = self._state
        waiting = [one for one in state.pending if one.verb == "remind" and one.target.name == target.name]
        keys = {one.key for one in waiting[1:]}
        state.pending = [one for one in state.pending if one.key not in keys]

    def _keep_receipt(self, receipt: Receipt, target: Target) -> None:
        """A ticket's receipt is kept for ever: it is the incident's case. Reminders are dropped first."""
        state = self._state
        state.receipts.append(receipt)
        own = [one for one in state.receipts if one.destination == receipt.destination]
        if not state.bounded or target.kind == "ticket":
            return
        if len(own) > (KEPT_PAGES if target.kind == "page" else KEPT_MESSAGES):
            state.receipts.remove(next((one for one in own[:-1] if ":remind-" in one.key), own[0]))

    def _has_too_many_notes(self, target: Target) -> bool:
        """Whether so many notes wait for a destination that no more are added. Others must not suffer for it."""
        sizes = Counter[str]()
        for one in self._state.pending:
            sizes[one.target.name] += json_size(one.note) + _NOTE_BYTES
        own = sizes[target.name]
        return own > PENDING_NOTES_BYTES or (own > _FEW_BYTES and sizes.total() > 4 * PENDING_NOTES_BYTES)

    def mark_sent(self, notification: PendingNotification, receipt: Receipt, *, audit_written: bool) -> None:
        """The vendor accepted the notification. ``audit_written``: the audit log holds its event already."""
        state, target = self._state, notification.target
        self._remove(notification)
        event = notification_event(notification.key, notification.verb, target, receipt)
        state.append_event(event, written=audit_written)
        if notification.verb not in {"notify", "remind"}:
            return
        self._keep_receipt(receipt, target)
        if notification.verb == "notify" and target.kind != "ticket":
            state.known_fires = max(state.known_fires, notification.fire)
        if not notification.digest:
            state.notified_targets[target.name] = target
        if state.state == "received":
            state.state = "notified"
        if notification.digest or target.kind not in SUPPORTS_ACK:
            return
        if state.is_over:
            self._enqueue_update("resolve", target, receipt, f"Resolved by {state.resolved_by}.")
        elif state.acknowledged_at and not self._is_source(target, state.acknowledged_source):
            # The acknowledgement arrived before this receipt: the page must not stay unacknowledged.
            self._enqueue_update("acknowledge", target, receipt, f"Acknowledged by {state.acknowledged_by}")

    def mark_failed(self, notification: PendingNotification, reason: str, now: datetime, *, permanent: bool) -> None:
        """All attempts failed. Notify the fallback, and retry what may still succeed."""
        state, target = self._state, notification.target
        self._remove(notification)
        text = f"{notification.verb} to {target.name}: {reason}"
        state.record(now, "notification_failed", text, destination=target.name)
        acknowledged = state.acknowledged_at is not None and target.kind != "ticket"
        is_void = state.is_over and not self.is_wanted_after_all(target)
        if notification.verb != "notify" or is_void or acknowledged or state.decision is None:
            return
        if not notification.fallback_for:
            self._enqueue_fallback(notification, reason)
        others = [one for one in state.decision.fallback if one.name != target.name or not state.bounded]
        if not permanent or notification.fallback_for or not others:
            retry = notification.model_copy(update={"retry_after_giveup": True, "since": None})
            state.deadlines.append(Deadline(at=now + RETRY_INTERVAL, kind="retry", notification=retry))

    def is_wanted_after_all(self, target: Target) -> bool:
        """Whether a destination is still to be notified of what is over."""
        return self.nobody_knows or (self._state.bounded and target.kind == "ticket")

    @property
    def nobody_knows(self) -> bool:
        """Whether the monitor cleared before anybody had received a message of it: somebody must read of it."""
        return self._state.bounded and self._state.cleared and self._state.known_fires < self._state.fires

    def _enqueue_fallback(self, failed: PendingNotification, reason: str) -> None:
        state = self._state
        assert state.decision is not None
        for target in state.decision.fallback:
            key = f"fallback-{target.name}-for-{failed.key.removeprefix(f'{state.dedup_key}:')}"
            if target.name != failed.target.name and not self.has(key):
                note = f"{failed.target.name} could not be notified: {reason}"
                self.enqueue("notify", target, key, note, fallback_for=failed.target.name, fire=failed.fire)

    def drop(self, notification: PendingNotification) -> None:
        """It is not sent after all."""
        self._remove(notification)

    def _remove(self, notification: PendingNotification) -> None:
        self._state.pending = [one for one in self._state.pending if one.key != notification.key]
