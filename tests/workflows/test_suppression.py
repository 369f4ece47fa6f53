"""Inhibition, silences and page budgets on real Temporal: what suppresses an incident, and who lists it."""

import asyncio
import contextlib
import sqlite3
from datetime import timedelta

import pytest
from temporalio.service import RPCError

from alerts import incident_id
from gateway.ingest.submission import AcceptedAlert
from incident.peers import PeerMessage
from incident.suppression import Silence
from incident.view import IncidentView
from tests.workflows.harness import IncidentHarness, make_alert
from tests.workflows.test_problems import cleared, closed, view_of
from workflows.contracts import PEER_SIGNAL

ERRORS = make_alert()
QUALITY = make_alert("answer_relevance", 0.7)
OTHER = make_alert("answer_relevance", 0.7, model="search", monitor_id="m-search")
LATENCY = [make_alert("error_rate", 0.3, monitor_id=f"m-{number}") for number in range(4)]
INHIBITS = "tier: critical, inhibits: [{same: [alert.model], tiers: [high, low]}]}"
_ERRORS_RULE = "alert.value > model.slo.error_rate', tier: critical}"


@pytest.fixture
async def inhibiting(harness: IncidentHarness) -> IncidentHarness:
    """Critical errors inhibit lesser incidents of the same model."""
    harness.change_policy(_ERRORS_RULE, f"alert.value > model.slo.error_rate', {INHIBITS}")
    return harness


@pytest.fixture
async def budgeted(harness: IncidentHarness) -> IncidentHarness:
    """Each team gets two pages an hour."""
    harness.change_policy("governance:", "noise: {page_budget: {pages: 2, within: 1h}}\ngovernance:")
    return harness


async def states(harness: IncidentHarness, accepted: AcceptedAlert, *expected: str) -> IncidentView:
    """The incident once it is in one of these states."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(RPCError):  # a worker that has just started may reject it
                if (view := await view_of(harness, accepted.incident)).state in expected:
                    return view
            await asyncio.sleep(0.02)


async def listed(harness: IncidentHarness, accepted: AcceptedAlert, text: str) -> None:
    """Wait until the last message about an incident in PagerDuty or Slack has the text."""
    async with asyncio.timeout(60):
        while text not in str((await view_of(harness, accepted.incident)).timeline):
            await asyncio.sleep(0.02)


async def registered(harness: IncidentHarness, count: int) -> None:
    """Wait until so many problems inhibit others."""
    now = await harness.env.get_current_time()
    async with asyncio.timeout(60):
        while len((await asyncio.to_thread(harness.suppressions.active, now))[1]) != count:
            await asyncio.sleep(0.02)


async def test_lesser_incident_is_inhibited_and_notifies_when_its_source_closes(inhibiting: IncidentHarness) -> None:
    source = await inhibiting.send(ERRORS)
    await registered(inhibiting, 1)
    held, other = await inhibiting.send(QUALITY), await inhibiting.send(OTHER)
    view = await states(inhibiting, held, "suppressed")
    assert view.receipts == ()
    assert view.problems[0].suppressed.startswith(f"{ERRORS.monitor} (errors) (inhibition, until ")
    await states(inhibiting, other, "notified")  # another model
    await listed(inhibiting, source, f"{held.incident}: {QUALITY.monitor} (high)")
    await inhibiting.send(cleared(ERRORS))
    await closed(inhibiting, source.incident)
    view = await states(inhibiting, held, "notified")
    assert [one.destination for one in view.receipts] == ["ops"]
    await registered(inhibiting, 0)


async def test_what_was_notified_before_keeps_its_messages(inhibiting: IncidentHarness) -> None:
    first = await inhibiting.send(QUALITY)
    await states(inhibiting, first, "notified")
    await inhibiting.send(ERRORS)
    await registered(inhibiting, 1)
    await inhibiting.send(cleared(QUALITY))
    await closed(inhibiting, first.incident)
    assert [one.path for one in inhibiting.slack.requests].count("/api/chat.update") >= 1


async def test_inhibited_incident_that_clears_notifies_nobody(inhibiting: IncidentHarness) -> None:
    source = await inhibiting.send(ERRORS)
    await registered(inhibiting, 1)
    held = await inhibiting.send(QUALITY)
    await listed(inhibiting, source, f"{held.incident}: {QUALITY.monitor} (high)")
    await inhibiting.send(cleared(QUALITY))
    await closed(inhibiting, held.incident)
    assert inhibiting.slack.requests == []


async def silence(harness: IncidentHarness, matcher: str, minutes: float, **changes: object) -> Silence:
    now = await harness.env.get_current_time()
    one = Silence(
        id="s-1",
        matcher=matcher,
        reason="known: vendor fixes it",
        by="alice",
        created_at=now,
        starts_at=now,
        ends_at=now + timedelta(minutes=minutes),
    ).model_copy(update=changes)
    await asyncio.to_thread(harness.suppressions.put, one)
    return one


async def test_silenced_problem_is_notified_when_the_silence_ends(harness: IncidentHarness) -> None:
    await silence(harness, 'alert.model == "chatbot"', 90)
    accepted = await harness.fire(ERRORS)
    view = await states(harness, accepted, "suppressed")
    assert "known: vendor fixes it (alice) (silence, until " in view.problems[0].suppressed
    await harness.advance(minutes=80)
    assert (await view_of(harness, accepted.incident)).state == "suppressed"
    assert harness.page_keys() == []
    await harness.advance(minutes=11)
    await states(harness, accepted, "notified")
    assert len(harness.page_keys()) == 1


async def test_silence_that_is_expired_early_is_noticed(harness: IncidentHarness) -> None:
    one = await silence(harness, 'alert.metric == "error_rate"', 7 * 24 * 60)
    accepted = await harness.fire(ERRORS)
    await states(harness, accepted, "suppressed")
    now = await harness.env.get_current_time()
    await asyncio.to_thread(harness.suppressions.put, one.model_copy(update={"ended_at": now, "ended_by": "bob"}))
    await harness.advance(minutes=61)
    await states(harness, accepted, "notified")


@pytest.mark.parametrize(
    "matcher", ['alert.region != "eu-west-1"', "alert.baseline < 1.0", 'alert.model == "search"', "no.such.field"]
)
async def test_silence_that_does_not_match_silences_nothing(harness: IncidentHarness, matcher: str) -> None:
    await silence(harness, matcher, 60)
    accepted = await harness.fire(ERRORS)
    await states(harness, accepted, "notified")


async def test_silence_of_a_problem_leaves_the_others(harness: IncidentHarness) -> None:
    harness.change_policy("governance:", "noise: {group_by: [alert.model]}\ngovernance:")
    await silence(harness, f'alert.monitor == "{ERRORS.monitor}"', 60)
    accepted = await harness.send(ERRORS)
    await states(harness, accepted, "suppressed")
    assert (await harness.send(QUALITY)).incident == accepted.incident
    view = await states(harness, accepted, "notified")
    assert (view.tier, [one.destination for one in view.receipts]) == ("high", ["ops"])


async def test_regulated_incident_has_its_ticket_while_it_is_silenced(harness: IncidentHarness) -> None:
    await silence(harness, 'alert.model == "underwriting"', 60)
    accepted = await harness.send(make_alert("bias", 0.4, model="underwriting", monitor_id="m-bias"))
    async with asyncio.timeout(60):
        while not (view := await view_of(harness, accepted.incident)).receipts:
            await asyncio.sleep(0.02)
    assert (view.state, [one.destination for one in view.receipts]) == ("suppressed", ["compliance"])


async def test_database_that_does_not_answer_suppresses_nothing(harness: IncidentHarness) -> None:
    await silence(harness, 'alert.model == "chatbot"', 60)
    with sqlite3.connect(harness.policy_file.parent / "gateway.db") as database:
        database.execute("DROP TABLE silences")
    accepted = await harness.fire(ERRORS)
    await states(harness, accepted, "notified")
    assert len(harness.page_keys()) == 1


async def test_pages_beyond_the_budget_are_listed_in_one_page(budgeted: IncidentHarness) -> None:
    accepted: list[AcceptedAlert] = []
    for number, alert in enumerate(LATENCY):
        accepted.append(await budgeted.send(alert))
        await states(budgeted, accepted[-1], "notified" if number < 3 else "suppressed")
    assert len(budgeted.page_keys()) == 3  # two, and the one that says so
    carrier = accepted[2]
    assert "page budget of model.team = support is used up (2 pages within 1h)" in str(budgeted.pagerduty.requests)
    await listed(budgeted, carrier, f"{accepted[3].incident}: {LATENCY[3].monitor} (critical)")
    await budgeted.send(cleared(LATENCY[2]))
    await closed(budgeted, carrier.incident)
    await states(budgeted, accepted[3], "notified")  # as the next one that says so


async def test_budget_never_hides_a_regulated_incident(budgeted: IncidentHarness) -> None:
    budgeted.change_policy("team: credit", "team: support")
    for alert in LATENCY[:3]:
        await states(budgeted, await budgeted.send(alert), "notified")
    regulated = make_alert("error_rate", 0.3, model="underwriting", monitor_id="m-bias")
    await states(budgeted, await budgeted.send(regulated), "notified")


async def test_budget_holds_for_incidents_at_once(budgeted: IncidentHarness) -> None:
    alerts = [make_alert("error_rate", 0.3, monitor_id=f"m-{number}") for number in range(10)]
    accepted = await asyncio.gather(*(budgeted.send(one) for one in alerts))
    found = [await states(budgeted, one, "notified", "suppressed") for one in accepted]
    assert sorted(one.state for one in found) == ["notified"] * 3 + ["suppressed"] * 7
    assert len(budgeted.page_keys()) == 3


async def test_what_is_usual_at_this_hour_notifies_nobody(harness: IncidentHarness) -> None:
    seasonal = "noise: {seasonal: [{when: 'alert.metric == \"answer_relevance\"'}]}"
    harness.change_policy("governance:", f"{seasonal}\ngovernance:")
    now = await harness.env.get_current_time()
    problem = incident_id(QUALITY)
    for week in range(1, 6):
        at, value = now - timedelta(weeks=week), 0.69 + week / 500
        await asyncio.to_thread(harness.suppressions.note_value, problem, at, value)
    accepted = await harness.fire(QUALITY.model_copy(update={"occurred_at": None}))
    view = await states(harness, accepted, "suppressed")
    assert "is within" in view.problems[0].suppressed
    await harness.send(cleared(QUALITY))
    await harness.until_closed()
    assert (harness.page_keys(), harness.slack.requests) == ([], [])
    other = await harness.send(make_alert("answer_relevance", 0.1, monitor_id="m-other"))
    await states(harness, other, "notified")


async def recheck(harness: IncidentHarness, accepted: AcceptedAlert) -> None:
    """What the hold's deadline does every ten minutes."""
    message = PeerMessage(to=accepted.incident, kind="recheck", incident="test")
    await harness.client.get_workflow_handle(accepted.incident).signal(PEER_SIGNAL, message)


async def test_source_that_is_terminated_inhibits_nothing(real: IncidentHarness) -> None:
    """It says nothing to anybody, and its row stays in the database."""
    real.change_policy(_ERRORS_RULE, f"alert.value > model.slo.error_rate', {INHIBITS}")
    source = await real.send(ERRORS)
    await registered(real, 1)
    held = await real.send(QUALITY)
    await states(real, held, "suppressed")
    await real.client.get_workflow_handle(source.incident).terminate()
    later = await real.send(make_alert("answer_relevance", 0.6, monitor_id="m-later"))
    await states(real, later, "notified")
    await recheck(real, held)
    await states(real, held, "notified")


async def test_carrier_that_is_terminated_hides_nothing(real: IncidentHarness) -> None:
    real.change_policy("governance:", "noise: {page_budget: {pages: 2, within: 1h}}\ngovernance:")
    accepted: list[AcceptedAlert] = []
    for number, alert in enumerate(LATENCY):
        accepted.append(await real.send(alert))
        await states(real, accepted[-1], "notified" if number < 3 else "suppressed")
    await real.client.get_workflow_handle(accepted[2].incident).terminate()
    await recheck(real, accepted[3])
    await states(real, accepted[3], "notified")
    assert len(real.page_keys()) == 4


async def test_inhibition_outlives_its_workers(real: IncidentHarness) -> None:
    """The alert that it inhibits comes while no worker runs, and so does the clear of its source."""
    real.change_policy(_ERRORS_RULE, f"alert.value > model.slo.error_rate', {INHIBITS}")
    source = await real.send(ERRORS)
    await registered(real, 1)
    async with real.without_worker():
        held = await real.send(QUALITY)
    await states(real, held, "suppressed")
    assert real.slack.requests == []
    async with real.without_worker():
        await real.send(cleared(ERRORS))
    await closed(real, source.incident)
    await states(real, held, "notified")
