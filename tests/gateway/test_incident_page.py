"""The page behind the link in a message: looking acknowledges nothing, the button does, once, by name."""

import pytest
from itsdangerous import URLSafeTimedSerializer

from gateway.links import Links
from tests.gateway.conftest import LINK_SECRET, House
from tests.gateway.test_pagerduty import key_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


def path(opening: str, *secrets: str) -> str:
    return Links("http://gateway", secrets or (LINK_SECRET,)).page(opening).removeprefix("http://gateway")


async def test_looking_shows_the_incident_and_changes_nothing(house: House) -> None:
    incident = await house.open()
    answer = await house.http.get(path(await key_of(house, incident)))
    assert answer.status_code == 200
    assert "CRITICAL plain-model error_rate 30 %" in answer.text
    assert "Acknowledge: I am on it" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "script" not in answer.headers["content-security-policy"]
    assert (await house.call("GET", f"/api/incidents/{incident}")).json()["state"] == "notified"


async def test_the_button_acknowledges_by_name(house: House) -> None:
    incident = await house.open()
    link = path(await key_of(house, incident))
    assert (await house.http.post(link, data={"by": " "})).status_code == 422
    answer = await house.http.post(link, data={"by": "Nora <b>Night</b>"})
    assert "Acknowledged by Nora &lt;b&gt;Night&lt;/b&gt;" in answer.text
    one = await house.until(incident, lambda one: one["state"] == "acknowledged")
    assert one["acknowledged_by"] == "Nora <b>Night</b>"
    assert "I am on it" not in (await house.http.get(link)).text


async def test_a_link_of_an_earlier_opening_acknowledges_nothing(house: House) -> None:
    incident = await house.open()
    link = path(f"{incident}.00000000")
    assert "is closed" in (await house.http.get(link)).text
    await house.http.post(link, data={"by": "Nora"})
    assert (await house.call("GET", f"/api/incidents/{incident}")).json()["state"] == "notified"


async def test_a_closed_one_says_so(house: House) -> None:
    incident = await house.open()
    link = path(await key_of(house, incident))
    await house.call("POST", f"/api/incidents/{incident}/resolve", "r-token", json={})
    await house.until(incident, lambda one: one["state"] == "closed")
    assert "there is nothing to acknowledge" in (await house.http.post(link, data={"by": "Nora"})).text
    assert "State" in (await house.http.get(link)).text


@pytest.mark.parametrize("secret", ["", "another"])
async def test_only_what_we_signed_is_a_link(house: House, secret: str) -> None:
    incident = await house.open()
    opening = await key_of(house, incident)
    forged = path(opening, "another") if secret else f"/incidents/{opening}"
    assert (await house.http.get(forged)).status_code == 404
    assert (await house.http.post(forged, data={"by": "Eve"})).status_code == 404
    assert (await house.http.get(path(opening, "older-link-secret"))).status_code == 200, "a secret can be rotated"


async def test_a_link_is_for_its_purpose_alone() -> None:
    token = URLSafeTimedSerializer(LINK_SECRET, salt="something-else").dumps("incident-x-1.01234567")
    assert Links("http://gateway", (LINK_SECRET,)).read(token) is None


async def test_without_a_secret_there_are_no_links() -> None:
    assert Links("http://gateway", ()).page("incident-x-1.01234567") == ""
