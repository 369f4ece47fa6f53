"""``POST /webhooks/changes`` and ``GET /api/changes``: signatures, clear errors, redeliveries, what is found again."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.app import create_app
from gateway.security.encryption import Keyring
from gateway.services import Services
from integrations.base.signatures import standard_webhooks_fault, standard_webhooks_key
from integrations.changes.model import ReportedChange
from integrations.changes.store import ChangeStore
from tests.gateway.conftest import GatewayHarness
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

KEY, OLD_KEY = b"k" * 32, b"o" * 24


class Changes:
    def __init__(self, gateway: GatewayHarness, url: str, **settings: Any) -> None:
        configured = gateway.settings(dedup_store_url=url, **{"changes_keys": (KEY, OLD_KEY), **settings})
        app = create_app(configured, gateway.client)
        self.services: Services = app.state.services
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")

    async def report(
        self, body: Any, webhook_id: str = "", key: bytes = KEY, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        webhook_id = webhook_id or f"msg-{time.monotonic_ns()}"
        stamp = str(int(time.time()))
        digest = hmac.new(key, f"{webhook_id}.{stamp}.".encode() + content, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        signed = {
            "webhook-id": webhook_id,
            "webhook-timestamp": stamp,
            "webhook-signature": signature,
            **(headers or {}),
        }
        return await self.http.post("/webhooks/changes", content=content, headers=signed)

    async def read(self, token: str = "v-token", **filters: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await self.http.get("/api/changes", params=filters, headers=headers)

    async def titles(self, **filters: str) -> list[str]:
        answer = await self.read(**filters)
        assert answer.status_code == 200, answer.text
        return [one["title"] for one in answer.json()["changes"]]

    async def close(self) -> None:
        await self.http.aclose()
        self.services.changes.store.close()
        self.services.spool.close()


@pytest_asyncio.fixture(loop_scope="session")
async def changes(gateway: GatewayHarness, tmp_path: Path) -> AsyncGenerator[Changes]:
    changes = Changes(gateway, f"sqlite:///{tmp_path}/gateway.db")
    yield changes
    await changes.close()


async def test_signature_follows_standard_webhooks() -> None:
    """A vector of the project's own library, standardwebhooks 1.1.0."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1a,x v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    body, keys = b'{"test": 2432232314}', [standard_webhooks_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    assert standard_webhooks_fault(headers, body, keys, 1614265330 + 300) == ""
    assert standard_webhooks_fault(headers, body, [b"x" * 24, *keys], 1614265330 - 300) == ""
    assert "at most 300 s" in standard_webhooks_fault(headers, body, keys, 1614265330 + 301)
    assert "does not match" in standard_webhooks_fault(headers, body + b" ", keys, 1614265330)
    assert "does not match" in standard_webhooks_fault(headers, body, [b"x" * 24], 1614265330)
    other = {**headers, "webhook-id": "msg_other"}
    assert "does not match" in standard_webhooks_fault(other, body, keys, 1614265330)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64 at all!", "x" * 200])
async def test_invalid_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="base64 of 24 to 64 bytes"):
        standard_webhooks_key(secret)


async def test_change_is_recorded_once(changes: Changes) -> None:
    body = {
        "type": "deploy",
        "models": ["support-chatbot", "contract-retriever"],
        "service": "support-api",
        "environment": "Production",
        "version": 42,
        "title": "Deploy of v42",
        "link": "https://ci.example.com/42",
        "by": "alice",
    }
    first = await changes.report(body, "msg-1")
    again = await changes.report(body, "msg-1")
    assert [(one.status_code, one.json()["state"]) for one in (first, again)] == [(202, "recorded"), (202, "known")]
    (change,) = (await changes.read()).json()["changes"]
    assert change["id"] == first.json()["id"] == again.json()["id"]
    assert (change["models"], change["services"]) == (["support-chatbot", "contract-retriever"], ["support-api"])
    assert (change["kind"], change["environment"], change["version"]) == ("deploy", "production", "42")
    assert (change["link"], change["by"], change["source"]) == ("https://ci.example.com/42", "alice", "changes")


async def test_every_key_in_rotation_is_accepted(changes: Changes) -> None:
    for key in (KEY, OLD_KEY):
        assert (await changes.report({"kind": "deploy"}, key=key)).status_code == 202


@pytest.mark.parametrize(
    ("headers", "detail"),
    [
        ({"webhook-signature": "v1,"}, "does not match"),
        ({"webhook-signature": "v2,abc"}, "does not match"),
        ({"webhook-signature": "garbage without a comma"}, "does not match"),
        ({"webhook-timestamp": "1614265330"}, "s off; at most 300 s"),
        ({"webhook-timestamp": "now"}, "not in Unix seconds"),
        ({"webhook-id": "x" * 201}, "longer than 200"),
    ],
)
async def test_unauthentic_change_is_refused(changes: Changes, headers: dict[str, str], detail: str) -> None:
    answer = await changes.report({"kind": "deploy"}, headers=headers)
    assert (answer.status_code, detail in answer.json()["detail"]) == (401, True), answer.text


async def test_changes_without_secret_are_refused(gateway: GatewayHarness, tmp_path: Path) -> None:
    changes = Changes(gateway, f"sqlite:///{tmp_path}/gateway.db", changes_keys=())
    answer = await changes.report({"kind": "deploy"})
    assert (answer.status_code, "TOCSIN_CHANGES_SECRET" in answer.json()["detail"]) == (401, True)
    await changes.close()


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "must be a JSON object"),
        ({}, 422, "kind is required"),
        ({"kind": 3}, 422, "kind must be text, such as deploy"),
        ({"kind": "deploy", "modle": "x"}, 422, "modle is unknown; known are kind, title, model"),
        ({"kind": "deploy", "type": "deploy"}, 422, "has both kind and type"),
        ({"kind": "deploy", "model": {"name": "x"}}, 422, "model must be a name, or a list of names"),
        ({"kind": "deploy", "link": "javascript:alert(1)"}, 422, "link must be an http or https URL"),
        ({"kind": "deploy", "at": "yesterday"}, 422, "at must be a time in ISO 8601"),
        ({"kind": "deploy", "at": "2037-01-01T00:00:00Z"}, 422, "at is in the future"),
        ({"kind": "deploy", "at": "2020-01-01T00:00:00Z"}, 422, "older than the 30 days"),
    ],
)
async def test_invalid_change_is_explained(changes: Changes, body: Any, status: int, reason: str) -> None:
    answer = await changes.report(body)
    texts = " ".join([answer.json()["detail"], *answer.json()["reasons"]])
    assert (answer.status_code, reason in texts) == (status, True), answer.text


async def test_list_filters_by_model_environment_and_time(changes: Changes) -> None:
    now = datetime.now(UTC)
    for title, minutes, rest in (
        ("old", 180, {"model": "chatbot"}),
        ("chatbot", 60, {"model": ["Chatbot", "other"], "environment": "production"}),
        ("staging", 50, {"model": "chatbot", "environment": "staging"}),
        ("unrelated", 40, {"model": "chatbot-2"}),
        ("everywhere", 30, {}),
    ):
        at = (now - timedelta(minutes=minutes)).isoformat()
        assert (await changes.report({"kind": "deploy", "title": title, "at": at, **rest})).status_code == 202
    assert await changes.titles() == ["everywhere", "unrelated", "staging", "chatbot", "old"]
    assert await changes.titles(model="CHATBOT") == ["everywhere", "staging", "chatbot", "old"]
    assert await changes.titles(model="chatbot", environment="Production") == ["everywhere", "chatbot", "old"]
    since, until = (now - timedelta(hours=2)).isoformat(), (now - timedelta(minutes=45)).isoformat()
    assert await changes.titles(model="chatbot", since=since, until=until) == ["staging", "chatbot"]
    assert await changes.titles(limit="1") == ["everywhere"]
    assert (await changes.read("no-token")).status_code == 401
    assert (await changes.read(since="yesterday")).status_code == 422


async def test_change_events_of_arize_are_listed(gateway: GatewayHarness) -> None:
    body = {
        "event": "prompt.version.created",
        "prompt": {"name": "listed by the test", "version": 7, "author": "bob", "project": {"name": "plain-model"}},
        "uri": "https://app.arize.com/prompts/7",
    }
    answer = await gateway.send(body, event_id="evt-listed-change")
    assert answer.json() == {"incident": "", "state": "recorded"}
    again = await gateway.send(body, event_id="evt-listed-change")
    assert again.status_code == 202
    listed = (await gateway.call("GET", "/api/changes?model=plain-model")).json()["changes"]
    (change,) = [one for one in listed if "listed by the test" in one["title"]]
    assert (change["kind"], change["version"], change["by"], change["source"]) == ("prompt", "7", "bob", "arize")
    assert change["link"] == "https://app.arize.com/prompts/7"


async def test_spool_takes_change_while_database_is_unavailable(gateway: GatewayHarness, tmp_path: Path) -> None:
    in_its_place = tmp_path / "gateway.db"  # a folder: nothing can open it
    in_its_place.mkdir()
    changes = Changes(gateway, f"sqlite:///{tmp_path}/gateway.db")
    answer = await changes.report({"kind": "deploy", "title": "spooled"}, "msg-spooled")
    assert (answer.status_code, answer.json()["state"]) == (202, "spooled")
    assert (await changes.read()).status_code == 503
    in_its_place.rmdir()
    draining = asyncio.create_task(changes.services.ingester.drain())

    async def arrived() -> bool:
        answer = await changes.read()
        return answer.status_code == 200 and [one["title"] for one in answer.json()["changes"]] == ["spooled"]

    await wait_until(arrived)
    draining.cancel()
    assert (await changes.report({"kind": "deploy"}, "msg-spooled")).json()["state"] == "known"
    await changes.close()


async def test_503_while_database_and_spool_are_unavailable(gateway: GatewayHarness, tmp_path: Path) -> None:
    (tmp_path / "gateway.db").mkdir()
    changes = Changes(gateway, f"sqlite:///{tmp_path}/gateway.db", spool_limit=10)
    answer = await changes.report({"kind": "deploy"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    await changes.close()


async def test_contents_of_changes_are_encrypted(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    change = ReportedChange(id="change-1", kind="deploy", title="confidential title", at=datetime.now(UTC))
    store = ChangeStore(url, Keyring([b"k" * 32]))
    assert store.add(change)
    assert store.recent() == [change]
    store.close()
    assert b"confidential" not in b"".join(file.read_bytes() for file in tmp_path.glob("gateway.db*"))
    without_key = ChangeStore(url, Keyring([b"x" * 32]))
    assert without_key.recent() == [], "a change whose key is missing is left out"
    without_key.close()
