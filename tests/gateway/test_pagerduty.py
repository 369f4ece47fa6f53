"""``POST /webhooks/pagerduty``: V3 callbacks become answers, and nothing else does."""

from typing import Any

import httpx
import pytest

from gateway.callbacks.pagerduty import read
from gateway.callbacks.said import Said
from tests.gateway.conftest import PAGERDUTY_SECRET, House
from tests.vendors import PagerDuty

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def post(house: House, payload: dict[str, Any], *secrets: str) -> httpx.Response:
    content, headers = PagerDuty.sign(payload, *(secrets or (PAGERDUTY_SECRET,)))
    return await house.http.post("/webhooks/pagerduty", content=content, headers=headers)


async def key_of(house: House, incident: str) -> str:
    one = (await house.call("GET", f"/api/incidents/{incident}")).json()
    return f"{incident}.{one['opening'][:8]}"


@pytest.mark.parametrize("suffix", ["", "/1-step-2-term"])
async def test_an_acknowledgement_reaches_the_incident_with_the_responders_name(house: House, suffix: str) -> None:
    incident = await house.open()
    payload = PagerDuty.callback("incident.acknowledged", await key_of(house, incident) + suffix, "Alice Example")
    answer = await post(house, payload)
    assert (answer.status_code, answer.json()["state"]) == (202, "accepted")
    one = await house.until(incident, lambda one: one["state"] == "acknowledged")
    assert one["acknowledged_by"] == "Alice Example"
    again = await post(house, payload)
    assert again.status_code == 202


async def test_resolving_there_closes_it_here(house: House) -> None:
    incident = await house.open()
    await post(house, PagerDuty.callback("incident.resolved", await key_of(house, incident)))
    one = await house.until(incident, lambda one: one["state"] == "closed")
    assert one["resolved_by"] == "Alice Example"


async def test_resolving_a_regulated_one_there_is_noted_only(house: House) -> None:
    incident = await house.open(model="regulated-model")
    await post(house, PagerDuty.callback("incident.resolved", await key_of(house, incident)))
    one = await house.until(incident, lambda one: one["state"] == "awaiting_human")
    assert one["regulated"] is True


async def test_any_of_several_signatures_is_good(house: House) -> None:
    incident = await house.open()
    payload = PagerDuty.callback("incident.acknowledged", await key_of(house, incident))
    assert (await post(house, payload, "unknown", "pd-older")).status_code == 202


@pytest.mark.parametrize("header", ["", "v1=" + "0" * 64, "v2=abc", "v1=,v1=", "v1=é"])
async def test_a_wrong_signature_is_refused(house: House, header: str) -> None:
    content, _ = PagerDuty.sign(PagerDuty.callback("incident.acknowledged", "incident-x-1.00000000"), "x")
    headers = [(b"X-PagerDuty-Signature", header.encode())] if header else []
    answer = await house.http.post("/webhooks/pagerduty", content=content, headers=headers)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "key", ["", None, 7, "somebody-elses", "incident-x-1", "incident-no-such-one-0123456789ab.01234567"]
)
async def test_what_is_not_ours_is_acknowledged_and_ignored(house: House, key: Any) -> None:
    answer = await post(house, PagerDuty.callback("incident.acknowledged", key))
    assert (answer.status_code, answer.json()["state"]) == (200, "ignored")


@pytest.mark.parametrize("payload", [{}, {"event": None}, {"event": {"data": []}}, {"event": {"data": {}}}])
async def test_an_unknown_shape_is_ignored(house: House, payload: dict[str, Any]) -> None:
    assert (await post(house, payload)).status_code == 200


async def test_a_ping_is_answered(house: House) -> None:
    answer = await post(house, PagerDuty.callback("pagey.ping", "incident-x-1.00000000"))
    assert (answer.status_code, answer.json()["why"]) == (200, "it changes nothing here")


async def test_an_answer_to_a_closed_incident_is_acknowledged_and_ignored(house: House) -> None:
    incident = await house.open()
    key = await key_of(house, incident)
    await house.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={})
    await house.until(incident, lambda one: one["state"] == "closed")
    answer = await post(house, PagerDuty.callback("incident.acknowledged", key))
    assert (answer.status_code, answer.json()["why"]) == (200, "the incident is not open any more")


async def test_no_person_no_name() -> None:
    key = "incident-chatbot-0123456789ab.01234567"
    said = read(PagerDuty.callback("incident.resolved", key, "Auto-resolver", person=False))
    assert isinstance(said, Said)
    assert said.answer is not None
    assert (said.key, said.answer.by, said.answer.role) == (key, "", "")
