"""The notifications of an incident: what is pending, under which key, and what follows a failure."""

from datetime import datetime, timedelta

from incident.audit_events import notification_event
from incident.receipt import Receipt, Verb
from incident.state import Deadline, IncidentState, PendingNotification
from policy import Target

RETRY_INTERVAL = timedelta(minutes=1)
"""After all attempts of a notification failed for a temporary reason and the fallback was notified."""
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
    ) -> None:
        """Add a notification. ``key`` is unique within the incident."""
        state = self._state
        state.pending.append(
            PendingNotification(
                key=f"{state.dedup_key}:{key}",
                dedup_key=dedup_key or state.dedup_key,
                verb=verb,
                target=target,
                note=note,
                digest=digest,
                fallback_for=fallback_for,
                original_receipt=original_receipt,
            )
        )

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
        for receipt in self._state.receipts:
            target = self._state.notified_targets.get(receipt.destination)
            if target and target.kind in kinds and not self._is_source(target, source):
                self._enqueue_update(verb, target, receipt, note)

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
        base = receipt.key.removeprefix(f"{state.dedup_key}:")
        key = f"{verb}-{state.event_number}-{base}"
        self.enqueue(verb, target, key, note, dedup_key=receipt.id, original_receipt=receipt)

    def mark_sent(self, notification: PendingNotification, receipt: Receipt, *, audit_written: bool) -> None:
        """The vendor accepted the notification. ``audit_written``: the audit log holds its event already."""
        state, target = self._state, notification.target
        self._remove(notification)
        event = notification_event(notification.key, notification.verb, target, receipt)
        state.append_event(event, written=audit_written)
        if notification.verb not in {"notify", "remind"}:
            return
        state.receipts.append(receipt)
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
        if notification.verb != "notify" or state.is_over or acknowledged or state.decision is None:
            return
        if not notification.fallback_for:
            self._enqueue_fallback(notification, reason)
        if not permanent or notification.fallback_for or not state.decision.fallback:
            retry = notification.model_copy(update={"retry_after_giveup": True})
            state.deadlines.append(Deadline(at=now + RETRY_INTERVAL, kind="retry", notification=retry))

    def _enqueue_fallback(self, failed: PendingNotification, reason: str) -> None:
        state = self._state
        assert state.decision is not None
        for target in state.decision.fallback:
            key = f"fallback-{target.name}-for-{failed.key.removeprefix(f'{state.dedup_key}:')}"
            if target.name != failed.target.name and not self.has(key):
                note = f"{failed.target.name} could not be notified: {reason}"
                self.enqueue("notify", target, key, note, fallback_for=failed.target.name)

    def _remove(self, notification: PendingNotification) -> None:
        self._state.pending = [one for one in self._state.pending if one.key != notification.key]
