"""The messages that an incident owes: to whom, under which key, and what becomes of those that fail."""

from datetime import datetime, timedelta

from activities.contracts import Delivered, Receipt, Verb, told
from policy import Target
from workflows.state import Appointment, IncidentState, Owed

TRY_AGAIN = timedelta(minutes=1)
"""After all attempts at a delivery failed for a passing reason, and the fallback was told."""
ANSWERABLE = frozenset({"page", "post", "console"})
THREADED = frozenset({"post", "ticket", "console"})


class Outbox:
    """Puts messages into the state and takes them out; the workflow around it delivers them."""

    def __init__(self, state: IncidentState) -> None:
        self.state = state

    def owe(
        self,
        verb: Verb,
        target: Target,
        key: str,
        note: str = "",
        *,
        thread: str = "",
        digest: bool = False,
        in_place_of: str = "",
        first: Receipt | None = None,
    ) -> None:
        state = self.state
        state.owed.append(
            Owed(
                key=f"{state.thread}:{key}",
                thread=thread or state.thread,
                verb=verb,
                target=target,
                note=note,
                digest=digest,
                in_place_of=in_place_of,
                first=first,
            )
        )

    def knows(self, key: str) -> bool:
        """Whether a message with this key is owed, was delivered, or is to be tried again."""
        full = f"{self.state.thread}:{key}"
        waiting = [one.owed for one in self.state.agenda if one.owed]
        return any(one.key == full for one in (*self.state.owed, *self.state.receipts, *waiting))

    def tell(self, verb: Verb, note: str, *, via: str = "", kinds: frozenset[str] = ANSWERABLE) -> None:
        """Change or add to what was sent before, everywhere but where the change came from.

        ``via`` is the type of destination that it came from. Where several of that type were told, all of them
        are told: which of them it was, an answer does not say, and saying it twice changes nothing.
        """
        for receipt in self.state.receipts:
            target = self.state.told.get(receipt.destination)
            if target and target.kind in kinds and not self._is_source(target, via):
                self._tell_one(verb, target, receipt, note)

    def _is_source(self, target: Target, via: str) -> bool:
        """Whether an answer came from this destination, which shows it already.

        Certain where no other of its type was or is being told. A post shows nothing by itself: a button was pressed
        under it, and the message is still as it was.
        """
        if target.kind == "post":
            return False
        told = {receipt.destination for receipt in self.state.receipts if receipt.type == via}
        being_told = {one.target.name for one in self.state.owed if one.target.type == via and one.verb == "notify"}
        return told | being_told == {target.name}

    def _tell_one(self, verb: Verb, target: Target, receipt: Receipt, note: str) -> None:
        base = receipt.key.removeprefix(f"{self.state.thread}:")
        self.owe(verb, target, f"{verb}-{self.state.numbered}-{base}", note, thread=receipt.id, first=receipt)

    def delivered(self, owed: Owed, outcome: Delivered) -> None:
        state, receipt = self.state, outcome.receipt
        self._settle(owed)
        state.write(told(owed.key, owed.verb, owed.target, receipt), recorded=outcome.recorded)
        if owed.verb not in {"notify", "remind"}:
            return
        state.receipts.append(receipt)
        if not owed.digest:
            state.told[owed.target.name] = owed.target
        if state.state == "received":
            state.state = "notified"
        if owed.digest or owed.target.kind not in ANSWERABLE:
            return
        if state.over:
            self._tell_one("resolve", owed.target, receipt, f"Resolved by {state.resolved_by}.")
        elif state.acknowledged_at and not self._is_source(owed.target, state.acknowledged_via):
            # The acknowledgement overtook the page: whoever was paged must not wait for one.
            self._tell_one("acknowledge", owed.target, receipt, f"Acknowledged by {state.acknowledged_by}")

    def failed(self, owed: Owed, reason: str, now: datetime, *, permanent: bool) -> None:
        """All attempts failed. Somebody else is told, and what may still succeed is tried again."""
        state = self.state
        self._settle(owed)
        state.note(now, "not_delivered", f"{owed.verb} to {owed.target.name}: {reason}", destination=owed.target.name)
        answered = state.acknowledged_at is not None and owed.target.kind != "ticket"
        if owed.verb != "notify" or state.over or answered or state.decision is None:
            return
        if not owed.in_place_of:
            for target in state.decision.fallback:
                if target.name != owed.target.name:
                    note = f"{owed.target.name} could not be told: {reason}"
                    key = f"fallback-{target.name}-for-{owed.key.removeprefix(f'{state.thread}:')}"
                    if not self.knows(key):
                        self.owe("notify", target, key, note, in_place_of=owed.target.name)
        if not permanent or owed.in_place_of or not state.decision.fallback:
            later = owed.model_copy(update={"again": True})
            state.agenda.append(Appointment(at=now + TRY_AGAIN, business="again", owed=later))

    def _settle(self, owed: Owed) -> None:
        self.state.owed = [one for one in self.state.owed if one.key != owed.key]
