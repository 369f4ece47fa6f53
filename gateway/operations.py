"""``/healthz``, ``/readyz`` and ``/metrics``."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel
from temporalio.client import Client
from temporalio.service import RPCError

from gateway import metrics
from gateway.deliveries import AwayError, Deliveries
from gateway.settings import GatewaySettings
from gateway.spool import Spool, SpoolError
from gateway.vitals import Vitals


class Health(BaseModel):
    status: Literal["alive"] = "alive"


class Spooled(BaseModel):
    """What waits for Temporal: how many, how many bytes of how many, and for how many seconds the oldest."""

    items: int
    bytes: int
    limit: int
    oldest_seconds: float


class Readiness(BaseModel):
    """``ready`` is true where an alert that comes now is taken, if only by the spool.

    Each part says ``ok`` or what is wrong.
    """

    ready: bool
    temporal: str
    spool: str
    spooled: Spooled
    deliveries: str
    """The memory of what was delivered: without it alerts are taken all the same."""
    policy: str
    vitals: dict[str, str]
    """What is behind the gateway, at the last look: temporal, workers, workflow_tasks, activities, schedules."""


def operation_routes(
    settings: GatewaySettings, client: Client, deliveries: Deliveries, spool: Spool, vitals: Vitals
) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/healthz", summary="The process lives")
    async def healthz() -> Health:  # pyright: ignore[reportUnusedFunction]
        return Health()

    @router.get(
        "/readyz",
        summary="Alerts are taken",
        responses={503: {"model": Readiness, "description": "Not ready"}},
    )
    async def readyz() -> Readiness:  # pyright: ignore[reportUnusedFunction]
        temporal, store, spooling = await asyncio.gather(_temporal(client), _store(deliveries), _spool(spool))
        depth = spool.depth
        readiness = Readiness(
            ready="ok" in {spooling, temporal},
            temporal=temporal,
            spool=spooling,
            spooled=Spooled(
                items=depth.items, bytes=depth.bytes, limit=depth.limit, oldest_seconds=round(depth.age, 1)
            ),
            deliveries=store,
            policy=settings.policy(),
            vitals={name: str(vital) for name, vital in vitals.seen.items()},
        )
        return readiness if readiness.ready else JSONResponse(readiness.model_dump(), 503)  # type: ignore[return-value]  # pyright: ignore[reportReturnType]

    @router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def figures() -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return router


async def _temporal(client: Client) -> str:
    try:
        await asyncio.wait_for(client.count_workflows("WorkflowType = 'Incident' AND ExecutionStatus = 'Running'"), 3)
    except RPCError as error:
        return error.message[:200] or error.status.name
    except (TimeoutError, RuntimeError) as error:
        return str(error)[:200] or "no answer within 3 s"
    return "ok"


async def _spool(spool: Spool) -> str:
    try:
        await spool.ping()
    except SpoolError as error:
        return str(error)
    return "ok"


async def _store(deliveries: Deliveries) -> str:
    try:
        await deliveries.ping()
    except AwayError as error:
        return str(error)
    return "ok"
