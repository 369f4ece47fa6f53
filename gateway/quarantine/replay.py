"""Turns quarantined deliveries into the incidents that they should have been, each exactly once.

A replay first stores its plan, the alert that it makes of a delivery, and sends it under an event id that is derived
from the delivery's id. So an attempt that ends half-way, or a second one beside it, sends the same alert under the
same event id, which the dedup store and the incident recognise.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, cast

import structlog

from alerts import Alert, AlertError, read_json
from gateway import metrics
from gateway.ingest.actions import IncidentClosedError
from gateway.ingest.ingester import AlertIngester, UnavailableError
from gateway.ingest.reading import event_of
from gateway.quarantine.delivery import Delivery, Quarantined
from gateway.quarantine.quarantine import IDLE, Quarantine, shape_incident
from gateway.quarantine.store import QuarantineStore, QuarantineUnavailableError, Stored
from incident.events import ResponderAction
from incident.text import counted
from policy import Role, read_payload
from policy.cel.mapping import AlertMapping

MAX_AT_ONCE = 100  # deliveries in one call
KEEP_INTERVAL = 5.0  # seconds between two rounds of the keeper
_EXPIRE_EVERY = 12  # rounds

_log = structlog.get_logger()
Outcome = Literal["replayed", "already_replayed", "unreadable", "unavailable", "not_found"]


@dataclass(frozen=True)
class Replayer:
    """Who asked for a replay."""

    name: str
    role: Role | Literal[""] = ""


@dataclass(frozen=True)
class ReplayResult:
    """What came of one delivery. ``state`` is how it reached its incident: started, joined, spooled or recorded."""

    id: str
    outcome: Outcome
    incident: str = ""
    state: str = ""
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class QuarantineReplay:
    """Replays deliveries with the mappings of the policy in force."""

    store: QuarantineStore
    ingester: AlertIngester
    mappings: Callable[[], Sequence[AlertMapping]]

    async def replay(self, ids: Sequence[str], by: Replayer) -> list[ReplayResult]:
        """Replay deliveries in their order, and report it to the incidents of their shapes.

        Raises:
            QuarantineUnavailableError: the database became unavailable. Deliveries that were begun are finished later.
        """
        results: list[ReplayResult] = []
        rows: dict[str, Quarantined] = {}
        replayed: Counter[str] = Counter()
        for delivery_id in ids:
            row = await self.store.get(delivery_id)
            result = ReplayResult(delivery_id, "not_found") if row is None else await self._replay_one(row, by)
            results.append(result)
            if row is not None and result.outcome == "replayed":
                rows[row.shape] = row
                replayed[row.shape] += 1
        for shape, row in rows.items():
            await self.settle(row, by, replayed[shape])
        return results

    async def finish(self, row: Quarantined) -> ReplayResult:
        """Send the alert of a delivery that has a plan. Raises QuarantineUnavailableError."""
        assert row.plan is not None
        alert = row.plan.alert
        try:
            accepted = await self.ingester.accept_alert(alert, alert.event_id, resent=True, received_at=row.received_at)
        except UnavailableError as error:
            return ReplayResult(row.id, "unavailable", reasons=(str(error),))
        await self.store.mark_replayed(row.id, accepted.incident, accepted.state)
        metrics.QUARANTINE_REPLAYED.inc()
        _log.warning("delivery_replayed", incident=accepted.incident, delivery=row.id, by=row.replayed_by)
        return ReplayResult(row.id, "replayed", accepted.incident, accepted.state)

    async def settle(self, row: Quarantined, by: Replayer, replayed: int = 0) -> None:
        """Note replays in the incident of a shape, and resolve it when none of its shape is left.

        Raises:
            QuarantineUnavailableError: the database is unavailable.
        """
        if row.delivery is None:
            return
        incident, left = shape_incident(row.delivery, row.shape), await self.store.left(row.shape)
        note = f"{counted(replayed, 'delivery', 'deliveries')} replayed" if replayed else "every delivery is replayed"
        note += f", {left} of this shape left" if left else "; none of this shape is left"
        action = ResponderAction(
            type="annotate" if left else "resolve",
            by=by.name,
            role=by.role,
            token=by.name,
            note=note,
            id=f"replay-{row.shape}-{row.id}-{'noted' if left else 'done'}",
        )
        try:
            await self.ingester.accept_action(incident, action)
        except IncidentClosedError:
            pass  # a person has resolved it
        except UnavailableError as error:
            _log.warning("quarantine_report_deferred", incident=incident, delivery=row.id, error=str(error))
            return
        await self.store.mark_settled(row.shape)
        if not left and await self.store.left(row.shape):
            # One arrived after the count. Its alert joined the incident that is resolved now: it is reported again.
            await self.store.notify_again(row.shape)

    async def _replay_one(self, row: Quarantined, by: Replayer) -> ReplayResult:
        if row.state == "replayed":
            return ReplayResult(row.id, "already_replayed", row.incident, row.outcome)
        if row.plan is None:
            delivery = row.delivery
            if delivery is None:
                return ReplayResult(row.id, "unreadable", reasons=(row.fault,))
            try:
                alert = self.read(delivery)
            except AlertError as error:
                return ReplayResult(row.id, "unreadable", reasons=error.reasons)
            planned = await self.store.plan(row.id, alert, by.name, by.role)
            if planned is None:
                return ReplayResult(row.id, "not_found")
            row = planned
        if row.state == "replayed":  # another replay was faster
            return ReplayResult(row.id, "already_replayed", row.incident, row.outcome)
        return await self.finish(row)

    def read(self, delivery: Delivery) -> Alert:
        """The alert that a delivery should have been, by the mappings in force. Raises AlertError."""
        try:
            payload = read_json(delivery.raw, delivery.content_type)
            event = event_of(payload, delivery.event, signed=delivery.signed)
            alert = read_payload(self.mappings(), payload, delivery.event_id, event).alert
        except AlertError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, the delivery stays in quarantine
            raise AlertError(f"the reader failed: {type(error).__name__}: {error}") from None
        return alert.model_copy(
            update={"event_id": f"replay-{delivery.id}", "occurred_at": alert.occurred_at or delivery.received_at}
        )


@dataclass
class QuarantineKeeper:
    """Finishes what a crash or an outage interrupted, and drops what is too old."""

    quarantine: Quarantine
    replay: QuarantineReplay
    idle_seconds: float = IDLE.total_seconds()

    async def run(self, interval: float = KEEP_INTERVAL) -> None:
        """Run until it is cancelled."""
        rounds = 0
        while True:
            try:
                if rounds % _EXPIRE_EVERY == 0:
                    await self.quarantine.store.expire()
                await self.keep()
            except QuarantineUnavailableError:
                pass  # readyz shows it; the next round tries again
            except Exception:  # noqa: BLE001  # the next round tries again
                _log.exception("quarantine_keeper_failed")
            rounds += 1
            await asyncio.sleep(interval)

    async def keep(self) -> None:
        """One round. Raises QuarantineUnavailableError."""
        settled: set[str] = set()
        for row in await self.quarantine.store.pending(timedelta(seconds=self.idle_seconds)):
            by = Replayer(row.replayed_by, cast("Role", row.replayed_role))
            if row.delivery is None:
                continue  # its key is missing; it waits for it
            if row.state == "quarantined":
                await self.quarantine.report(row.delivery, Stored(row.shape, row.state))
            elif row.state == "replaying" and row.plan is not None:
                result = await self.replay.finish(row)
                _log.warning("replay_finished", incident=result.incident, delivery=row.id, outcome=result.outcome)
            elif row.state == "replayed" and row.shape not in settled:
                settled.add(row.shape)
                await self.replay.settle(row, by)
