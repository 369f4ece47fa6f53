"""What a person does in a vendor's own place, as that vendor tells it: authentic, read, and done to the incident."""

import asyncio
import copy
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from gateway.app import create_app
from tests.gateway.conftest import CALLBACK_SECRETS, House
from tests.gateway.test_pagerduty import key_of
from tests.hostile import CONTROL, HOSTILE, INVISIBLE
from tests.vendors import PagerDuty, Receiver

pytestmark = pytest.mark.asyncio(loop_scope="session")
Sent = tuple[bytes, dict[str, str]]


def bearer(payload: Any, secret: str) -> Sent:
    return json.dumps(payload).encode(), {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}


def hub_signed(payload: Any, secret: str) -> Sent:
    """developer.atlassian.com, "Webhooks", Secure admin webhooks."""
    content = json.dumps(payload).encode()
    return content, {"X-Hub-Signature": "sha256=" + hmac.new(secret.encode(), content, hashlib.sha256).hexdigest()}


def slack_signed(payload: Any, secret: str, age: int = 0) -> Sent:
    """docs.slack.dev, "Verifying requests from Slack"."""
    content, stamp = urlencode({"payload": json.dumps(payload)}).encode(), str(int(time.time()) - age)
    signature = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + content, hashlib.sha256).hexdigest()
    return content, {"X-Slack-Signature": f"v0={signature}", "X-Slack-Request-Timestamp": stamp}


def pagerduty_signed(payload: Any, secret: str) -> Sent:
    return PagerDuty.sign(payload, secret)


def pagerduty(act: str, key: str) -> Any:
    return PagerDuty.callback(f"incident.{act}", key, "Alice Example")


def opsgenie(act: str, key: str) -> Any:
    action = {"acknowledged": "Acknowledge", "unacknowledged": "UnAcknowledge", "resolved": "Close"}[act]
    return {
        "action": action,
        "source": {"name": "", "type": "web"},
        "alert": {"alertId": "052652ac", "alias": key, "username": "Alice Example", "updatedAt": time.time_ns()},
        "integrationName": "Tocsin",
    }


def splunk_oncall(act: str, key: str) -> Any:
    phase = {"acknowledged": "ACKED", "resolved": "RESOLVED"}[act]
    return {"entity_id": key, "phase": phase, "user": "Alice Example", "message": "", "at": str(time.time_ns())}


def slack(act: str, key: str) -> Any:
    name = {"acknowledged": "acknowledge", "resolved": "resolve"}.get(act, act)
    return {
        "type": "block_actions",
        "user": {"id": "U1", "username": "alice", "name": "Alice Example", "team_id": "T1"},
        "response_url": "https://hooks.slack.com/actions/T1/1/x",
        "actions": [{"type": "button", "action_id": f"tocsin:{name}", "value": key, "action_ts": str(time.time())}],
    }


def jira(act: str, key: str) -> Any:
    assert act == "resolved"
    return {
        "timestamp": time.time_ns(),
        "webhookEvent": "jira:issue_updated",
        "user": {"accountId": "1", "displayName": "Alice Example"},
        "issue": {
            "key": "AIGOV-7",
            "fields": {"labels": ["tocsin", key], "status": {"name": "Done", "statusCategory": {"key": "done"}}},
        },
        "changelog": {"id": "1", "items": [{"field": "status", "fromString": "To Do", "toString": "Done"}]},
    }


def servicenow(act: str, key: str) -> Any:
    assert act == "resolved"
    return {"correlation_id": key, "number": "INC1", "state": "6", "user_name": "Alice Example", "at": "2026-11-24"}


@dataclass(frozen=True)
class Teller:
    """How one vendor says things, and how it proves who it is."""

    says: Callable[[str, str], Any]
    signs: Callable[[Any, str], Sent]
    taken: int = 202

    @property
    def name(self) -> str:
        return self.says.__name__

    @property
    def path(self) -> str:
        return f"/webhooks/{self.name.replace('_', '-')}"

    async def tell(self, house: House, payload: Any, secret: str = "") -> httpx.Response:
        content, headers = self.signs(payload, secret or CALLBACK_SECRETS[self.name][0])
        return await house.http.post(self.path, content=content, headers=headers)


PAGERDUTY = Teller(pagerduty, pagerduty_signed)
OPSGENIE = Teller(opsgenie, bearer)
SPLUNK = Teller(splunk_oncall, bearer)
SLACK = Teller(slack, slack_signed, 200)
JIRA = Teller(jira, hub_signed)
SERVICENOW = Teller(servicenow, bearer)
ALL = (PAGERDUTY, OPSGENIE, SPLUNK, SLACK, JIRA, SERVICENOW)
every_vendor = pytest.mark.parametrize("vendor", ALL, ids=[one.name for one in ALL])


@pytest.mark.parametrize("vendor", [PAGERDUTY, OPSGENIE, SPLUNK, SLACK], ids=lambda one: one.name)
async def test_an_acknowledgement_there_is_one_here_by_that_person(house: House, vendor: Teller) -> None:
    incident = await house.open()
    answer = await vendor.tell(house, vendor.says("acknowledged", await key_of(house, incident)))
    assert (answer.status_code, answer.json()["incident"]) == (vendor.taken, incident)
    one = await house.until(incident, lambda one: one["state"] == "acknowledged")
    assert one["acknowledged_by"] == "Alice Example"


@every_vendor
async def test_closing_it_there_closes_it_here(house: House, vendor: Teller) -> None:
    incident = await house.open()
    assert (await vendor.tell(house, vendor.says("resolved", await key_of(house, incident)))).status_code < 300
    one = await house.until(incident, lambda one: one["state"] == "closed")
    assert one["resolved_by"] == "Alice Example"


@every_vendor
async def test_a_regulated_one_is_not_closed_from_there(house: House, vendor: Teller) -> None:
    incident = await house.open(model="regulated-model")
    await vendor.tell(house, vendor.says("resolved", await key_of(house, incident)))
    await house.until(incident, lambda one: one["state"] == "awaiting_human")


@pytest.mark.parametrize("vendor", [JIRA, SERVICENOW], ids=lambda one: one.name)
@pytest.mark.parametrize(("email", "state"), [("Carol@example.com", "closed"), ("eve@example.com", "awaiting_human")])
async def test_whom_the_vendor_vouches_for_has_the_role_that_their_token_has(
    house: House, vendor: Teller, email: str, state: str
) -> None:
    incident = await house.open(model="regulated-model")
    payload = vendor.says("resolved", await key_of(house, incident))
    (payload["user"] if vendor is JIRA else payload)["emailAddress" if vendor is JIRA else "email"] = email
    await vendor.tell(house, payload)
    await house.until(incident, lambda one: one["state"] == state)


@every_vendor
async def test_each_of_several_secrets_is_good_and_no_other(house: House, vendor: Teller) -> None:
    payload = vendor.says("resolved", "incident-no-such-one-0123456789ab.01234567")
    assert (await vendor.tell(house, payload, CALLBACK_SECRETS[vendor.name][1])).status_code == 200
    assert (await vendor.tell(house, payload, "another")).status_code == 401
    assert (await house.http.post(vendor.path, content=b"{}")).status_code == 401


@every_vendor
async def test_without_a_secret_nobody_is_believed(house: House, vendor: Teller) -> None:
    app = create_app(house.settings(callback_secrets={}), house.client)
    content, headers = vendor.signs(vendor.says("resolved", "incident-x-1.01234567"), "")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
        answer = await http.post(vendor.path, content=content, headers=headers)
    assert answer.status_code == 401
    assert "is not set" in answer.json()["detail"]


@every_vendor
@pytest.mark.parametrize("payload", [{}, {"event": []}, {"alert": 7}, {"actions": [None]}, {"issue": {"fields": 1}}])
async def test_an_unknown_shape_changes_nothing(house: House, vendor: Teller, payload: Any) -> None:
    answer = await vendor.tell(house, payload)
    assert (answer.status_code, answer.json()["state"]) == (200, "ignored")


@pytest.mark.parametrize("vendor", [OPSGENIE, SPLUNK, SERVICENOW], ids=lambda one: one.name)
async def test_what_is_not_json_is_told_so(house: House, vendor: Teller) -> None:
    _, headers = vendor.signs({}, CALLBACK_SECRETS[vendor.name][0])
    assert (await house.http.post(vendor.path, content=b"{]", headers=headers)).status_code == 400


async def test_an_old_button_press_is_refused(house: House) -> None:
    content, headers = slack_signed(slack("acknowledged", "incident-x-1.01234567"), CALLBACK_SECRETS["slack"][0], 400)
    answer = await house.http.post("/webhooks/slack", content=content, headers=headers)
    assert (answer.status_code, "5 minutes" in answer.json()["detail"]) == (401, True)


async def test_silence_holds_the_escalation_for_an_hour(house: House) -> None:
    incident = await house.open()
    await SLACK.tell(house, slack("silence", await key_of(house, incident)))
    one = await house.until(incident, lambda one: one["state"] == "acknowledged")
    assert one["awaiting"].startswith("Begin again unless it is resolved: silenced by Alice Example")
    assert ("silenced", "for 1h in slack") in [(entry["what"], entry["text"]) for entry in one["timeline"]]


async def test_a_false_alarm_is_closed_and_recorded_as_one(house: House) -> None:
    incident = await house.open()
    await SLACK.tell(house, slack("false_alarm", await key_of(house, incident)))
    one = await house.until(incident, lambda one: one["state"] == "closed")
    assert "false_alarm" in [entry["what"] for entry in one["timeline"]]


async def test_who_presses_the_button_of_a_closed_one_is_told_and_nobody_else_is_called(house: House) -> None:
    incident = await house.open()
    key = await key_of(house, incident)
    await PAGERDUTY.tell(house, pagerduty("resolved", key))
    await house.until(incident, lambda one: one["state"] == "closed")
    with Receiver() as receiver, Receiver() as other:
        app = create_app(house.settings(slack_replies=f"{receiver.base_url}/"), house.client)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as http:
            for address in (other.base_url, receiver.base_url):
                payload = slack("acknowledged", key) | {"response_url": f"{address}/actions"}
                content, headers = slack_signed(payload, CALLBACK_SECRETS["slack"][0])
                answer = await http.post("/webhooks/slack", content=content, headers=headers)
                assert (answer.status_code, answer.json()["state"]) == (200, "ignored")
            told = await asyncio.to_thread(receiver.wait_for, lambda: receiver.requests)
        assert f"{incident} is closed already" in told[0].body["text"]
        assert other.requests == []


# ── PagerDuty's other events ────────────────────────────────────────────────────────────────────────────


async def test_an_acknowledgement_taken_back_lets_the_escalation_go_on(house: House) -> None:
    incident = await house.open()
    key = await key_of(house, incident)
    await PAGERDUTY.tell(house, pagerduty("acknowledged", key))
    await house.until(incident, lambda one: one["state"] == "acknowledged")
    await PAGERDUTY.tell(house, pagerduty("unacknowledged", key))
    one = await house.until(incident, lambda one: one["state"] == "notified")
    assert one["acknowledged_by"] == ""
    assert one["awaiting"].startswith("Escalate to step 2 (term) unless acknowledged")


async def test_a_pagers_own_time_out_takes_back_no_word_given_elsewhere(house: House) -> None:
    incident = await house.open()
    key = await key_of(house, incident)
    await SLACK.tell(house, slack("acknowledged", key))
    await house.until(incident, lambda one: one["state"] == "acknowledged")
    payload = pagerduty("unacknowledged", key)
    payload["event"]["agent"] = None
    await PAGERDUTY.tell(house, payload)
    one = await house.until(incident, lambda one: any(e["what"] == "unacknowledged" for e in one["timeline"]))
    assert (one["state"], one["acknowledged_by"]) == ("acknowledged", "Alice Example")


@pytest.mark.parametrize(
    ("event", "what", "text"),
    [
        ("escalated", "escalated_elsewhere", "escalated in pagerduty to Bob, Carol"),
        ("reassigned", "reassigned_elsewhere", "reassigned in pagerduty to Bob, Carol"),
    ],
)
async def test_who_has_it_now_reaches_the_record(house: House, event: str, what: str, text: str) -> None:
    incident = await house.open()
    payload = pagerduty(event, await key_of(house, incident))
    payload["event"]["data"]["assignees"] = [{"summary": "Bob"}, {"summary": "Carol"}]
    await PAGERDUTY.tell(house, payload)
    one = await house.until(incident, lambda one: any(entry["what"] == what for entry in one["timeline"]))
    assert (text, "Alice Example") in [(entry["text"], entry["by"]) for entry in one["timeline"]]


async def test_a_note_there_names_pagerdutys_incident_alone_and_is_found_by_it(house: House) -> None:
    incident = await house.open()
    seen = pagerduty("triggered", await key_of(house, incident))
    note = copy.deepcopy(seen)
    note["event"] |= {"id": "another", "event_type": "incident.annotated"}
    note["event"]["data"] = {
        "id": "N1",
        "type": "incident_note",
        "content": "rolled back to v41",
        "incident": {"id": seen["event"]["data"]["id"], "type": "incident_reference"},
    }
    assert (await PAGERDUTY.tell(house, note)).json()["state"] == "ignored", "whose note it is, nobody knows yet"
    await PAGERDUTY.tell(house, seen)
    assert (await PAGERDUTY.tell(house, note)).status_code == 202
    one = await house.until(incident, lambda one: any(entry["what"] == "annotated" for entry in one["timeline"]))
    assert ("rolled back to v41", "Alice Example") in [(entry["text"], entry["by"]) for entry in one["timeline"]]


# ── What is nobody's answer ─────────────────────────────────────────────────────────────────────────────


async def test_an_echo_of_what_we_told_changes_nothing(house: House) -> None:
    incident = await house.open()
    key = await key_of(house, incident)
    await SLACK.tell(house, slack("acknowledged", key))
    before = await house.until(incident, lambda one: one["timeline"][-1]["what"] == "told_acknowledge")
    echoes = [
        (PAGERDUTY, PagerDuty.callback("incident.acknowledged", key, "Tocsin", person=False)),
        (OPSGENIE, opsgenie("acknowledged", key) | {"source": {"type": "api", "name": "Tocsin"}}),
        (SPLUNK, splunk_oncall("acknowledged", key) | {"user": "SYSTEM"}),
    ]
    for vendor, payload in echoes:
        assert (await vendor.tell(house, payload)).status_code == 202
    await PAGERDUTY.tell(house, pagerduty("reassigned", key))
    after = await house.until(incident, lambda one: len(one["timeline"]) > len(before["timeline"]))
    told = [entry["what"] for entry in after["timeline"][len(before["timeline"]) :]]
    assert "acknowledged" not in told
    assert "told_acknowledge" not in told


async def test_comments_of_ours_in_jira_are_not_taken_for_a_persons(house: House) -> None:
    incident = await house.open()
    payload = jira("resolved", await key_of(house, incident)) | {"webhookEvent": "comment_created"}
    payload["comment"] = {"id": "1", "body": "Escalated\n\nTocsin · tocsin-0123", "author": {"displayName": "bot"}}
    assert (await JIRA.tell(house, payload)).json()["why"] == "a comment of ours"
    payload["comment"] = {"id": "2", "body": "the vendor is on it", "author": {"displayName": "Alice Example"}}
    await JIRA.tell(house, payload)
    one = await house.until(incident, lambda one: any(entry["what"] == "annotated" for entry in one["timeline"]))
    assert ("the vendor is on it", "Alice Example") in [(entry["text"], entry["by"]) for entry in one["timeline"]]


# ── Whatever stands in it, and whatever becomes of Temporal ─────────────────────────────────────────────


@pytest.mark.parametrize("hostile", ["html", "log-line", "header", "right-to-left", "control", "surrogate", "long"])
@every_vendor
async def test_no_name_or_note_misbehaves_in_the_record(house: House, vendor: Teller, hostile: str) -> None:
    incident = await house.open()
    told = HOSTILE[hostile]
    payload = json.loads(
        json.dumps(vendor.says("resolved", await key_of(house, incident))).replace("Alice Example", "@")
    )
    payload = _replaced(payload, "@", told[:50_000])
    assert (await vendor.tell(house, payload)).status_code in {200, 202}
    one = await house.until(incident, lambda one: one["state"] == "closed")
    for entry in one["timeline"]:
        for said in (entry["by"], entry["text"]):
            assert not (CONTROL | INVISIBLE | {"\n"}) & set(said)
            said.encode()


def _replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(one, old, new) for key, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, old, new) for one in value]
    return new if value == old else value


@every_vendor
async def test_a_vendor_has_its_answer_in_time_while_temporal_hangs(house: House, vendor: Teller) -> None:
    """Slack waits for three seconds and then shows an error: what a person did is kept, and passed on later."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = await Client.connect(f"127.0.0.1:{port}", lazy=True, data_converter=pydantic_data_converter)
    content, headers = vendor.signs(
        vendor.says("resolved", "incident-x-0123456789ab.01234567"), CALLBACK_SECRETS[vendor.name][0]
    )
    transport = httpx.ASGITransport(create_app(house.settings(), client))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        answer = await asyncio.wait_for(http.post(vendor.path, content=content, headers=headers), 3)
    assert answer.status_code in {200, 202}
    assert answer.json()["state"] == "spooled"
    server.close()
