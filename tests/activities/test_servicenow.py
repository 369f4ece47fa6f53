"""ServiceNow: a ticket once, notes once, and what the account may not do."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from tests.activities.places import KINDS, Place
from tests.activities.sending import a_brief, run
from tests.vendors import Fault, ServiceNow


@pytest.fixture
def place(tmp_path: Path) -> Any:
    with ServiceNow() as vendor:
        yield Place("servicenow", KINDS["servicenow"], vendor, tmp_path)
    assert vendor.violations == []


async def test_a_ticket_says_what_happened_and_whose_it_is(place: Place) -> None:
    due = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
    sent = place.delivery(brief=a_brief(tier="high", respond_by=due))
    receipt = await run(place.activity(), sent)
    (ticket,) = place.vendor.tickets
    assert receipt.id == ticket["number"]
    assert receipt.place == ticket["sys_id"]
    assert receipt.url.startswith(f"{place.vendor.base_url}/nav_to.do?uri=incident.do")
    assert (ticket["correlation_id"], ticket["correlation_display"]) == (sent.opening, "Tocsin here")
    assert (ticket["urgency"], ticket["impact"], ticket["due_date"]) == ("2", "2", "2026-11-25 03:00:00")
    assert ticket["assignment_group"] == "d625dccec0a8016700a222a0f7900d06"
    assert "Segment: premium" in ticket["description"]


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_a_retry_after_a_lost_answer_opens_no_second_ticket(place: Place, lost: int) -> None:
    """The search, the group, the create: whichever answer was lost."""
    activity = place.activity()
    place.vendor.script(*[Fault() for _ in range(lost)], Fault(reset=True, after=True))
    with pytest.raises(ApplicationError) as caught:
        await run(activity, place.delivery())
    assert not caught.value.non_retryable
    receipt = await run(activity, place.delivery(), attempt=2)
    assert [one["number"] for one in place.vendor.tickets] == [receipt.id]


@pytest.mark.parametrize(("closed", "notes"), [(False, 1), (True, 2)])
async def test_a_note_is_added_once_where_the_account_may_read_notes(place: Place, closed: bool, notes: int) -> None:
    place.vendor.journal_is_closed = closed
    activity = place.activity()
    first = await run(activity, place.delivery())
    note = place.delivery("note", key="note-1", first=first, note="[code]<b>rolled back</b>[/code]")
    place.vendor.script(Fault(reset=True, after=True))
    with pytest.raises(ApplicationError):
        await run(activity, note)
    await run(activity, note, attempt=2)
    assert len(place.vendor.notes) == notes
    assert place.vendor.notes[0]["value"].startswith("(code)<b>rolled back</b>(/code)\n\nTocsin · tocsin-")
    assert place.vendor.notes[0]["element_id"] == first.place


async def test_a_group_that_is_not_there_is_named(place: Place) -> None:
    place.vendor.groups.clear()
    with pytest.raises(
        ApplicationError, match="has no active group legal-ai: check the destination's assignment_group"
    ):
        await run(place.activity(), place.delivery())


@pytest.mark.parametrize(("status", "said"), [(401, "user and password"), (403, "role itil"), (404, "table")])
async def test_a_refusal_names_the_remedy(place: Place, status: int, said: str) -> None:
    place.vendor.always = Fault(status=status)
    with pytest.raises(ApplicationError, match=said):
        await run(place.activity(), place.delivery())
