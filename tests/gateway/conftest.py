"""One gateway on a real Temporal server, with a worker whose destination is the console, for all tests here."""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from audit import AuditLog
from gateway.app import create_app
from gateway.security.links import Links
from gateway.security.tokens import Tokens
from gateway.settings import GatewaySettings
from integrations.base.open_destinations import open_destinations
from integrations.base.registry import callbacks, destination_types
from integrations.suppression.store import SuppressionStore
from policy import load_policy
from tests import DEV_SERVER
from tests.signing import signed
from worker.temporal import register_search_attributes
from worker.worker_group import WorkerDependencies, create_worker_group

SECRET, OLD_SECRET, TOKEN = "whsec_new", "whsec_old", "a-long-bearer-token"
PAGERDUTY_SECRET = "pagerduty-new"
CALLBACK_SECRETS = {one.name: (f"{one.name}-new", f"{one.name}-old") for one in callbacks()}
LINK_SECRET = "link-secret"
QUEUE = "gateway-tests"
POLICY = """
version: 1
destinations: {term: {type: console}}
tiers:
  critical: {steps: [{notify: [term]}, {after: 15m, notify: [term]}]}
  high: {steps: [{notify: [term]}]}
  low: {digest: [term]}
models:
  regulated-model: {regulated: true, team: risk}
  plain-model: {team: ops}
rules:
  - {name: all, when: 'alert.metric == "error_rate"', tier: critical}
governance: {ticket: term}
"""
TOKENS = """
viewer vera v-token
responder rosa r-token
compliance carl c-token
admin ada a-token
compliance carol@example.com u-token
"""


@dataclass
class GatewayHarness:
    """A gateway over HTTP, without a socket, and the Temporal server behind it."""

    client: Client
    app: FastAPI
    settings: Callable[..., GatewaySettings]
    http: httpx.AsyncClient
    _numbers: Iterator[int]

    def alert(self, **changes: Any) -> dict[str, Any]:
        """The body of an alert, of a new monitor each time."""
        return {
            "monitor_name": f"monitor {next(self._numbers)}",
            "status": "TRIGGERED",
            "metric": "error_rate",
            "metric_value": 0.3,
            "model": "plain-model",
            "environment": "production",
            **changes,
        }

    async def send(self, alert: dict[str, Any] | bytes, **changes: Any) -> httpx.Response:
        """Post an alert with a signature. ``changes`` replace headers; None removes one."""
        body = alert if isinstance(alert, bytes) else json.dumps(alert).encode()
        event_id = changes.pop("event_id", "")
        headers = {**signed(body, changes.pop("secret", SECRET), event_id), **changes}
        kept = {key: value for key, value in headers.items() if value is not None}
        return await self.http.post("/webhooks/arize", content=body, headers=kept)

    async def open(self, **changes: Any) -> str:
        """The id of a new incident whose first notification is delivered."""
        answer = await self.send(self.alert(**changes))
        assert answer.status_code == 202, answer.text
        await self.until(answer.json()["incident"], lambda one: one["state"] == "notified")
        return answer.json()["incident"]

    async def call(self, method: str, path: str, token: str = "v-token", **more: Any) -> httpx.Response:
        return await self.http.request(method, path, headers={"Authorization": f"Bearer {token}"}, **more)

    async def until(
        self, incident: str, wanted: Callable[[dict[str, Any]], Any], seconds: float = 60
    ) -> dict[str, Any]:
        """Read the incident until ``wanted`` is true of it."""
        end = asyncio.get_running_loop().time() + seconds
        while True:
            one = (await self.call("GET", f"/api/incidents/{incident}")).json()
            if wanted(one):
                return one
            assert asyncio.get_running_loop().time() < end, one
            await asyncio.sleep(0.03)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[GatewayHarness]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "tokens").write_text(TOKENS)
    policy = load_policy(folder / "policy.yaml", destination_types())
    log = AuditLog(f"sqlite:///{folder}/audit.db")

    spools = itertools.count(1)

    def settings(**changes: Any) -> GatewaySettings:
        values: dict[str, Any] = {
            "task_queue": QUEUE,
            "namespace": "default",
            "policy": lambda: policy.digest,
            "rules": lambda: [rule.name for rule in policy.rules],
            "dedup_store_url": f"sqlite:///{folder}/gateway.db",
            "policy_in_force": lambda: policy,
            "audit_url": f"sqlite:///{folder}/audit.db",
            "spool": folder / f"spool-{next(spools)}.db",
            "arize_secrets": (SECRET, OLD_SECRET),
            "arize_tokens": (TOKEN,),
            "callback_secrets": CALLBACK_SECRETS,
            "links": Links("http://gateway", (LINK_SECRET, "older-link-secret")),
            "tokens": Tokens.read(folder / "tokens"),
            "temporal_ui_url": "http://127.0.0.1:8233",
        }
        return GatewaySettings(**{**values, **changes})

    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=DEV_SERVER, data_converter=pydantic_data_converter, dev_server_log_level="error"
    ) as env:
        await register_search_attributes(env.client)
        app = create_app(settings(), env.client)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            create_worker_group(
                env.client,
                QUEUE,
                WorkerDependencies(
                    lambda: policy,
                    open_destinations(policy, {}),
                    log,
                    suppressions=SuppressionStore(f"sqlite:///{folder}/gateway.db"),
                ),
            ),
            httpx.AsyncClient(transport=transport, base_url="http://gateway") as http,
        ):
            yield GatewayHarness(env.client, app, settings, http, itertools.count(1))
    log.close()
