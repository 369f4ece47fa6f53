"""Callbacks of tickets: only the ticket that an incident opened counts, and it is found without a label."""

import copy
import itertools
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from audit import AuditLog
from gateway.app import create_app
from integrations.base.open_destinations import open_destinations
from integrations.base.registry import destination_types
from policy import load_policy
from tests.gateway.callback_senders import bearer, hub_signed
from tests.gateway.conftest import CALLBACK_SECRETS, SECRET, GatewayHarness
from tests.integrations.vendors_table import SECRETS
from tests.signing import signed
from tests.vendors import Fault, Jira, ServiceNow
from worker.worker_group import WorkerDependencies, create_worker_group

pytestmark = pytest.mark.asyncio(loop_scope="session")
QUEUE = "ticket-tests"
POLICY = """
version: 1
destinations:
  term: {{type: console}}
  jira: {{type: jira, base_url: '{jira}', user: {{env: JIRA_USER}}, token: {{env: JIRA_TOKEN}}, project: OPS}}
  snow: {{type: servicenow, base_url: '{snow}', user: {{env: SNOW_USER}}, password: {{env: SNOW_PASSWORD}}}}
tiers:
  critical: {{steps: [{{notify: [term]}}]}}
  high: {{steps: [{{notify: [term]}}]}}
  low: {{digest: [term]}}
models:
  regulated-model: {{regulated: true, team: risk}}
  plain-model: {{team: ops}}
rules:
  - {{name: all, when: 'alert.metric == "error_rate"', tier: critical, ticket: [jira, snow]}}
governance: {{ticket: jira}}
"""


@dataclass
class TicketHarness:
    """A gateway, a worker and the stand-ins of both vendors of tickets."""

    gateway: GatewayHarness
    jira: Jira
    snow: ServiceNow

    async def open(self, **changes: Any) -> tuple[str, dict[str, Any]]:
        """A new incident with a ticket at both vendors: its id and its view."""
        body = json.dumps(self.gateway.alert(**changes)).encode()
        answer = await self.gateway.http.post("/webhooks/arize", content=body, headers=signed(body, SECRET))
        incident = answer.json()["incident"]
        view = await self.gateway.until(incident, lambda one: len(one.get("receipts", ())) >= 3)
        return incident, view

    async def send(self, name: str, payload: Any) -> httpx.Response:
        sign = hub_signed if name == "jira" else bearer
        content, headers = sign(payload, CALLBACK_SECRETS[name][0])
        return await self.gateway.http.post(f"/webhooks/{name}", content=content, headers=headers)

    async def events(self, incident: str, event: str, count: int = 1) -> list[tuple[str, str]]:
        """The texts and persons of an event, as soon as there are ``count``."""

        def found(one: dict[str, Any]) -> list[tuple[str, str]]:
            return [(entry["text"], entry["by"]) for entry in one["timeline"] if entry["event"] == event]

        return found(await self.gateway.until(incident, lambda one: len(found(one)) >= count))


_numbers = itertools.count(100_000)  # the other tests of this server open monitors from 1 on


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tickets(gateway: GatewayHarness, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[TicketHarness]:
    folder: Path = tmp_path_factory.mktemp("tickets")
    with ExitStack() as stack:
        jira, snow = stack.enter_context(Jira()), stack.enter_context(ServiceNow())
        (folder / "policy.yaml").write_text(POLICY.format(jira=jira.base_url, snow=snow.base_url))
        policy = load_policy(folder / "policy.yaml", destination_types())
        log = AuditLog(f"sqlite:///{folder}/audit.db")
        settings = gateway.settings(task_queue=QUEUE, dedup_store_url=f"sqlite:///{folder}/gateway.db")
        app = create_app(settings, gateway.client)
        destinations = open_destinations(policy, SECRETS)
        dependencies = WorkerDependencies(lambda: policy, destinations, log)
        async with (
            create_worker_group(gateway.client, QUEUE, dependencies),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http,
        ):
            harness = GatewayHarness(gateway.client, app, gateway.settings, http, _numbers)
            yield TicketHarness(harness, jira, snow)
        for one in destinations.values():
            await one.close()
        log.close()


def key_of(view: dict[str, Any]) -> str:
    return f"{view['id']}.{view['first_run_id'][-8:]}"


def receipt_of(view: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in view["receipts"] if one["destination"] == name)


def jira_closed(view: dict[str, Any], site: str) -> dict[str, Any]:
    """``jira:issue_updated`` as Jira Cloud sends it when a person closes the ticket."""
    key = receipt_of(view, "jira")["id"]
    return {
        "timestamp": next(_numbers),
        "webhookEvent": "jira:issue_updated",
        "user": {"accountId": "1", "accountType": "atlassian", "displayName": "Carol"},
        "issue": {
            "id": "10001",
            "self": f"{site}/rest/api/2/issue/10001",
            "key": key,
            "fields": {
                "labels": ["tocsin", key_of(view)],
                "project": {"key": "OPS"},
                "status": {"name": "Done", "statusCategory": {"key": "done"}},
            },
        },
        "changelog": {"id": str(next(_numbers)), "items": [{"field": "resolution", "toString": "Done"}]},
    }


def servicenow_closed(view: dict[str, Any]) -> dict[str, Any]:
    receipt = receipt_of(view, "snow")
    return {
        "correlation_id": key_of(view),
        "number": receipt["id"],
        "sys_id": receipt["location"],
        "state": "6",
        "user_name": "Carol",
        "at": "2026-11-25 17:00:00",
    }


def closed(tickets: TicketHarness, name: str, view: dict[str, Any]) -> dict[str, Any]:
    return jira_closed(view, tickets.jira.base_url) if name == "jira" else servicenow_closed(view)


both = pytest.mark.parametrize("name", ["jira", "servicenow"])


@both
async def test_closing_the_ticket_closes_incident(tickets: TicketHarness, name: str) -> None:
    incident, view = await tickets.open()
    assert (await tickets.send(name, closed(tickets, name, view))).status_code == 202
    one = await tickets.gateway.until(incident, lambda one: one["state"] == "closed")
    assert one["resolved_by"] == "Carol"


@both
@pytest.mark.parametrize(
    ("email", "state"),
    [
        ("Carol@Example.com", "closed"),
        ("eve@example.com", "awaiting_human"),
        ("carl", "awaiting_human"),  # the name of a token, and no address
        ("car\u200bol@example.com", "awaiting_human"),
        ("Carol <carol@example.com>", "awaiting_human"),
        ("carol@example.com,eve@example.com", "awaiting_human"),
    ],
)
async def test_role_needs_the_exact_address(tickets: TicketHarness, name: str, email: str, state: str) -> None:
    incident, view = await tickets.open(model="regulated-model")
    payload = closed(tickets, name, view)
    (payload["user"] if name == "jira" else payload)["emailAddress" if name == "jira" else "email"] = email
    await tickets.send(name, payload)
    await tickets.gateway.until(incident, lambda one: one["state"] == state)


def _variants() -> Iterator[Any]:
    def jira(**changes: Any) -> Any:
        return lambda payload: payload["issue"].update(changes)

    yield pytest.param("jira", jira(key="SEC-1"), id="clone in another project")
    yield pytest.param("jira", jira(key="OPS-99999"), id="clone in the same project")
    yield pytest.param("jira", jira(self="https://other.atlassian.net/rest/api/2/issue/1"), id="another site")
    yield pytest.param("jira", lambda payload: payload["issue"].pop("key"), id="no key")
    other = {"project": {"key": "SEC"}}
    yield pytest.param("jira", lambda payload: payload["issue"]["fields"].update(other), id="another project's name")
    yield pytest.param("servicenow", lambda payload: payload.update(number="INC9999999"), id="another number")
    yield pytest.param("servicenow", lambda payload: payload.update(sys_id="f" * 32), id="another sys_id")
    yield pytest.param("servicenow", lambda payload: payload.update(instance="other.service-now.com"), id="instance")
    nothing = ("number", "sys_id")
    yield pytest.param("servicenow", lambda payload: [payload.pop(one) for one in nothing], id="no ticket")


@pytest.mark.parametrize(("name", "change"), list(_variants()))
@pytest.mark.parametrize("model", ["plain-model", "regulated-model"])
async def test_other_ticket_closes_nothing(tickets: TicketHarness, name: str, change: Any, model: str) -> None:
    """Even if a compliance officer closes it."""
    incident, view = await tickets.open(model=model)
    payload = closed(tickets, name, view)
    payload.update(email="carol@example.com") if name == "servicenow" else None
    payload["user"].update(emailAddress="carol@example.com") if name == "jira" else None
    change(payload)
    assert (await tickets.send(name, payload)).status_code < 300
    ((text, by),) = await tickets.events(incident, "other_ticket_ignored")
    assert ("did not open that ticket" in text, by) == (True, "Carol")
    assert (await tickets.gateway.until(incident, lambda one: one))["state"] == "notified"


@both
async def test_comment_in_other_ticket_names_it(tickets: TicketHarness, name: str) -> None:
    incident, view = await tickets.open()
    payload = closed(tickets, name, view)
    if name == "jira":
        payload |= {"webhookEvent": "comment_created", "comment": {"id": "7", "body": "here, too"}}
        payload["issue"] |= {"key": "SEC-12", "fields": {"labels": [key_of(view)], "project": {"key": "SEC"}}}
    else:
        payload |= {"state": "2", "comment": "here, too", "number": "SEC-12"}
    await tickets.send(name, payload)
    assert [text for text, _ in await tickets.events(incident, "annotated")] == ["SEC-12: here, too"]


@pytest.mark.parametrize(
    "body", ["looking at it", {"type": "doc", "content": [{"type": "text", "text": "looking at it"}]}]
)
@pytest.mark.parametrize("with_site", [True, False])
async def test_jira_comment_without_labels_is_found(tickets: TicketHarness, body: Any, with_site: bool) -> None:
    incident, view = await tickets.open()
    payload = jira_closed(view, tickets.jira.base_url)
    del payload["issue"]["fields"]["labels"]
    if not with_site:
        del payload["issue"]["self"]
    payload |= {"webhookEvent": "comment_created", "comment": {"id": "1", "author": {"displayName": "Carol"}}}
    payload["comment"]["body"] = body
    assert (await tickets.send("jira", payload)).json()["incident"] == incident
    await tickets.send("jira", payload)
    assert await tickets.events(incident, "annotated") == [("looking at it", "Carol")]


async def test_comment_is_found_by_every_gateway(tickets: TicketHarness, tmp_path: Path) -> None:
    """Another gateway, which has seen nothing of the incident."""
    incident, view = await tickets.open()
    payload = jira_closed(view, tickets.jira.base_url)
    del payload["issue"]["fields"]["labels"]
    payload |= {"webhookEvent": "comment_created", "comment": {"id": "1", "body": "seen", "author": {}}}
    settings = tickets.gateway.settings(dedup_store_url=f"sqlite:///{tmp_path}/other.db")
    transport = httpx.ASGITransport(create_app(settings, tickets.gateway.client))
    content, headers = hub_signed(payload, CALLBACK_SECRETS["jira"][0])
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await http.post("/webhooks/jira", content=content, headers=headers)
    assert (answer.status_code, answer.json()["incident"]) == (202, incident)


async def test_unknown_ticket_is_not_ours(tickets: TicketHarness) -> None:
    _, view = await tickets.open()
    payload = jira_closed(view, tickets.jira.base_url)
    payload["issue"] |= {"key": "OPS-777777", "fields": {"project": {"key": "OPS"}}}
    answer = await tickets.send("jira", payload)
    assert (answer.status_code, answer.json()["reason"]) == (200, "not an incident of this Tocsin")


async def test_label_of_another_incident_is_no_match(tickets: TicketHarness) -> None:
    """A second label, in front of the ticket's own, names another incident."""
    first, view = await tickets.open()
    second, other = await tickets.open()
    payload = jira_closed(view, tickets.jira.base_url)
    payload["issue"]["fields"]["labels"].insert(0, key_of(other))
    assert (await tickets.send("jira", payload)).json()["incident"] == first
    await tickets.gateway.until(first, lambda one: one["state"] == "closed")
    assert (await tickets.gateway.until(second, lambda one: one))["state"] == "notified"


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("jira", {"changelog": {"id": "9", "items": [{"field": "resolution", "toString": "Duplicate"}]}}, "closed as"),
        ("jira", {"webhookEvent": "jira:issue_deleted"}, "was deleted"),
        ("servicenow", {"state": "8"}, "is canceled"),
        ("servicenow", {"close_code": "Duplicate"}, "is closed as Duplicate"),
    ],
)
async def test_ticket_that_ends_otherwise_is_noted(
    tickets: TicketHarness, name: str, change: dict[str, Any], text: str
) -> None:
    incident, view = await tickets.open()
    await tickets.send(name, closed(tickets, name, view) | change)
    ((noted, _),) = await tickets.events(incident, "annotated")
    assert text in noted
    assert "stays open" in noted
    assert (await tickets.gateway.until(incident, lambda one: one))["state"] == "notified"


async def test_moved_ticket_no_longer_closes(tickets: TicketHarness) -> None:
    incident, view = await tickets.open()
    payload = jira_closed(view, tickets.jira.base_url)
    key = payload["issue"]["key"]
    moved = copy.deepcopy(payload)
    moved["changelog"]["items"] = [{"field": "Key", "fromString": key, "toString": "SEC-5"}]
    for one in (moved, payload):
        one["issue"] |= {"key": "SEC-5", "fields": {**one["issue"]["fields"], "project": {"key": "SEC"}}}
        await tickets.send("jira", one)
    await tickets.events(incident, "other_ticket_ignored")
    assert f"{key} was moved to SEC-5" in (await tickets.events(incident, "annotated"))[0][0]


async def test_automation_closes_nothing(tickets: TicketHarness) -> None:
    incident, view = await tickets.open()
    payload = jira_closed(view, tickets.jira.base_url)
    payload["user"]["accountType"] = "app"
    await tickets.send("jira", payload)
    assert "by no person" in (await tickets.events(incident, "closed_elsewhere"))[0][0]


@pytest.mark.parametrize("user", ["system", "System", "guest"])
async def test_job_of_servicenow_closes_nothing(tickets: TicketHarness, user: str) -> None:
    incident, view = await tickets.open()
    await tickets.send(
        "servicenow", servicenow_closed(view) | {"user": user, "user_name": "System", "state_changed": True}
    )
    assert "by no person" in (await tickets.events(incident, "closed_elsewhere"))[0][0]


@pytest.mark.parametrize("change", [{"comment": "thank you"}, {"assigned_to": "Dana"}])
@pytest.mark.parametrize("says", [{"state_changed": False}, {}])
async def test_what_is_done_with_a_closed_ticket_closes_nothing(
    tickets: TicketHarness, change: dict[str, Any], says: dict[str, Any]
) -> None:
    """Somebody without the role closed it, which was denied: a comment of who has the role is no closing."""
    incident, view = await tickets.open()
    await tickets.send("servicenow", servicenow_closed(view) | change | says)
    await tickets.events(incident, "annotated" if "comment" in change else "reassigned_elsewhere")
    assert (await tickets.gateway.until(incident, lambda one: one))["state"] == "notified"
    closing = servicenow_closed(view) | {"comment": "fixed", "state_changed": True, "update": "9"}
    await tickets.send("servicenow", closing)
    await tickets.gateway.until(incident, lambda one: one["state"] == "closed")


async def test_two_comments_of_one_second_are_two(tickets: TicketHarness) -> None:
    incident, view = await tickets.open()
    payload = servicenow_closed(view) | {"state": "2"}
    for comment in ("first", "second", "first"):  # the third one is a redelivery
        assert (await tickets.send("servicenow", payload | {"comment": comment})).status_code == 202
    await tickets.send("servicenow", payload | {"comment": "third"})
    texts = [text for text, _ in await tickets.events(incident, "annotated", 3)]
    assert texts == ["first", "second", "third"]


async def test_close_before_the_receipt_is_kept(tickets: TicketHarness) -> None:
    """A person is quicker than Jira's response: the incident waits for the receipt."""
    tickets.jira.choose = lambda request: Fault(delay=3, after=True) if request.path.endswith("/issue") else None
    try:
        body = json.dumps(tickets.gateway.alert()).encode()
        known = set(tickets.jira.issues)
        answer = await tickets.gateway.http.post("/webhooks/arize", content=body, headers=signed(body, SECRET))
        incident = answer.json()["incident"]
        view = await tickets.gateway.until(incident, lambda one: set(tickets.jira.issues) - known)
        (ticket,) = set(tickets.jira.issues) - known
        view["receipts"] = [{"destination": "jira", "id": ticket}]
        await tickets.send("jira", jira_closed(view, tickets.jira.base_url))
        one = await tickets.gateway.until(incident, lambda one: one["state"] == "closed")
    finally:
        tickets.jira.choose = lambda request: None
    assert one["resolved_by"] == "Carol"
