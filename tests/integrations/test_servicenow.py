"""ServiceNow: one ticket, one note, and what the account may not do."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from tests.integrations.notifications import make_content, run
from tests.integrations.vendor_harness import VendorHarness
from tests.integrations.vendors_table import VENDOR_CASES
from tests.vendors import Fault, ServiceNow


@pytest.fixture
def harness(tmp_path: Path) -> Any:
    with ServiceNow() as vendor:
        yield VendorHarness("servicenow", VENDOR_CASES["servicenow"], vendor, tmp_path)
    assert vendor.violations == []


async def test_ticket_has_all_fields_and_group(harness: VendorHarness) -> None:
    due = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
    sent = harness.notification(content=make_content(tier="high", respond_by=due))
    receipt = await run(harness.activity(), sent)
    (ticket,) = harness.vendor.tickets
    assert receipt.id == ticket["number"]
    assert receipt.location == ticket["sys_id"]
    assert receipt.url.startswith(f"{harness.vendor.base_url}/nav_to.do?uri=incident.do")
    assert (ticket["correlation_id"], ticket["correlation_display"]) == (sent.incident_key, "Tocsin here")
    assert (ticket["urgency"], ticket["impact"], ticket["due_date"]) == ("2", "2", "2026-11-25 03:00:00")
    assert ticket["assignment_group"] == "d625dccec0a8016700a222a0f7900d06"
    assert "Segment: premium" in ticket["description"]


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_retry_opens_no_second_ticket(harness: VendorHarness, lost: int) -> None:
    """The response to the search, the group's lookup or the create is lost."""
    activity = harness.activity()
    harness.vendor.script(*[Fault() for _ in range(lost)], Fault(reset=True, after=True))
    with pytest.raises(ApplicationError) as caught:
        await run(activity, harness.notification())
    assert not caught.value.non_retryable
    receipt = await run(activity, harness.notification(), attempt=2)
    assert [one["number"] for one in harness.vendor.tickets] == [receipt.id]


@pytest.mark.parametrize(("closed", "notes"), [(False, 1), (True, 2)])
async def test_note_is_added_once_with_journal_access(harness: VendorHarness, closed: bool, notes: int) -> None:
    harness.vendor.journal_is_closed = closed
    activity = harness.activity()
    first = await run(activity, harness.notification())
    note = harness.notification("note", key="note-1", original=first, note="[code]<b>rolled back</b>[/code]")
    harness.vendor.script(Fault(reset=True, after=True))
    with pytest.raises(ApplicationError):
        await run(activity, note)
    await run(activity, note, attempt=2)
    assert len(harness.vendor.notes) == notes
    assert harness.vendor.notes[0]["value"].startswith("(code)<b>rolled back</b>(/code)\n\nTocsin · tocsin-")
    assert harness.vendor.notes[0]["element_id"] == first.location


async def test_unknown_group_is_named(harness: VendorHarness) -> None:
    harness.vendor.groups.clear()
    with pytest.raises(
        ApplicationError, match="has no active group legal-ai: check the destination's assignment_group"
    ):
        await run(harness.activity(), harness.notification())


@pytest.mark.parametrize(("status", "remedy"), [(401, "user and password"), (403, "role itil"), (404, "table")])
async def test_refusal_names_the_remedy(harness: VendorHarness, status: int, remedy: str) -> None:
    harness.vendor.always = Fault(status=status)
    with pytest.raises(ApplicationError, match=remedy):
        await run(harness.activity(), harness.notification())
