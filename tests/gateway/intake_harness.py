"""A gateway with a quarantine of its own, for tests of what nothing can read."""

import itertools
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from gateway.app import create_app
from gateway.quarantine.replay import QuarantineKeeper
from gateway.services import Services
from integrations.base.registry import destination_types
from policy import Policy, load_policy
from tests.gateway.conftest import POLICY, SECRET, GatewayHarness
from tests.signing import signed

MAPPING = """
intake:
  mappings:
    - name: detector-format
      when: has(payload.detector)
      alert:
        monitor: payload.detector.title
        metric: payload.detector.metric
        value: payload.observed
        model: payload.service
"""
_numbers = itertools.count(1)


def detection(**changes: Any) -> dict[str, Any]:
    """A body in a format of a user's own, of a new detector each time."""
    detector = {"title": f"detector {next(_numbers)}", "metric": "error_rate"}
    return {"detector": detector, "observed": 0.4, "service": "plain-model", **changes}


class Intake:
    """A gateway with a database of its own, whose policy may get mappings while it runs."""

    def __init__(self, gateway: GatewayHarness, folder: Path, client: Client | None = None, **settings: Any) -> None:
        self.gateway, self.folder = gateway, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.policy = self.load("")
        settings = {"dedup_store_url": f"sqlite:///{folder}/gateway.db", **settings}
        configured = gateway.settings(mappings=lambda: self.policy.mappings, **settings)
        self.app = create_app(configured, client or gateway.client)
        self.services: Services = self.app.state.services
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://gateway")

    def load(self, intake: str) -> Policy:
        file = self.folder / "policy.yaml"
        file.write_text(POLICY + intake, encoding="utf-8")
        return load_policy(file, destination_types())

    def add_mapping(self) -> None:
        self.policy = self.load(MAPPING)

    async def send(self, body: Any, event_id: str = "", **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.http.post(
            "/webhooks/arize", content=content, headers={**signed(content, SECRET, event_id), **headers}
        )

    async def quarantine(self, body: Any, **options: Any) -> str:
        """Send a body that nothing reads, and return its id in the quarantine."""
        answer = await self.send(body, **options)
        assert (answer.status_code, answer.json()["state"]) == (202, "quarantined"), answer.text
        return (await self.call("GET", "")).json()["deliveries"][0]["id"]

    async def call(self, method: str, path: str, token: str = "r-token", **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await self.http.request(method, f"/api/quarantine{path}", headers=headers, **more)

    async def replay(self, *ids: str, token: str = "r-token") -> list[dict[str, Any]]:
        answer = await self.call("POST", "/replay", token, json={"ids": ids})
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    async def keep(self) -> None:
        """One round of the keeper, as if everything had been left alone for long."""
        await QuarantineKeeper(self.services.quarantine, self.services.replay, idle_seconds=-1).keep()

    async def close(self) -> None:
        await self.http.aclose()
        self.services.quarantine.store.close()
        self.services.changes.store.close()
        self.services.spool.close()


@asynccontextmanager
async def open_intake(gateway: GatewayHarness, folder: Path, **settings: Any) -> AsyncGenerator[Intake]:
    intake = Intake(gateway, folder, **settings)
    try:
        yield intake
    finally:
        await intake.close()


async def unavailable_temporal() -> Client:
    return await Client.connect("127.0.0.1:9", lazy=True, data_converter=pydantic_data_converter)
