"""What a person does in one place shows in all the others, and does not come back as an echo."""

import time
from typing import Any

import pytest

from tests.acceptance.conftest import World

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance")]


def posted(world: World, incident: str) -> list[dict[str, Any]]:
    """The incident's messages in Slack, threads left out."""
    return [one for one in world.slack.messages if incident in str(one["blocks"]) and not one["thread_ts"]]


def thread(world: World, message: dict[str, Any]) -> list[str]:
    return [one["text"] for one in world.slack.messages if one["thread_ts"] == message["ts"]]


def button(message: dict[str, Any], name: str) -> dict[str, Any]:
    (actions,) = [block for block in message["blocks"] if block["type"] == "actions"]
    return next(one for one in actions["elements"] if one["action_id"].endswith(name))


def test_a_button_in_slack_acknowledges_in_pagerduty_and_back(world: World) -> None:
    """High: posted, and after an hour (twelve seconds here) a page. Then both have it."""
    tocsin = world.tocsin
    incident = tocsin.open(world.alert("answer_relevance", 0.6))
    (message,) = world.slack.wait_for(lambda: posted(world, incident))
    page = world.slack.wait_for(lambda: world.pages(incident, "primary"), 40)[0]
    assert tocsin.press(button(message, "acknowledge"), "nora").status_code == 200
    tocsin.until(incident, lambda one: one["acknowledged_by"] == "nora")
    acknowledged = world.slack.wait_for(lambda: world.pages(incident, "primary", "acknowledge"))
    assert acknowledged[0].body["dedup_key"] == page.body["dedup_key"]
    # PagerDuty tells us what we told it, as a service; and then a person does something there.
    content, headers = world.pagerduty.sign(
        world.pagerduty.callback("incident.acknowledged", page.body["dedup_key"], "Tocsin", person=False),
        "pagerduty-acceptance",
    )
    tocsin.http.post(f"{tocsin.url}/webhooks/pagerduty", content=content, headers=headers)
    world.slack.wait_for(lambda: "Acknowledged by" in str(posted(world, incident)[0]["blocks"]))
    assert tocsin.callback("incident.resolved", page.body["dedup_key"], "Alice Example").status_code == 202
    tocsin.until(incident, lambda one: one["state"] == "closed")
    world.slack.wait_for(lambda: "Resolved by Alice Example." in thread(world, message))
    assert "actions" not in [block["type"] for block in message["blocks"]], "there is nothing left to press"
    time.sleep(1)
    assert len(world.pages(incident, "primary", "acknowledge")) == 1, "no echo"
    assert tocsin.press({"action_id": "tocsin:resolve", "value": page.body["dedup_key"]}).json()["state"] == "ignored"


def test_who_acknowledges_in_pagerduty_stands_in_slack(world: World) -> None:
    tocsin = world.tocsin
    incident = tocsin.open(world.alert("answer_relevance", 0.6))
    (message,) = world.slack.wait_for(lambda: posted(world, incident))
    page = world.slack.wait_for(lambda: world.pages(incident, "primary"), 40)[0]
    tocsin.callback("incident.acknowledged", page.body["dedup_key"], "Alice Example")
    world.slack.wait_for(lambda: "Acknowledged by Alice Example" in thread(world, message))
    assert "Alice Example" in str(message["blocks"])
    assert button(message, "silence")["value"] == page.body["dedup_key"]
    time.sleep(1)
    assert world.pages(incident, "primary", "acknowledge") == [], "PagerDuty knows it already"
    tocsin.call("POST", f"/{incident}/resolve", json={"by": "Alice Example"})
