"""``/healthz``, ``/readyz`` and ``/metrics``."""

import asyncio
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from temporalio.client import Client
from temporalio.service import RPCError

from gateway import metrics
from gateway.dependencies import ClientDep, DedupStoreDep, HealthDep, SettingsDep, SpoolDep
from gateway.ingest.dedup_store import DedupStore, DedupUnavailableError
from gateway.ingest.spool import Spool, SpoolError
from workflows.contracts import INCIDENT_WORKFLOW

PING_TIMEOUT = 3.0  # seconds, for Temporal's answer

router = APIRouter(tags=["operations"])


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class SpoolDepth(BaseModel):
    """The items that wait for Temporal."""

    items: int
    bytes: int
    limit: int = Field(description="In bytes.")
    oldest_seconds: float = Field(description="The age of the oldest item.")


class Readiness(BaseModel):
    """Whether alerts are accepted. Each part is ``ok``, or says what is wrong."""

    ready: bool = Field(description="An alert that arrives now is accepted, by Temporal or by the spool.")
    temporal: str
    spool: str
    spooled: SpoolDepth
    dedup_store: str = Field(description="Alerts are accepted without it.")
    policy: str = Field(description="The digest of the policy that is loaded, and why a newer one was rejected.")
    health: dict[str, str] = Field(
        description="The latest health checks: temporal, workers, workflow_tasks, activities, schedules."
    )


@router.get("/healthz", summary="The process is alive")
async def healthz() -> Liveness:
    return Liveness()


@router.get(
    "/readyz",
    response_model=Readiness,
    summary="Alerts are accepted",
    responses={503: {"model": Readiness, "description": "Not ready"}},
)
async def readyz(
    settings: SettingsDep, client: ClientDep, dedup_store: DedupStoreDep, spool: SpoolDep, health: HealthDep
) -> Response:
    temporal, dedup_status, spool_status = await asyncio.gather(
        _temporal_status(client), _dedup_store_status(dedup_store), _spool_status(spool)
    )
    depth = spool.depth
    readiness = Readiness(
        ready="ok" in {spool_status, temporal},
        temporal=temporal,
        spool=spool_status,
        spooled=SpoolDepth(items=depth.items, bytes=depth.bytes, limit=depth.limit, oldest_seconds=round(depth.age, 1)),
        dedup_store=dedup_status,
        policy=settings.policy(),
        health={name: str(check) for name, check in health.latest.items()},
    )
    return JSONResponse(readiness.model_dump(), 200 if readiness.ready else 503)


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def prometheus_metrics() -> Response:
    return Response(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _temporal_status(client: Client) -> str:
    query = f"WorkflowType = '{INCIDENT_WORKFLOW}' AND ExecutionStatus = 'Running'"
    try:
        await asyncio.wait_for(client.count_workflows(query), PING_TIMEOUT)
    except RPCError as error:
        return error.message[:200] or error.status.name
    except (TimeoutError, RuntimeError) as error:
        return str(error)[:200] or f"no answer within {PING_TIMEOUT:g} s"
    return "ok"


async def _spool_status(spool: Spool) -> str:
    try:
        await spool.ping()
    except SpoolError as error:
        return str(error)
    return "ok"


async def _dedup_store_status(dedup_store: DedupStore) -> str:
    try:
        await dedup_store.ping()
    except DedupUnavailableError as error:
        return str(error)
    return "ok"
