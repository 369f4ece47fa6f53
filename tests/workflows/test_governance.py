"""A regulated model: a ticket always, and closed by nobody but a person with the role."""

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from tests.vendors import Fault
from tests.workflows.stage import Stage, an_alert

BIAS = an_alert("bias", 0.2, model="underwriting")


async def test_a_ticket_is_opened_whatever_the_tier(stage: Stage) -> None:
    await stage.fire(an_alert("percent_empty", 12, model="underwriting"))
    view = await stage.until(lambda view: view if len(view.receipts) == 2 else None)
    assert (view.tier, view.regulated, view.closed_by) == ("low", True, "compliance")
    assert list(stage.jira.issues) == ["AIGOV-1"]


async def test_cleared_is_noted_and_closes_nothing(stage: Stage) -> None:
    await stage.fire(BIAS)
    await stage.until(lambda view: len(view.receipts) == 2)
    await stage.clear()
    view = await stage.settled("awaiting_human")
    assert (view.cleared, view.resolved_by) == (True, "")
    await stage.until(lambda view: sum(one.what == "told_note" for one in view.timeline) == 2)
    (comment,) = stage.jira.comments["AIGOV-1"]
    assert "stays open until a person with the role compliance closes it" in str(comment)
    await stage.after(hours=72)
    assert await stage.is_open()


async def test_pagerdutys_resolve_is_noted_never_obeyed(stage: Stage) -> None:
    await stage.fire(an_alert(model="underwriting"))
    await stage.until(lambda view: len(view.receipts) == 2)
    await stage.callback("resolve", "Alice Example")
    view = await stage.settled("awaiting_human")
    assert view.acknowledged_by == "Alice Example", "who resolves it there has taken it; the escalation stops"
    await stage.after(hours=1)
    assert len(stage.paged("secondary")) == 0
    assert await stage.is_open()


@pytest.mark.parametrize("role", ["responder", "viewer"])
async def test_without_the_role_nobody_closes_it(stage: Stage, role: str) -> None:
    await stage.fire(BIAS)
    await stage.settled("notified")
    with pytest.raises(WorkflowUpdateFailedError) as caught:
        await stage.act("resolve", "bob", role)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert isinstance(caught.value.cause, ApplicationError)
    assert (caught.value.cause.type, "compliance" in caught.value.cause.message) == ("Forbidden", True)
    assert await stage.is_open()


async def test_a_compliance_person_closes_it_and_the_record_says_who(stage: Stage) -> None:
    await stage.fire(BIAS)
    await stage.until(lambda view: len(view.receipts) == 2)
    await stage.clear()
    await stage.settled("awaiting_human")
    await stage.act("resolve", "Carol Compliance", "compliance", note="reviewed, case 7", token="carol")
    records = await stage.closed()
    resolved = next(record for record in records if record.what == "resolved")
    assert (resolved.by, resolved.text) == ("Carol Compliance", "reviewed, case 7")
    assert resolved.data == {"via": "api", "role": "compliance", "token": "carol"}
    assert "Resolved by Carol Compliance" in str(stage.jira.comments["AIGOV-1"])


async def test_it_burns_again_while_it_waits_for_a_person(stage: Stage) -> None:
    await stage.fire(BIAS)
    await stage.until(lambda view: len(view.receipts) == 2)
    await stage.clear()
    await stage.settled("awaiting_human")
    await stage.fire(an_alert("bias", 0.3, model="underwriting"), event_id="evt-2")
    view = await stage.settled("notified")
    assert view.cleared is False
    assert len(stage.jira.issues) == 1


async def test_a_ticket_that_cannot_be_opened_is_tried_until_it_can(stage: Stage) -> None:
    stage.jira.always = Fault(status=503)
    await stage.fire(BIAS)
    await stage.settled("notified")
    await stage.act("acknowledge", "bob")
    await stage.in_time(lambda view: any(one.what == "not_delivered" for one in view.timeline), minutes=20)
    stage.jira.always = None
    await stage.in_time(lambda view: any(one.type == "jira" for one in view.receipts), minutes=2)
    assert len(stage.jira.issues) == 1


async def test_closing_waits_for_a_ticket_that_is_still_owed(stage: Stage) -> None:
    stage.jira.always = Fault(status=503)
    await stage.fire(BIAS)
    await stage.settled("notified")
    await stage.act("resolve", "Carol", "compliance")
    await stage.settled("resolved")
    stage.jira.always = None
    await stage.after(minutes=1)
    await stage.closed()
    assert len(stage.jira.issues) == 1
