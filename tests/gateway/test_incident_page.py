"""The page behind the link in a message: a GET changes nothing, the button acknowledges by name."""

import asyncio

import pytest
from itsdangerous import URLSafeTimedSerializer

from gateway.security.links import Links
from tests.gateway.conftest import LINK_SECRET, GatewayHarness
from tests.gateway.test_pagerduty import key_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


def path(dedup_key: str, *secrets: str) -> str:
    return Links("http://gateway", secrets or (LINK_SECRET,)).page(dedup_key).removeprefix("http://gateway")


async def test_page_shows_incident_and_changes_nothing(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    answer = await gateway.http.get(path(await key_of(gateway, incident)))
    assert answer.status_code == 200
    assert "CRITICAL plain-model error_rate 30 %" in answer.text
    assert "Acknowledge: I am on it" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "script" not in answer.headers["content-security-policy"]
    assert (await gateway.call("GET", f"/api/incidents/{incident}")).json()["state"] == "notified"


async def test_button_acknowledges_by_name(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    link = path(await key_of(gateway, incident))
    assert (await gateway.http.post(link, data={"by": " "})).status_code == 422
    answer = await gateway.http.post(link, data={"by": "Nora <b>Night</b>"})
    assert "Acknowledged by Nora &lt;b&gt;Night&lt;/b&gt;" in answer.text
    one = await gateway.until(incident, lambda one: one["state"] == "acknowledged")
    assert one["acknowledged_by"] == "Nora <b>Night</b>"
    assert "I am on it" not in (await gateway.http.get(link)).text


async def test_link_of_earlier_run_acknowledges_nothing(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    link = path(f"{incident}.00000000")
    assert "is closed" in (await gateway.http.get(link)).text
    await gateway.http.post(link, data={"by": "Nora"})
    assert (await gateway.call("GET", f"/api/incidents/{incident}")).json()["state"] == "notified"


async def test_closed_incident_has_nothing_to_acknowledge(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    link = path(await key_of(gateway, incident))
    await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={})
    await gateway.until(incident, lambda one: one["state"] == "closed")
    assert "there is nothing to acknowledge" in (await gateway.http.post(link, data={"by": "Nora"})).text
    assert "State" in (await gateway.http.get(link)).text


@pytest.mark.parametrize("secret", ["", "another"])
async def test_forged_link_is_not_found(gateway: GatewayHarness, secret: str) -> None:
    incident = await gateway.open()
    dedup_key = await key_of(gateway, incident)
    forged = path(dedup_key, "another") if secret else f"/incidents/{dedup_key}"
    assert (await gateway.http.get(forged)).status_code == 404
    assert (await gateway.http.post(forged, data={"by": "Eve"})).status_code == 404
    assert (await gateway.http.get(path(dedup_key, "older-link-secret"))).status_code == 200, "a secret can be rotated"


async def test_token_of_another_purpose_is_refused() -> None:
    token = URLSafeTimedSerializer(LINK_SECRET, salt="something-else").dumps("incident-x-1.01234567")
    assert Links("http://gateway", (LINK_SECRET,)).read(token) is None


async def test_links_need_a_secret() -> None:
    assert Links("http://gateway", ()).page("incident-x-1.01234567") == ""


async def test_closed_incident_shows_what_happened(gateway: GatewayHarness) -> None:
    incident = await gateway.open()
    link = path(await key_of(gateway, incident))
    await gateway.http.post(link, data={"by": "Nora"})
    note = {"note": "rolled back <v42>"}
    await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json=note)
    await gateway.until(incident, lambda one: one["state"] == "closed")
    for answer in (await gateway.http.get(link), await gateway.http.post(link, data={"by": "Nora"})):
        for text in ("closed by rosa", "by Nora", "Opened", "Closed", "rolled back &lt;v42&gt;", "acknowledged"):
            assert text in answer.text, text
        assert "I am on it" not in answer.text


async def test_link_of_closed_incident_shows_it_after_reopening(gateway: GatewayHarness) -> None:
    """The id has a newer incident: the link still shows the one that it was made for."""
    alert = gateway.alert()
    incident = (await gateway.send(alert)).json()["incident"]
    await gateway.until(incident, lambda one: one["state"] == "notified")
    link = path(await key_of(gateway, incident))
    await gateway.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={"note": "the first time"})
    await gateway.until(incident, lambda one: one["state"] == "closed")
    again = await gateway.send(alert)
    assert again.json()["state"] == "started"
    await gateway.until(incident, lambda one: one["state"] == "notified")
    async with asyncio.timeout(60):  # lists follow the histories with a delay
        while "the first time" not in (shown := (await gateway.http.get(link)).text):
            await asyncio.sleep(0.05)
    assert "A newer incident" in shown
    assert "I am on it" not in shown


@pytest.mark.parametrize("token", ["x", "a b", "%ff%fe", "incident-x-1.0123", "x" * 700, "<script>", "a%2Fb"])
async def test_mangled_link_is_a_page(gateway: GatewayHarness, token: str) -> None:
    for method in ("GET", "POST"):
        answer = await gateway.http.request(
            method, f"/incidents/{token}", data={"by": "x"} if method == "POST" else None
        )
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8"), answer.text
        assert "<script" not in answer.text
