"""A responder's action in one place is shown in all the others, and does not come back as an echo."""

import time
from typing import Any

import pytest

from tests.acceptance.conftest import AcceptanceHarness
from tests.waiting import wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.xdist_group("acceptance")]


def posted(harness: AcceptanceHarness, incident: str) -> list[dict[str, Any]]:
    """The incident's messages in Slack, without threads."""
    return [one for one in harness.slack.messages if incident in str(one["blocks"]) and not one["thread_ts"]]


def thread(harness: AcceptanceHarness, message: dict[str, Any]) -> list[str]:
    return [one["text"] for one in harness.slack.messages if one["thread_ts"] == message["ts"]]


def button(message: dict[str, Any], name: str) -> dict[str, Any]:
    (actions,) = [block for block in message["blocks"] if block["type"] == "actions"]
    return next(one for one in actions["elements"] if one["action_id"].endswith(name))


def test_slack_button_acknowledges_in_pagerduty_and_back(harness: AcceptanceHarness) -> None:
    """Tier high: posted, and paged after an hour (twelve seconds here); then both show the incident."""
    tocsin = harness.tocsin
    incident = tocsin.open(harness.alert("answer_relevance", 0.6))
    (message,) = wait_for(lambda: posted(harness, incident))
    page = harness.wait_for_page(incident)
    assert tocsin.press(button(message, "acknowledge"), "nora").status_code == 200
    tocsin.until(incident, lambda one: one["acknowledged_by"] == "nora")
    acknowledged = wait_for(lambda: harness.pages(incident, "primary", "acknowledge"))
    assert acknowledged[0].body["dedup_key"] == page.body["dedup_key"]
    # PagerDuty sends Tocsin's own acknowledgement back, as a service; then a person acts there.
    content, headers = harness.pagerduty.sign(
        harness.pagerduty.callback("incident.acknowledged", page.body["dedup_key"], "Tocsin", person=False),
        "pagerduty-acceptance",
    )
    tocsin.http.post(f"{tocsin.url}/webhooks/pagerduty", content=content, headers=headers)
    wait_for(lambda: "Acknowledged by" in str(posted(harness, incident)[0]["blocks"]))
    assert tocsin.callback("incident.resolved", page.body["dedup_key"], "Alice Example").status_code == 202
    tocsin.until(incident, lambda one: one["state"] == "closed")
    wait_for(lambda: "Resolved by Alice Example." in thread(harness, message))
    assert "actions" not in [block["type"] for block in message["blocks"]], "a resolved incident has no buttons"
    time.sleep(1)
    assert len(harness.pages(incident, "primary", "acknowledge")) == 1, "no echo"
    assert tocsin.press({"action_id": "tocsin:resolve", "value": page.body["dedup_key"]}).json()["state"] == "ignored"


def test_pagerduty_acknowledgement_is_shown_in_slack(harness: AcceptanceHarness) -> None:
    tocsin = harness.tocsin
    incident = tocsin.open(harness.alert("answer_relevance", 0.6))
    (message,) = wait_for(lambda: posted(harness, incident))
    page = harness.wait_for_page(incident)
    tocsin.callback("incident.acknowledged", page.body["dedup_key"], "Alice Example")
    wait_for(lambda: "Acknowledged by Alice Example" in thread(harness, message))
    assert "Alice Example" in str(message["blocks"])
    assert button(message, "silence")["value"] == page.body["dedup_key"]
    time.sleep(1)
    assert harness.pages(incident, "primary", "acknowledge") == [], "PagerDuty has it already"
    tocsin.call("POST", f"/{incident}/resolve", json={"by": "Alice Example"})
