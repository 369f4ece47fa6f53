"""Alerts that cannot be classified, by a fault of Tocsin or by what they hold: the incident goes on, and decides in
doubt, louder. The fault is a policy in force that can do nothing but say what is undecidable.
"""

from types import SimpleNamespace
from typing import cast

from activities.describing import AlertDescriber
from alerts import Description
from incident.view import IncidentView
from policy import Policy
from tests.workflows.harness import IncidentHarness, make_alert


def break_policy(harness: IncidentHarness) -> None:
    """Each attempt to classify fails; what the policy decides about the undecidable does not."""
    policy = harness.policies[-1]
    broken = SimpleNamespace(
        undecidable=policy.undecidable, failures=policy.failures, noise=policy.noise, file=policy.file
    )
    harness.policies.append(cast("Policy", broken))


def remove_policy(harness: IncidentHarness) -> None:
    harness.policies.append(cast("Policy", object()))


def timeline(view: IncidentView, event: str) -> list[str]:
    return [one.text for one in view.timeline if one.event == event]


class BrokenDescriptions:
    """A cache that fails, whatever it is asked."""

    def get(self, monitor_id: str, /) -> Description | None:
        raise ValueError(f"unexpected {monitor_id}")

    def add(self, descriptions: list[Description], /) -> None:
        raise NotImplementedError

    async def save(self) -> bool:
        raise NotImplementedError


async def test_alert_whose_description_fails_is_decided_in_doubt(harness: IncidentHarness) -> None:
    describer = AlertDescriber(BrokenDescriptions(), None)
    await harness.restart_worker(clients=SimpleNamespace(alert_describer=describer, refresher=None))
    await harness.fire(make_alert("percent_empty", 12), "1")
    await harness.until_state("notified")
    await harness.fire(make_alert("percent_empty", 13), "2")
    view = await harness.until(lambda view: view if view.alert_count == 2 else None)
    (missing,) = timeline(view, "description_missing")
    assert "cannot be described: ValueError: unexpected" in missing
    assert (view.tier, view.decision and view.decision.rule) == ("low", "empties"), "it says enough itself"


async def test_later_alert_that_cannot_be_classified_pages(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("percent_empty", 12), "1")
    await harness.until_state("notified")
    break_policy(harness)
    await harness.send(make_alert("percent_empty", 13), "2")
    view = await harness.advance_until(lambda view: view if view.tier == "critical" else None, seconds=20)
    await harness.until(lambda _: harness.page_keys() or harness.slack.messages)
    assert len(timeline(view, "classification_failed")) == 1
    assert "no decision can be made: " in timeline(view, "classified")[-1]


async def test_step_is_taken_while_alert_cannot_be_classified(harness: IncidentHarness) -> None:
    await harness.fire(event_id="1")
    await harness.until_state("notified")
    await harness.advance(minutes=14, seconds=40)
    break_policy(harness)
    await harness.send(make_alert(value=0.5), "2")
    view = await harness.advance_until(lambda view: view if view.escalation_level == 2 else None, seconds=5)
    assert view.alert_count == 1, "it is still being classified"
    await harness.until(lambda _: harness.page_keys("secondary"))
    view = await harness.advance_until(lambda view: view if view.alert_count == 2 else None, seconds=20)
    assert timeline(view, "classification_failed")
    assert view.escalation_level == 2


async def test_action_is_processed_while_alert_cannot_be_classified(harness: IncidentHarness) -> None:
    await harness.fire(event_id="1")
    await harness.until_state("notified")
    break_policy(harness)
    await harness.send(make_alert(value=0.5), "2")
    await harness.callback("acknowledge", "bob", id="pagerduty-1")
    view = await harness.advance_until(lambda view: view if view.acknowledged_by else None, seconds=5)
    assert (view.state, view.alert_count) == ("acknowledged", 1)
    view = await harness.advance_until(lambda view: view if view.alert_count == 2 else None, seconds=20)
    assert (view.state, view.acknowledged_by) == ("acknowledged", "bob")
    assert len(timeline(view, "classification_failed")) == 1


async def test_alert_after_which_person_resolves_opens_it_again(harness: IncidentHarness) -> None:
    """In doubt: nobody knows what the alert says, and it arrived before the person's answer."""
    await harness.fire(event_id="1")
    await harness.until_state("notified")
    break_policy(harness)
    await harness.send(make_alert(value=0.5), "2")
    await harness.callback("resolve", "bob", id="pagerduty-1")
    await harness.advance_until(lambda view: view.state == "resolved", seconds=5)
    view = await harness.advance_until(lambda view: view if view.state == "notified" else None, seconds=20)
    assert timeline(view, "reopened")


async def test_first_alert_that_cannot_be_classified_notifies(harness: IncidentHarness) -> None:
    harness.gateway_decides = False
    break_policy(harness)
    await harness.fire(make_alert("percent_empty", 12))
    view = await harness.advance_until(lambda view: view if view.receipts else None, seconds=20)
    assert view.tier == "critical"
    assert [one.event for one in view.timeline][:3] == ["received", "processed_late", "classified"]
    assert timeline(view, "classification_failed")


async def test_alert_that_nothing_decides_leaves_decision(harness: IncidentHarness) -> None:
    await harness.fire(event_id="1")
    await harness.until_state("notified")
    before = (await harness.view()).decision
    remove_policy(harness)
    await harness.send(make_alert(value=0.5), "2")
    view = await harness.advance_until(lambda view: view if view.alert_count == 2 else None, seconds=20)
    assert view.decision == before
    assert timeline(view, "classification_failed")
    await harness.advance(minutes=14)
    await harness.until(lambda view: view.escalation_level == 2)


async def test_first_alert_waits_for_policy(harness: IncidentHarness) -> None:
    harness.gateway_decides = False
    remove_policy(harness)
    await harness.fire()
    await harness.advance(minutes=10)
    assert (await harness.view()).decision is None
    harness.policies.pop()
    await harness.advance(seconds=15)
    await harness.until_state("notified")
