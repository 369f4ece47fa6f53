"""An incident as the API, the console and the terminal show it."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from alerts import Alert, Status
from incident.dedup_key import is_run
from incident.message_builder import headline
from incident.receipt import Receipt
from incident.state import Deadline, IncidentState, State, TimelineEntry
from policy import Decision, Tier, format_duration


class ProblemView(BaseModel):
    """One monitor's condition inside an incident."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    monitor: str
    monitor_id: str = ""
    status: Status
    tier: Tier | None = None
    rule: str = ""
    reason: str = Field(default="", description="Why the rule matched.")
    alert_count: int = 0
    flapping: bool = Field(default=False, description="It is triggered and clears again and again.")
    suppressed: str = Field(default="", description="Why nobody is notified of it, and until when.")
    first_alert_at: datetime = Field(description="When its first alert was processed.")
    last_alert_at: datetime = Field(description="When its last message was processed, a clear included.")


class IncidentView(BaseModel):
    """An incident's state for readers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    first_run_id: str
    state: State
    tier: Tier | None = None
    rule: str = ""
    model: str = ""
    environment: str = ""
    team: str = ""
    regulated: bool = False
    closed_by: str = Field(default="", description="The only role that may close it; empty when anyone may.")
    escalation_level: int = Field(default=0, description="The step last taken, from 1; 0 before the first.")
    alert_count: int = Field(default=0, description="How many alerts were added.")
    cleared: bool = Field(default=False, description="The monitor cleared.")
    refire_count: int = Field(default=0, description="How often it fired again while it was open.")
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    resolved_by: str = ""
    opened_at: datetime
    closed_at: datetime | None = None
    headline: str = ""
    problems: tuple[ProblemView, ...] = Field(
        default=(), description="Its monitors. An incident that is not grouped has one."
    )
    reopened_run_ids: tuple[str, ...] = Field(
        default=(), description="The first runs of the executions that opened it again after it had closed."
    )
    next_action: str = Field(default="", description="What happens next, and when.")
    alert: Alert | None = None
    decision: Decision | None = None
    receipts: tuple[Receipt, ...] = ()
    timeline: tuple[TimelineEntry, ...] = ()

    def is_run(self, part: str) -> bool:
        """Whether a key, a link or a person names this incident's run, or one that reopened it."""
        return any(is_run(one, part) for one in (self.first_run_id, *self.reopened_run_ids))


def incident_view(state: IncidentState, deadline: Deadline | None) -> IncidentView:
    """The view of a state and its next deadline."""
    alert, decision = state.alert, state.decision
    return IncidentView(
        id=state.incident,
        first_run_id=state.first_run_id,
        state=state.state,
        tier=state.tier,
        rule=decision.rule if decision else "",
        model=alert.model if alert else "",
        environment=alert.environment if alert else "",
        team=decision.team if decision else "",
        regulated=decision.regulated if decision else False,
        closed_by=decision.closed_by if decision else "",
        escalation_level=state.level,
        alert_count=state.alert_count,
        cleared=state.cleared,
        refire_count=state.refire_count,
        acknowledged_by=state.acknowledged_by,
        acknowledged_at=state.acknowledged_at,
        resolved_by=state.resolved_by,
        opened_at=state.opened_at,
        closed_at=state.closed_at,
        headline=headline(state) if alert else "",
        problems=tuple(_problem_view(state, key) for key, one in state.problems.items() if one.alert_count),
        reopened_run_ids=tuple(state.reopened_run_ids),
        next_action=next_action(state, deadline),
        alert=state.latest_alert or alert,
        decision=decision,
        receipts=tuple(state.receipts),
        timeline=tuple(state.timeline),
    )


def _problem_view(state: IncidentState, key: str) -> ProblemView:
    one = state.problems[key]
    return ProblemView(
        monitor=one.monitor,
        monitor_id=one.monitor_id,
        status=one.status,
        tier=state.tier_of(key) if one.rule else None,
        rule=one.rule,
        reason=one.reason,
        alert_count=one.alert_count,
        flapping=one.flapping_since is not None,
        suppressed=_suppressed(state, key),
        first_alert_at=one.first_alert_at,
        last_alert_at=one.last_alert_at,
    )


def _suppressed(state: IncidentState, problem: str) -> str:
    holds = [one for one in state.deadlines if one.kind == "hold" and one.problem == problem]
    return "; ".join(
        f"{one.suppression.reason} ({one.suppression.kind}, until {one.at:%Y-%m-%d %H:%M:%S} UTC)"
        if one.suppression
        else f"held until {one.at:%Y-%m-%d %H:%M:%S} UTC"
        for one in holds
    )


def _unless_quiet(state: IncidentState, deadline: Deadline) -> str:
    """The step waits if everything that is triggered is suppressed longer than until then."""
    found = [one.suppression for one in state.open_problems.values()]
    lasting = [one for one in found if one and (one.until is None or one.until > deadline.at)]
    return f" or still {lasting[0].word}" if lasting and len(lasting) == len(found) else ""


def ended_view(view: IncidentView, how: str, at: datetime | None) -> IncidentView:
    """The view of an incident whose workflow did not complete: its own state stands where it was then."""
    if view.state == "closed":
        return view
    by = view.resolved_by or f"{how} in Temporal"
    action = f"none; its workflow was {how} in Temporal"
    return view.model_copy(update={"state": "closed", "closed_at": at, "resolved_by": by, "next_action": action})


def next_action(state: IncidentState, deadline: Deadline | None) -> str:
    """One sentence: what happens next, and when."""
    if state.state == "closed":
        return "none; the incident is closed"
    if state.state == "resolved":
        return "send the last updates"
    if deadline and state.decision:
        return f"{deadline_summary(state, deadline)}, at {deadline.at:%Y-%m-%d %H:%M:%S} UTC"
    if state.state == "awaiting_human" and state.decision:
        return f"a person with the role {state.decision.closed_by} closes it"
    if state.pending and state.state == "received":
        return "send the first notification"
    return "the monitor clears, or a person resolves it"


def deadline_summary(state: IncidentState, deadline: Deadline) -> str:
    """What a deadline is for. Shown beside the timer in the Temporal UI."""
    decision = state.decision
    assert decision is not None
    match deadline.kind:
        case "hold":
            held = deadline.decision if deadline.problem else state.held_decision
            raised = f" by rule {held.rule} ({held.tier})" if held and held.rule != decision.rule else ""
            why = f", after {deadline.suppression.kind}: {deadline.suppression.reason}" if deadline.suppression else ""
            return f"Notify{raised} if it is still triggered{why}"
        case "step":
            names = ", ".join(target.name for target in decision.steps[deadline.step].notify)
            return f"Escalate to step {deadline.step + 1} ({names}) unless acknowledged{_unless_quiet(state, deadline)}"
        case "ack_timeout":
            raised = decision.on_ack_timeout
            return f"Raise to {raised.tier if raised else decision.tier} unless acknowledged"
        case "remind":
            every = format_duration(decision.remind or 0)
            return f"Remind {state.acknowledged_by} every {every} until it is resolved"
        case "stable":
            problem = state.problems.get(deadline.problem)
            return f"{problem.monitor if problem else 'The problem'} has not changed for long enough, and flaps no more"
        case "silence":
            return f"Notify again unless it is resolved: silenced by {state.acknowledged_by}"
        case "silence_ends":
            return "Remind the posts that the silence ends"
        case "retry":
            name = deadline.notification.target.name if deadline.notification else "the notification"
            return f"Retry {name}"
