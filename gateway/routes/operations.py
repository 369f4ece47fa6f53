"""``/healthz``, ``/readyz`` and ``/metrics``."""

import asyncio
from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from temporalio.client import Client
from temporalio.service import RPCError

from gateway import metrics
from gateway.dependencies import (
    ClientDep,
    DedupStoreDep,
    OptionalViewerDep,
    ServicesDep,
    SettingsDep,
    SpoolDep,
    ViewerDep,
)
from gateway.guarded_route import GuardedRoute
from gateway.health_monitor import HealthCheck
from gateway.ingest.dedup_store import DedupStore, DedupUnavailableError
from gateway.ingest.spool import Spool, SpoolError
from gateway.problems import responses
from gateway.quarantine.store import QuarantineStore, QuarantineUnavailableError
from incident.text import counted
from integrations.arize.description_cache import DescriptionCache
from workflows.contracts import INCIDENT_WORKFLOW

PING_TIMEOUT = 3.0  # seconds, for Temporal's answer
_PARTS = ("temporal", "spool", "dedup_store", "quarantine", "arize", "api_tokens")

router = APIRouter(tags=["operations"], route_class=GuardedRoute)


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
    """Whether alerts are accepted. Each part is ``ok``, or what is wrong: in full for a viewer, else in a word."""

    ready: bool = Field(description="An alert that arrives now is accepted, by Temporal or by the spool.")
    temporal: str
    spool: str
    spooled: SpoolDepth
    stuck: list[str] = Field(
        description="What the spool cannot deliver although Temporal is available, a sentence each."
    )
    dedup_store: str = Field(description="Alerts are accepted without it.")
    quarantine: str = Field(description="Without it, the spool takes deliveries that nothing can read.")
    quarantined: int = Field(description="Deliveries that wait for a replay, as they were counted last.")
    arize: str = Field(
        description="`ok`, what workers reported of Arize's API lately, or `not used`. Alerts are accepted without it."
    )
    policy: str = Field(description="The digest of the policy that is loaded, and why a newer one was rejected.")
    api_tokens: str = Field(description="`ok`, or why the file of tokens was not read again: the last ones are valid.")
    health: dict[str, str] = Field(
        description="The latest health checks: temporal, workers, workflow_tasks, activities, records, schedules."
    )


@router.get("/healthz", summary="The process is alive", responses=responses(422))
async def healthz() -> Liveness:
    return Liveness()


@router.get(
    "/readyz",
    response_model=Readiness,
    summary="Alerts are accepted",
    responses={503: {"model": Readiness, "description": "Not ready"}, **responses(401, 403, 422)},
)
async def readyz(
    viewer: OptionalViewerDep,
    settings: SettingsDep,
    client: ClientDep,
    dedup_store: DedupStoreDep,
    spool: SpoolDep,
    services: ServicesDep,
) -> Response:
    health, quarantine, ingester = services.health, services.quarantine.store, services.ingester
    temporal, dedup_status, spool_status, quarantine_status = await asyncio.gather(
        _temporal_status(client), _dedup_store_status(dedup_store), _spool_status(spool), _quarantine_status(quarantine)
    )
    depth = spool.depth
    readiness = Readiness(
        ready="ok" in {spool_status, temporal},
        temporal=temporal,
        spool=spool_status,
        spooled=SpoolDepth(items=depth.items, bytes=depth.bytes, limit=depth.limit, oldest_seconds=round(depth.age, 1)),
        stuck=[] if ingester.temporal_unavailable else ingester.stuck.texts(),
        dedup_store=dedup_status,
        quarantine=quarantine_status,
        quarantined=quarantine.held.items,
        arize=_arize_status(settings.descriptions),
        policy=settings.policy(),
        api_tokens=settings.tokens.problem or "ok",
        health={name: str(check) for name, check in health.latest.items()},
    )
    if viewer is None:
        readiness = _without_details(readiness, health.latest)
    return JSONResponse(readiness.model_dump(), 200 if readiness.ready else 503)


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}, **responses(401, 403, 422)},
)
async def prometheus_metrics(caller: ViewerDep) -> Response:
    del caller
    return Response(generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _without_details(readiness: Readiness, checks: Mapping[str, HealthCheck]) -> Readiness:
    """For anyone: whether each part works. The errors name incidents, hosts and what vendors answered."""
    state = {name: _state(getattr(readiness, name)) for name in _PARTS}
    rejected = "; a change is rejected" if "; " in readiness.policy else ""
    policy = readiness.policy.partition("; ")[0] + rejected
    health = {name: _count(len(check.problems)) for name, check in checks.items()}
    return readiness.model_copy(update={**state, "policy": policy, "health": health})


def _state(text: str) -> str:
    return text if text in {"ok", "not used"} else "unavailable"


def _count(problems: int) -> str:
    return counted(problems, "problem", "problems") if problems else "ok"


async def _temporal_status(client: Client) -> str:
    query = f"WorkflowType = '{INCIDENT_WORKFLOW}' AND ExecutionStatus = 'Running'"
    try:
        await asyncio.wait_for(client.count_workflows(query), PING_TIMEOUT)
    except RPCError as error:
        return error.message[:200] or error.status.name
    except (TimeoutError, RuntimeError) as error:
        return str(error)[:200] or f"no answer within {PING_TIMEOUT:g} s"
    return "ok"


def _arize_status(descriptions: DescriptionCache | None) -> str:
    if descriptions is None:
        return "not used"
    return "; ".join(dict.fromkeys(descriptions.problems.values())) or "ok"


async def _spool_status(spool: Spool) -> str:
    try:
        await spool.ping()
    except SpoolError as error:
        return str(error)
    return "ok"


async def _quarantine_status(store: QuarantineStore) -> str:
    try:
        await store.ping()
    except QuarantineUnavailableError as error:
        return str(error)
    return "ok"


async def _dedup_store_status(dedup_store: DedupStore) -> str:
    try:
        await dedup_store.ping()
    except DedupUnavailableError as error:
        return str(error)
    return "ok"
