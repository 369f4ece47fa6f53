"""``/api/quarantine``: deliveries that nothing could read, and their replay."""

import base64
from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from gateway.dependencies import QuarantineDep, ReplayDep, ResponderDep, ViewerDep
from gateway.guarded_route import GuardedRoute
from gateway.problems import RETRY_LATER, Problem, responses
from gateway.quarantine.delivery import Quarantined, State
from gateway.quarantine.quarantine import shape_incident
from gateway.quarantine.replay import MAX_AT_ONCE, Outcome, Replayer, ReplayResult
from gateway.quarantine.store import QuarantineUnavailableError
from gateway.security.tokens import Caller

router = APIRouter(prefix="/api/quarantine", tags=["quarantine"], route_class=GuardedRoute)
T = TypeVar("T")
DeliveryId = Annotated[str, Path(alias="id", max_length=60, description="q- and twenty hexadecimal digits.")]


class Replayed(BaseModel):
    """What a replay made of a delivery."""

    at: datetime | None = Field(description="Null while it is under way.")
    by: str
    incident: str
    state: str = Field(description="How it reached the incident: started, joined, spooled or recorded.")


class QuarantinedDelivery(BaseModel):
    """An authentic delivery that nothing could read."""

    id: str
    received_at: datetime
    state: State
    shape: str = Field(description="Identifies the shape of its body; deliveries of one shape share an incident.")
    shape_label: str
    reasons: list[str] = Field(description="Why it could not be read.")
    size: int = Field(description="Of the body, in bytes.")
    content_type: str
    event: str = Field(description="The header X-Arize-Webhook-Event.")
    event_id: str = Field(description="The header X-Arize-Webhook-Id.")
    incident: str = Field(description="The incident that reports deliveries of this shape.")
    replayed: Replayed | None


class DeliveryWithBody(QuarantinedDelivery):
    """A delivery with its exact body."""

    body: str
    encoding: Literal["utf-8", "base64"] = Field(description="base64 if the body is not UTF-8.")


class DeliveryList(BaseModel):
    """Deliveries, newest first."""

    deliveries: list[QuarantinedDelivery]
    waiting: int = Field(description="How many deliveries of the quarantine wait for a replay.")
    next: str = Field(description="The cursor of the next page; empty on the last one.")


class ReplayRequest(BaseModel):
    """Which deliveries to replay; by default those that wait, the oldest first, 100 in a call."""

    model_config = ConfigDict(extra="forbid")

    ids: list[str] = Field(default=[], max_length=MAX_AT_ONCE)
    shape: str = Field(default="", max_length=20, description="Only deliveries of this shape.")
    cursor: str = Field(default="", pattern=r"^\d{0,18}$", description="The next of the answer before.")


class ReplayedDelivery(BaseModel):
    """What came of one delivery."""

    id: str
    outcome: Outcome
    incident: str
    state: str
    reasons: list[str]

    @classmethod
    def of(cls, result: ReplayResult) -> "ReplayedDelivery":
        return cls(
            id=result.id,
            outcome=result.outcome,
            incident=result.incident,
            state=result.state,
            reasons=list(result.reasons),
        )


class ReplayReport(BaseModel):
    """What came of each delivery."""

    results: list[ReplayedDelivery]
    waiting: int = Field(description="How many deliveries of the quarantine still wait for a replay.")
    next: str = Field(description="The cursor for the deliveries after these; empty if there are none.")


@router.get("", summary="List quarantined deliveries", responses=responses(401, 403, 422, 503))
async def list_deliveries(
    caller: ViewerDep,
    quarantine: QuarantineDep,
    state: State | Literal[""] = "",
    shape: Annotated[str, Query(max_length=20)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[str, Query(pattern=r"^\d{0,18}$", description="The next of the page before.")] = "",
) -> DeliveryList:
    del caller
    store = quarantine.store
    rows = await _answered(store.page(state=state, shape=shape, before=int(cursor or 0), limit=limit + 1))
    return DeliveryList(
        deliveries=[QuarantinedDelivery.model_validate(_fields(row)) for row in rows[:limit]],
        waiting=await _answered(store.left()),
        next=str(rows[limit - 1].number) if len(rows) > limit else "",
    )


@router.post("/replay", summary="Replay quarantined deliveries", responses=responses(400, 401, 403, 422, 503))
async def replay_deliveries(
    request: ReplayRequest, caller: ResponderDep, quarantine: QuarantineDep, replay: ReplayDep
) -> ReplayReport:
    ids, cursor = list(dict.fromkeys(request.ids)), ""
    if not ids:
        after = int(request.cursor or 0)
        found = await _answered(quarantine.store.waiting(request.shape, after=after, limit=MAX_AT_ONCE))
        ids, cursor = [name for _, name in found], str(found[-1][0]) if len(found) == MAX_AT_ONCE else ""
    results = await _answered(replay.replay(ids, _replayer(caller)))
    return ReplayReport(
        results=[ReplayedDelivery.of(result) for result in results],
        waiting=await _answered(quarantine.store.left()),
        next=cursor,
    )


@router.get("/{id}", summary="Read a quarantined delivery", responses=responses(401, 403, 404, 422, 503))
async def read_delivery(delivery_id: DeliveryId, caller: ViewerDep, quarantine: QuarantineDep) -> DeliveryWithBody:
    del caller
    row = await _answered(quarantine.store.get(delivery_id))
    if row is None:
        raise _not_found(delivery_id)
    raw = row.delivery.raw if row.delivery else b""
    try:
        body, encoding = raw.decode(), "utf-8"
    except UnicodeDecodeError:
        body, encoding = base64.b64encode(raw).decode(), "base64"
    return DeliveryWithBody.model_validate({**_fields(row), "body": body, "encoding": encoding})


@router.post("/{id}/replay", summary="Replay one delivery", responses=responses(401, 403, 404, 422, 503))
async def replay_delivery(delivery_id: DeliveryId, caller: ResponderDep, replay: ReplayDep) -> ReplayedDelivery:
    (result,) = await _answered(replay.replay([delivery_id], _replayer(caller)))
    if result.outcome == "not_found":
        raise _not_found(delivery_id)
    return ReplayedDelivery.of(result)


def _replayer(caller: Caller) -> Replayer:
    return Replayer(caller.name, caller.role)


def _fields(row: Quarantined) -> dict[str, object]:
    delivery = row.delivery
    return {
        "id": row.id,
        "received_at": row.received_at,
        "state": row.state,
        "shape": row.shape,
        "shape_label": delivery.label if delivery else "",
        "reasons": list(delivery.reasons) if delivery else [row.fault],
        "size": row.size,
        "content_type": delivery.content_type if delivery else "",
        "event": delivery.event if delivery else "",
        "event_id": delivery.event_id if delivery else "",
        "incident": shape_incident(delivery, row.shape) if delivery else "",
        "replayed": None
        if row.state == "quarantined"
        else {"at": row.replayed_at, "by": row.replayed_by, "incident": row.incident, "state": row.outcome},
    }


def _not_found(delivery_id: str) -> Problem:
    return Problem(404, f"the quarantine has no delivery {delivery_id[:60]}", code="delivery_not_found")


async def _answered(asked: Awaitable[T]) -> T:
    """Raises Problem 503 if the gateway's database is unavailable."""
    try:
        return await asked
    except QuarantineUnavailableError as error:
        detail = f"the gateway's database is unavailable: {error}"
        raise Problem(503, detail, code=error.code, headers=RETRY_LATER) from None
