"""The gateway as an ASGI application."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from temporalio.client import Client

from gateway import metrics
from gateway.answering import Answering
from gateway.asking import Asker
from gateway.callbacks import callback_routes
from gateway.codec_server import allow_ui, codec_routes
from gateway.deliveries import Deliveries
from gateway.drills import drill_routes
from gateway.express import Express
from gateway.incident_page import page_routes
from gateway.incidents import incident_routes
from gateway.intake import Intake
from gateway.operations import operation_routes
from gateway.problems import Problems, responses
from gateway.rates import Limiter, source
from gateway.settings import GatewaySettings
from gateway.spool import Spool
from gateway.views import Views
from gateway.vitals import NAMES, Vitals
from gateway.webhooks import ARIZE, arize_endpoint, webhook_routes

VERSION = "0.3.0"


def create_app(settings: GatewaySettings, client: Client) -> Express:
    """Build the application. ``client`` may be lazy: then the gateway starts before Temporal does.

    Raises SpoolError where the spool cannot be opened, or belongs to another gateway.
    """
    deliveries = Deliveries(settings.deliveries_url)
    spool = Spool(settings.spool, settings.keys, settings.spool_limit)
    metrics.watch_spool(lambda: spool.depth)
    metrics.watch_deliveries(lambda: deliveries.away)
    vitals = Vitals(client, settings.task_queue)
    metrics.watch_vitals(NAMES, lambda name: len(seen.troubles) if (seen := vitals.seen.get(name)) else float("nan"))
    intake = Intake(client, settings.task_queue, deliveries, spool, settings.decide)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        del app
        beside = [asyncio.create_task(intake.drain()), asyncio.create_task(vitals.watch(settings.vitals_every))]
        yield
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        spool.close()
        deliveries.close()

    limiter = Limiter(settings.rates)
    app = Express(
        Problems(lambda request: limiter.spend("refused", source(request))),
        title="Tocsin",
        version=VERSION,
        summary="Arize alerts as incidents",
        lifespan=lifespan,
        responses=responses(429),
    )
    arize = arize_endpoint(settings, intake, limiter)
    app.express["POST", ARIZE] = arize
    app.include_router(webhook_routes(arize))
    app.include_router(callback_routes(settings, intake, deliveries, limiter))
    app.include_router(drill_routes(settings, intake, limiter))
    asker = Asker(client)
    answering = Answering(client, intake, asker)
    app.include_router(page_routes(settings.links, answering))
    app.include_router(incident_routes(settings, client, Views(client, asker), answering, limiter))
    if settings.keys:
        app.include_router(codec_routes(settings, limiter))
        allow_ui(app, settings)
    app.include_router(operation_routes(settings, client, deliveries, spool, vitals))
    return app
