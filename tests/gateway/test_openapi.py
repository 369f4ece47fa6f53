"""The OpenAPI document is true: the gateway answers the requests that schemathesis generates as documented."""

import asyncio
import atexit
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from gateway.app import create_app
from gateway.security.rates import Rates
from gateway.security.tokens import Caller, Tokens, hash_token
from gateway.settings import GatewaySettings
from integrations.base.registry import callbacks
from tests.gateway.conftest import GatewayHarness

TOKEN = "schemathesis-token"


def _app() -> Any:
    """A gateway without Temporal: it gives every answer that does not need Temporal."""
    folder = tempfile.mkdtemp(prefix="tocsin-openapi-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    unavailable = asyncio.run(Client.connect("127.0.0.1:9", lazy=True, data_converter=pydantic_data_converter))
    return create_app(
        GatewaySettings(
            task_queue="q",
            namespace="default",
            policy=lambda: "digest",
            dedup_store_url=f"sqlite:///{folder}/gateway.db",
            spool=Path(folder) / "spool.db",
            rates=Rates(refused="1000000/minute"),
            insecure=True,
            tokens=Tokens({hash_token(TOKEN): Caller("schema", "admin")}),
        ),
        unavailable,
    )


schema = schemathesis.openapi.from_asgi("/openapi.json", _app())


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_gateway_answers_as_documented(case: Any) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=_not_applicable())


def _not_applicable() -> list[Any]:
    """Temporal is unavailable on purpose: 503 is a correct answer to requests that need it."""
    from schemathesis import checks

    return [checks.not_a_server_error] + [
        check
        for check in checks.CHECKS.get_all()
        if check.__name__
        in {"positive_data_acceptance", "negative_data_rejection", "ignored_auth", "missing_required_header"}
    ]


@pytest.mark.asyncio(loop_scope="session")
async def test_document_names_every_endpoint(gateway: GatewayHarness) -> None:
    document = (await gateway.http.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/webhooks/arize",
        *(f"/webhooks/{vendor.path}" for vendor in callbacks()),
        "/webhooks/changes",
        "/api/changes",
        "/api/quarantine",
        "/api/quarantine/replay",
        "/api/quarantine/{id}",
        "/api/quarantine/{id}/replay",
        "/api/drills",
        "/api/incidents",
        "/api/incidents/{id}",
        "/api/incidents/{id}/acknowledge",
        "/api/incidents/{id}/resolve",
        "/api/incidents/{id}/annotate",
        "/api/silences",
        "/api/silences/preview",
        "/api/silences/{id}/expire",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert document["paths"]["/webhooks/arize"]["post"]["responses"]["401"]["content"].keys() == {
        "application/problem+json"
    }
    vendor_ids = {document["paths"][f"/webhooks/{one.path}"]["post"]["operationId"] for one in callbacks()}
    assert vendor_ids == {f"receive_{one.name}_webhook" for one in callbacks()}
    assert document["info"]["version"] == version("tocsin")
