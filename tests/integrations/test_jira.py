"""Jira: one ticket, one comment, and the error of each fault."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from tests.integrations.notifications import make_content, make_notification, make_notifier, run
from tests.integrations.vendors_table import SECRETS
from tests.vendors import Fault, Jira


def config(vendor: Jira) -> str:
    return (
        f"{{type: jira, base_url: '{vendor.base_url}', user: {{env: JIRA_USER}}, token: {{env: JIRA_TOKEN}}, "
        "project: AIGOV, issue_type: Task}"
    )


async def test_ticket_has_headline_facts_and_labels(tmp_path: Path, jira: Jira) -> None:
    receipt = await run(make_notifier(tmp_path, config(jira)).ticket, make_notification("ticket", "jira"))
    (key,) = jira.issues
    assert (receipt.id, receipt.url) == (key, f"{jira.base_url}/browse/{key}")
    assert jira.issues[key]["summary"].startswith("CRITICAL support-chatbot")
    assert "premium" in str(jira.issues[key]["description"])
    assert "tocsin" in jira.issues[key]["labels"]


async def test_retry_opens_no_second_ticket(tmp_path: Path, jira: Jira) -> None:
    activities = make_notifier(tmp_path, config(jira))
    jira.script(Fault(), Fault(reset=True, after=True))  # the search, then the create
    with pytest.raises(ApplicationError) as caught:
        await run(activities.ticket, make_notification("ticket", "jira"))
    assert not caught.value.non_retryable
    receipt = await run(activities.ticket, make_notification("ticket", "jira"), attempt=2)
    assert list(jira.issues) == [receipt.id]


async def test_two_incidents_have_two_tickets(tmp_path: Path, jira: Jira) -> None:
    activities = make_notifier(tmp_path, config(jira))
    for key in ("a", "b"):
        await run(activities.ticket, make_notification("ticket", "jira", key=key))
    assert len(jira.issues) == 2


async def test_comment_is_added_once(tmp_path: Path, jira: Jira) -> None:
    activities = make_notifier(tmp_path, config(jira))
    first = await run(activities.ticket, make_notification("ticket", "jira"))
    note = make_notification(
        "ticket", "jira", "note", first, key="note-1", note="It cleared. {panel}h1. not markup{panel}"
    )
    jira.script(Fault(reset=True, after=True))
    with pytest.raises(ApplicationError):
        await run(activities.ticket, note)
    await run(activities.ticket, note, attempt=2)
    (comment,) = jira.comments[first.id]
    assert "It cleared." in str(comment["body"])


async def test_long_headline_is_truncated(tmp_path: Path, jira: Jira) -> None:
    content = make_content(headline="LOW " + "x" * 500)
    await run(make_notifier(tmp_path, config(jira)).ticket, make_notification("ticket", "jira", content=content))
    assert len(next(iter(jira.issues.values()))["summary"]) == 255


@pytest.mark.parametrize(
    ("fault", "permanent", "retry_after"),
    [
        (Fault(status=400, body='{"errors":{"issuetype":"is required"}}'), True, None),
        (Fault(status=401), True, None),
        (Fault(status=403), True, None),
        (Fault(status=404), True, None),
        (Fault(status=429, headers={"Retry-After": "30"}), False, 30),
        (Fault(status=503), False, None),
        (Fault(reset=True), False, None),
        (Fault(status=200, body="<html>"), False, None),
    ],
)
async def test_fault_maps_to_error(
    tmp_path: Path, jira: Jira, fault: Fault, permanent: bool, retry_after: float | None
) -> None:
    jira.script(fault)
    with pytest.raises(ApplicationError) as caught:
        await run(make_notifier(tmp_path, config(jira)).ticket, make_notification("ticket", "jira"))
    assert caught.value.non_retryable is permanent
    assert (caught.value.next_retry_delay.total_seconds() if caught.value.next_retry_delay else None) == retry_after
    assert len(jira.requests) == 1
    assert SECRETS["JIRA_TOKEN"] not in str(caught.value)


async def test_ticket_has_due_date_and_incident_link(tmp_path: Path, jira: Jira) -> None:
    activities = make_notifier(tmp_path, config(jira), lambda key: f"https://tocsin.example.com/i/{key}")
    sent = make_notification(
        "ticket", "jira", content=make_content(respond_by=datetime(2026, 11, 25, 3, 0, tzinfo=UTC))
    )
    for attempt in (1, 2):
        await run(activities.ticket, sent, attempt)
    ((key, ticket),) = jira.issues.items()
    assert ticket["duedate"] == "2026-11-25"
    assert sent.incident_key in ticket["labels"], "callbacks name the incident by it"
    (link,) = jira.links[key].values()
    assert link == {"url": f"https://tocsin.example.com/i/{sent.incident_key}", "title": sent.content.headline}


async def test_project_without_due_date_gets_ticket(tmp_path: Path, jira: Jira) -> None:
    jira.without_due_date = True
    sent = make_notification(
        "ticket", "jira", content=make_content(respond_by=datetime(2026, 11, 25, 3, 0, tzinfo=UTC))
    )
    receipt = await run(make_notifier(tmp_path, config(jira)).ticket, sent)
    assert "duedate" not in jira.issues[receipt.id]


@pytest.mark.parametrize(("status", "opened"), [(403, True), (503, False)])
async def test_refused_link_does_not_fail_the_ticket(tmp_path: Path, jira: Jira, status: int, opened: bool) -> None:
    activities = make_notifier(tmp_path, config(jira), lambda key: f"https://tocsin.example.com/i/{key}")
    jira.script(Fault(), Fault(), Fault(status=status))  # the search, the create, the link
    if opened:
        await run(activities.ticket, make_notification("ticket", "jira"))
        return
    with pytest.raises(ApplicationError):
        await run(activities.ticket, make_notification("ticket", "jira"))
    await run(activities.ticket, make_notification("ticket", "jira"), attempt=2)
    assert (len(jira.issues), len(jira.links)) == (1, 1)
