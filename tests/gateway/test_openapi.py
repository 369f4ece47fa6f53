"""The OpenAPI document is true: whatever schemathesis makes of it, the gateway answers as it says."""

import asyncio
import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from gateway.app import create_app
from gateway.callbacks import VENDORS
from gateway.rates import Rates
from gateway.settings import GatewaySettings
from gateway.tokens import Caller, Tokens, _hash
from tests.gateway.conftest import House

TOKEN = "schemathesis-token"


def _app() -> Any:
    """The app with Temporal away: every answer that can be given without it."""
    folder = tempfile.mkdtemp(prefix="tocsin-openapi-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    away = asyncio.run(Client.connect("127.0.0.1:9", lazy=True, data_converter=pydantic_data_converter))
    return create_app(
        GatewaySettings(
            task_queue="q",
            namespace="default",
            policy=lambda: "digest",
            deliveries_url=f"sqlite:///{folder}/gateway.db",
            spool=Path(folder) / "spool.db",
            rates=Rates(refused="1000000/minute"),
            insecure=True,
            tokens=Tokens({_hash(TOKEN): Caller("schema", "admin")}),
        ),
        away,
    )


schema = schemathesis.openapi.from_asgi("/openapi.json", _app())


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_the_gateway_answers_as_its_document_says(case: Any) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=_not_applicable())


def _not_applicable() -> list[Any]:
    """Temporal is away on purpose: 503 is an answer to what only it can tell."""
    from schemathesis import checks

    return [checks.not_a_server_error] + [
        check
        for check in checks.CHECKS.get_all()
        if check.__name__
        in {"positive_data_acceptance", "negative_data_rejection", "ignored_auth", "missing_required_header"}
    ]


@pytest.mark.asyncio(loop_scope="session")
async def test_the_document_is_served_and_names_every_endpoint(house: House) -> None:
    document = (await house.http.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/webhooks/arize",
        *(f"/webhooks/{vendor.path}" for vendor in VENDORS),
        "/api/drills",
        "/api/incidents",
        "/api/incidents/{id}",
        "/api/incidents/{id}/acknowledge",
        "/api/incidents/{id}/resolve",
        "/api/incidents/{id}/annotate",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert document["paths"]["/webhooks/arize"]["post"]["responses"]["401"]["content"].keys() == {
        "application/problem+json"
    }
