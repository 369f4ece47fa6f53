"""Assembles the gateway: the services, and the routes over them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from temporalio.client import Client

from gateway import metrics
from gateway.action_service import ActionService
from gateway.callback_incidents import CallbackIncidents
from gateway.fast_route import FastRouteApp
from gateway.health_monitor import CHECKS, HealthMonitor
from gateway.incident_cache import IncidentCache
from gateway.ingest.dedup_store import DedupStore
from gateway.ingest.earlier_ids import FIRST_WAIT
from gateway.ingest.ingester import AlertIngester
from gateway.ingest.open_incidents import OpenIncidents
from gateway.ingest.reported_changes import ChangeRecorder
from gateway.ingest.spool import Spool
from gateway.ingest.suppress import suppress_by
from gateway.known_runs import KnownRuns
from gateway.problems import Problems, responses
from gateway.quarantine.quarantine import Quarantine
from gateway.quarantine.replay import QuarantineKeeper, QuarantineReplay
from gateway.quarantine.store import QuarantineStore
from gateway.query_client import IncidentQueryClient
from gateway.responder_replies import ResponderReplies
from gateway.routes import (
    arize,
    callbacks,
    changes,
    codec,
    drills,
    home,
    incident_page,
    incidents,
    operations,
    quarantine,
    silences,
)
from gateway.security.codec_sessions import CodecSessions
from gateway.security.encryption import EncryptionCodec
from gateway.security.rates import RateLimiter, client_address
from gateway.services import Services
from gateway.settings import GatewaySettings
from gateway.silences import SilenceService
from gateway.version import VERSION
from integrations.changes.store import ChangeStore
from integrations.suppression.finder import SuppressionFinder
from integrations.suppression.store import SuppressionStore


def create_app(settings: GatewaySettings, client: Client) -> FastRouteApp:
    """Build the gateway's ASGI application.

    Args:
        settings: the gateway's settings.
        client: of Temporal. A lazy one lets the gateway start while Temporal is unavailable.

    Raises:
        SpoolError: the spool cannot be opened, or another gateway has it.
    """
    services = _create_services(settings, client)
    _export_metrics(services)
    app = FastRouteApp(
        services,
        Problems(lambda request: services.limiter.spend("refused", client_address(request))),
        title="Tocsin",
        version=VERSION,
        summary="Arize alerts as incidents",
        docs_url=None,  # FastAPI's pages for it load scripts from another host
        redoc_url=None,
        lifespan=_lifespan,
        responses=responses(429),
    )
    app.add_fast_route("POST", arize.PATH, arize.receive_arize_webhook)
    app.include_router(changes.webhook_router)
    for module in (arize, callbacks, changes, drills, home, incident_page, incidents, operations, quarantine, silences):
        app.include_router(module.router)
    if settings.keys:
        app.include_router(codec.router)
        if settings.temporal_ui_url:
            codec.allow_temporal_ui(app, settings.temporal_ui_url)
    return app


def _create_services(settings: GatewaySettings, client: Client) -> Services:
    dedup_store = DedupStore(settings.dedup_store_url)
    spool = Spool(settings.spool, settings.keys, settings.spool_limit)
    suppressions = SuppressionFinder(
        SuppressionStore(settings.dedup_store_url), settings.policy_in_force, OpenIncidents(client).is_open
    )
    ingester = AlertIngester(
        client,
        settings.task_queue,
        dedup_store,
        spool,
        settings.decide,
        settings.grouping,
        suppress_by(suppressions),
    )
    held = Quarantine(QuarantineStore(settings.dedup_store_url, settings.keys, settings.quarantine), ingester)
    recorder = ChangeRecorder(ChangeStore(settings.dedup_store_url, settings.keys), ingester)
    ingester.quarantine_with(held.take_in_undeliverable)
    ingester.deliver_spooled("quarantine", held.deliver_spooled)
    ingester.deliver_spooled("reported_change", recorder.deliver_spooled)
    queries, runs = IncidentQueryClient(client), KnownRuns()
    incidents = IncidentCache(client, queries, runs)
    return Services(
        settings=settings,
        client=client,
        limiter=RateLimiter(settings.rates),
        dedup_store=dedup_store,
        spool=spool,
        ingester=ingester,
        quarantine=held,
        replay=QuarantineReplay(held.store, ingester, settings.mappings),
        changes=recorder,
        suppressions=suppressions,
        health=HealthMonitor(client, settings.task_queue),
        incidents=incidents,
        silences=SilenceService(
            client,
            settings.task_queue,
            suppressions.store,
            settings.policy_in_force,
            incidents,
            settings.audit_url,
        ),
        actions=ActionService(client, ingester, queries, runs),
        callback_incidents=CallbackIncidents(client, dedup_store),
        replies=ResponderReplies(settings.slack_reply_prefix),
        codec=EncryptionCodec(settings.keys),
        codec_sessions=CodecSessions(settings.keys, settings.tokens, secure=settings.links.root.startswith("https://")),
    )


def _export_metrics(services: Services) -> None:
    def problem_count(check: str) -> float:
        result = services.health.latest.get(check)
        return float("nan") if result is None else len(result.problems)

    metrics.export_spool(lambda: services.spool.depth)
    metrics.export_dedup_store(lambda: not services.dedup_store.unavailable)
    metrics.export_quarantine(lambda: (services.quarantine.store.held.items, services.quarantine.store.held.bytes))
    metrics.export_health(CHECKS, problem_count)
    if (descriptions := services.settings.descriptions) is not None:
        metrics.export_descriptions(lambda: len(descriptions), lambda: not descriptions.problems)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncGenerator[None]:
    services: Services = app.state.services
    tasks = [
        asyncio.create_task(services.ingester.drain()),
        asyncio.create_task(services.health.run(services.settings.health_interval)),
        earlier := asyncio.create_task(services.ingester.find_earlier_incidents()),
        asyncio.create_task(QuarantineKeeper(services.quarantine, services.replay).run()),
    ]
    await asyncio.wait([earlier], timeout=FIRST_WAIT)
    if services.settings.descriptions is not None:
        await services.settings.descriptions.load()  # the first alert finds them
        tasks.append(asyncio.create_task(services.settings.descriptions.run()))
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    services.spool.close()
    services.dedup_store.close()
    services.quarantine.store.close()
    services.changes.store.close()
    services.silences.close()
    services.suppressions.close()
    if services.settings.descriptions is not None:
        services.settings.descriptions.close()
