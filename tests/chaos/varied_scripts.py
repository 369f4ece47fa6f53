"""Scripts in which senders, responders and vendors behave as they do outside of tests.

Deliveries come late and in another order, a monitor fires again, a template gives every event one id, two incidents
are merged in PagerDuty, and people have written hundreds of comments.
"""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.chaos.harness import SPEED
from tests.chaos.stream import ScriptedIncident, ScriptFunction, Stream, run_of
from tests.processes import PAGERDUTY_SECRET
from tests.vendors import PagerDuty

REFIRES_AFTER = 30 * 60 / SPEED
"""Seconds after the last alert of an acknowledged incident; an alert that comes later pages again."""
REPLIES, COMMENTS = 210, 120
"""More than one page of Slack's, and of Jira's, look-ups."""
OBSERVED = 6.0
"""Seconds in which something that must not happen would be seen."""


SCRIPTS: dict[str, ScriptFunction] = {}


def _script(function: ScriptFunction) -> ScriptFunction:
    SCRIPTS[function.__name__] = function
    return function


def _ago(seconds: float) -> dict[str, str]:
    """A stated time. It is in the past even for a clock that is four minutes behind."""
    return {"evaluated_at": datetime.fromtimestamp(time.time() - seconds, UTC).isoformat()}


def _must_stay(stream: Stream, incident: ScriptedIncident, is_open: bool, cause: str) -> None:
    """Whether an incident stays open, or closed, although something from before arrived."""
    run = incident.first_run_id
    time.sleep(OBSERVED)
    while not (view := stream.view(incident)).get("state"):
        time.sleep(1)  # a gateway that is being killed answers nothing, and says nothing about the incident
    closed = view.get("state") in {"resolved", "closed"}
    if closed == is_open or (not is_open and str(view.get("first_run_id")) != run):
        incident.swallowed.append(f"{cause}: it is {view.get('state')}")


@_script
def reordered(stream: Stream, incident: ScriptedIncident) -> None:
    """A clear from before the trigger comes after it, and a trigger from before the clear comes at last."""
    alert = stream.fire(incident, "error_rate", **_ago(600))
    stream.first_page_key(incident)
    stream.send(incident, {**alert, "status": "CLEARED", "metric_value": 0.01, **_ago(1200)}, uuid.uuid4().hex)
    _must_stay(stream, incident, True, "a clear from before its trigger")
    stream.acknowledge_in_pagerduty(incident)
    time.sleep(3)
    stream.clear(incident, {**alert, **_ago(300)})
    closed = dict(incident.view)
    stream.send(incident, {**alert, "metric_value": 0.5, **_ago(500)}, uuid.uuid4().hex)
    _must_stay(stream, incident, False, "a trigger from before its clear")
    incident.view = closed


@_script
def refired(stream: Stream, incident: ScriptedIncident) -> None:
    """It clears, and fires again: another incident under the same id, with pages of its own."""
    alert = stream.fire(incident, "error_rate")
    stream.first_page_key(incident)
    stream.clear(incident, alert)
    again = ScriptedIncident(incident.number, "refired", other_runs={run_of(one) for one in stream.pages(incident)})
    stream.incidents.append(again)
    stream.run_script(again, _fires_again)
    incident.other_runs = {run_of(one) for one in stream.pages(again)}


def _fires_again(stream: Stream, incident: ScriptedIncident) -> None:
    alert = stream.fire(incident, "error_rate")
    stream.acknowledge_in_pagerduty(incident)
    time.sleep(3)
    stream.clear(incident, alert)


@_script
def worked_on(stream: Stream, incident: ScriptedIncident) -> None:
    """Somebody works on it, and an alert comes long after the last one: it fires again, and pages again."""
    alert = stream.fire(incident, "error_rate")
    incident.required.append(time.time())
    stream.acknowledge_in_pagerduty(incident)
    # Counted from when Tocsin has the alert, which a fault may delay.
    stream.until("it to be acknowledged", lambda: stream.view(incident).get("acknowledged_by"))
    time.sleep(REFIRES_AFTER + 5)
    pages = len(stream.pages(incident))
    stream.repeat(incident, {**alert, "metric_value": 0.5}, uuid.uuid4().hex)
    incident.required.append(time.time())
    stream.until("another page", lambda: len(stream.pages(incident)) > pages)
    stream.acknowledge_through_api(incident)
    time.sleep(3)
    stream.clear(incident, alert)


@_script
def shared_ids(stream: Stream, incident: ScriptedIncident) -> None:
    """A template gives every event of every monitor the same id, the clear's too."""
    alert = stream.fire(incident, "error_rate", event_id="evt-of-a-template")
    stream.acknowledge_in_pagerduty(incident)
    time.sleep(3)
    stream.clear(incident, alert, event_id="evt-of-a-template")


@_script
def merged(stream: Stream, incident: ScriptedIncident) -> None:
    """A person merges its incident in PagerDuty into another one: that resolves it there, and not here."""
    alert = stream.fire(incident, "error_rate")
    callback = PagerDuty.callback("incident.resolved", stream.first_page_key(incident))
    reason = {"type": "merge_resolve_reason", "incident": {"id": "P-OTHER", "type": "incident_reference"}}
    callback["event"]["data"]["resolve_reason"] = reason
    content, headers = PagerDuty.sign(callback, PAGERDUTY_SECRET)

    def accepted() -> bool:
        response = stream.post("/webhooks/pagerduty", content, headers)
        return response is not None and response.is_success

    stream.until("the gateway to accept a merge", accepted)
    _must_stay(stream, incident, True, "a merge in PagerDuty")
    stream.acknowledge_through_api(incident)
    time.sleep(3)
    stream.clear(incident, alert)


@_script
def discussed(stream: Stream, incident: ScriptedIncident) -> None:
    """People have written hundreds of replies and comments before it clears."""
    alert = stream.fire(incident, "bias", model="underwriting")
    harness = stream.harness

    def places() -> Any:
        posts = [one for one in harness.slack.messages if not one["thread_ts"] and incident.id in str(one["metadata"])]
        tickets = [key for key, one in list(harness.jira.issues.items()) if incident.id in str(one["labels"])]
        return (posts[0], tickets[0]) if posts and tickets else None

    post, ticket = stream.until("a message and a ticket", places)
    with httpx.Client(timeout=60) as people:
        for number in range(REPLIES):
            metadata = {"event_type": "other", "event_payload": {"key": ""}}
            reply = {
                "channel": post["channel"],
                "thread_ts": post["ts"],
                "text": f"reply {number}",
                "metadata": metadata,
            }
            _insist(
                lambda reply=reply: people.post(
                    f"{harness.slack.base_url}/api/chat.postMessage",
                    json=reply,
                    headers={"Authorization": f"Bearer {harness.slack.token}"},
                )
            )
        for number in range(COMMENTS):
            text = {"type": "paragraph", "content": [{"type": "text", "text": f"comment {number}"}]}
            _insist(
                lambda text=text: people.post(
                    f"{harness.jira.base_url}/rest/api/3/issue/{ticket}/comment",
                    json={"body": {"type": "doc", "version": 1, "content": [text]}},
                    auth=("person@example.com", "token"),
                )
            )
    stream.repeat(incident, {**alert, "metric_value": 0.4}, uuid.uuid4().hex)  # noted in the thread
    stream.close_by_compliance(incident, alert)


def _insist(send: Callable[[], httpx.Response]) -> None:
    """A person's client tries again, a few times: the vendor may be what is broken."""
    for _ in range(5):
        try:
            if send().is_success:
                return
        except httpx.HTTPError:
            time.sleep(0.5)
