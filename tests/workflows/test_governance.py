"""Incidents of regulated models always have a ticket, and only a person with the role closes them."""

import pytest

from tests.vendors import Fault
from tests.workflows.harness import IncidentHarness, make_alert

BIAS = make_alert("bias", 0.2, model="underwriting")


async def test_regulated_incident_opens_ticket_in_every_tier(harness: IncidentHarness) -> None:
    await harness.fire(make_alert("percent_empty", 12, model="underwriting"))
    view = await harness.until(lambda view: view if len(view.receipts) == 2 else None)
    assert (view.tier, view.regulated, view.closed_by) == ("low", True, "compliance")
    assert list(harness.jira.issues) == ["AIGOV-1"]


async def test_clear_of_regulated_incident_closes_nothing(harness: IncidentHarness) -> None:
    await harness.fire(BIAS)
    await harness.until(lambda view: len(view.receipts) == 2)
    await harness.clear()
    view = await harness.until_state("awaiting_human")
    assert (view.cleared, view.resolved_by) == (True, "")
    await harness.until(lambda view: sum(one.event == "update_sent_note" for one in view.timeline) == 2)
    (comment,) = harness.jira.comments["AIGOV-1"]
    assert "stays open until a person with the role compliance closes it" in str(comment)
    await harness.advance(hours=72)
    assert await harness.is_open()


async def test_pagerduty_resolve_of_regulated_incident_is_denied(harness: IncidentHarness) -> None:
    await harness.fire(make_alert(model="underwriting"))
    await harness.until(lambda view: len(view.receipts) == 2)
    await harness.callback("resolve", "Alice Example")
    view = await harness.until_state("awaiting_human")
    assert view.acknowledged_by == "Alice Example", "a denied resolve acknowledges, so the escalation stops"
    await harness.advance(hours=1)
    assert len(harness.page_keys("secondary")) == 0
    assert await harness.is_open()


@pytest.mark.parametrize("role", ["responder", "viewer"])
async def test_role_without_rights_cannot_close_regulated(harness: IncidentHarness, role: str) -> None:
    await harness.fire(BIAS)
    await harness.until_state("notified")
    view = await harness.act("resolve", "bob", role)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert view.state == "awaiting_human"
    denied = next(one for one in view.timeline if one.event == "closure_denied")
    assert (denied.by, "compliance" in denied.text) == ("bob", True)
    assert await harness.is_open()


async def test_compliance_closes_regulated_and_is_recorded(harness: IncidentHarness) -> None:
    await harness.fire(BIAS)
    await harness.until(lambda view: len(view.receipts) == 2)
    await harness.clear()
    await harness.until_state("awaiting_human")
    await harness.act("resolve", "Carol Compliance", "compliance", note="reviewed, case 7", token="carol")
    records = await harness.until_closed()
    resolved = next(record for record in records if record.event == "resolved")
    assert (resolved.by, resolved.text) == ("Carol Compliance", "reviewed, case 7")
    assert resolved.data == {"source": "api", "role": "compliance", "token": "carol"}
    assert "Resolved by Carol Compliance" in str(harness.jira.comments["AIGOV-1"])


async def test_regulated_incident_refires_while_awaiting_human(harness: IncidentHarness) -> None:
    await harness.fire(BIAS)
    await harness.until(lambda view: len(view.receipts) == 2)
    await harness.clear()
    await harness.until_state("awaiting_human")
    await harness.fire(make_alert("bias", 0.3, model="underwriting"), event_id="evt-2")
    view = await harness.until_state("notified")
    assert view.cleared is False
    assert len(harness.jira.issues) == 1


async def test_failed_ticket_is_retried_until_opened(harness: IncidentHarness) -> None:
    harness.jira.always = Fault(status=503)
    await harness.fire(BIAS)
    await harness.until_state("notified")
    await harness.act("acknowledge", "bob")
    await harness.advance_until(
        lambda view: any(one.event == "notification_failed" for one in view.timeline), minutes=20
    )
    harness.jira.always = None
    await harness.advance_until(lambda view: any(one.type == "jira" for one in view.receipts), minutes=2)
    assert len(harness.jira.issues) == 1


async def test_close_waits_for_pending_ticket(harness: IncidentHarness) -> None:
    harness.jira.always = Fault(status=503)
    await harness.fire(BIAS)
    await harness.until_state("notified")
    await harness.act("resolve", "Carol", "compliance")
    await harness.until_state("resolved")
    harness.jira.always = None
    await harness.advance(minutes=1)
    await harness.until_closed()
    assert len(harness.jira.issues) == 1
