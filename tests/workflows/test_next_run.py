"""A run that continues as new while it sends: the next one sends the same again, and neither its time nor its attempts
begin again. An incident is started here with the state that its previous run handed over.
"""

from datetime import UTC, datetime, timedelta

from temporalio.common import WorkflowIDReusePolicy

from alerts import Alert, incident_id
from incident.events import GroupedAlert
from incident.state import IncidentState
from incident.state_machine import IncidentStateMachine
from tests.vendors import Fault
from tests.waiting import wait_until
from tests.workflows.harness import QUEUE, IncidentHarness, make_alert
from workflows.contracts import INCIDENT_WORKFLOW, IncidentInput


def state_of(harness: IncidentHarness, alert: Alert) -> IncidentState:
    """The alert has just been decided, and its first notifications are pending."""
    now = datetime.now(UTC)
    state = IncidentState(incident=incident_id(alert), first_run_id="0" * 36, opened_at=now, bounded=True)
    decision = harness.policies[-1].decide(alert, now)
    IncidentStateMachine(state).add_alerts([GroupedAlert(alert=alert)], decision, now)
    return state


async def continue_from(harness: IncidentHarness, state: IncidentState, begun: timedelta | None = None) -> None:
    """Start the next run; ``begun`` is how long ago the previous one began to send."""
    since = datetime.now(UTC) - begun if begun is not None else None
    pending = [one.model_copy(update={"since": since}) for one in state.pending]
    await harness.client.start_workflow(
        INCIDENT_WORKFLOW,
        IncidentInput(state=state.model_copy(update={"pending": pending}), bounded=True),
        id=harness.handle.id,
        task_queue=QUEUE,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    )


async def test_time_of_page_does_not_begin_again(harness: IncidentHarness) -> None:
    """Two minutes until the fallback: a storm that fills one run after another must not start them again."""
    harness.pagerduty.always = Fault(status=503)
    await continue_from(harness, state_of(harness, harness.alert), timedelta(seconds=100))
    await harness.advance_until(lambda view: view.receipts, seconds=8)
    assert len(harness.slack.messages) == 1
    harness.pagerduty.always = None
    view = await harness.advance_until(lambda view: view if len(view.receipts) == 2 else None, minutes=1)
    assert view.receipts[1].destination == "primary", "what was given up is retried"


async def test_page_whose_time_is_over_has_one_more_attempt(harness: IncidentHarness) -> None:
    await continue_from(harness, state_of(harness, harness.alert), timedelta(hours=1))
    view = await harness.until(lambda view: view if view.receipts else None)
    assert [one.destination for one in view.receipts] == ["primary"]


async def test_page_whose_time_is_over_gives_up(harness: IncidentHarness) -> None:
    harness.pagerduty.always = Fault(status=503)
    await continue_from(harness, state_of(harness, harness.alert), timedelta(hours=1))
    await harness.advance_until(lambda view: view.receipts, seconds=3)
    assert len(harness.slack.messages) == 1


async def test_post_of_earlier_run_is_found(harness: IncidentHarness) -> None:
    """Slack stored the message, and its response was lost with the run."""
    harness.alert = make_alert("answer_relevance", 0.7)
    state = state_of(harness, harness.alert)
    harness.slack.always = Fault(reset=True, after=True)
    await continue_from(harness, state)
    await wait_until(lambda: has_messages(harness))
    await harness.handle.terminate()
    harness.slack.always = None
    await continue_from(harness, state, timedelta(seconds=5))
    await harness.until(lambda view: view.receipts)
    assert len(harness.slack.messages) == 1


async def has_messages(harness: IncidentHarness) -> bool:
    return bool(harness.slack.messages)
