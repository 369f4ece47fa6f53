"""The gateway as an ASGI application."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from temporalio.client import Client

from gateway import problems
from gateway.callbacks import callback_routes
from gateway.deliveries import Deliveries
from gateway.drills import drill_routes
from gateway.incident_page import page_routes
from gateway.incidents import incident_routes
from gateway.intake import Intake
from gateway.operations import operation_routes
from gateway.settings import GatewaySettings
from gateway.webhooks import webhook_routes

VERSION = "0.2.0"


def create_app(settings: GatewaySettings, client: Client) -> FastAPI:
    """Build the application. ``client`` may be lazy: then the gateway starts before Temporal does."""
    deliveries = Deliveries(settings.deliveries_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        del app
        yield
        deliveries.close()

    app = FastAPI(title="Tocsin", version=VERSION, summary="Arize alerts as incidents", lifespan=lifespan)
    problems.install(app)
    intake = Intake(client, settings.task_queue, deliveries)
    app.include_router(webhook_routes(settings, client, intake))
    app.include_router(callback_routes(settings, client, deliveries))
    app.include_router(drill_routes(settings, intake))
    app.include_router(page_routes(settings.links, client))
    app.include_router(incident_routes(settings, client))
    app.include_router(operation_routes(settings, client, deliveries))
    return app
