"""The incident: one durable workflow from the first alert to the close.

``Life`` holds the rules and the state; this workflow brings it the events in their order (alerts, answers,
receipts, the time) and pays what it owes (messages, records, one timer for whatever is due next).
"""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception
from temporalio.exceptions import TimeoutError as ActivityTimeoutError

with workflow.unsafe.imports_passed_through():
    from activities.contracts import Classification, Entry
    from policy import IncidentFacts
    from workflows import calls, search
    from workflows.life import Life
    from workflows.messages import (
        ANSWER_SIGNAL,
        ARRIVE_SIGNAL,
        FORBIDDEN,
        INCIDENT_QUERY,
        INCIDENT_WORKFLOW,
        OVER,
        Answer,
        Arrival,
        Arrivals,
        Closing,
        IncidentView,
    )
    from workflows.outbox import Outbox
    from workflows.state import Appointment, IncidentState, Opening, Owed
    from workflows.story import story, timer_summary, view

MAX_EVENTS = 4_000
"""Continue as new from here on: far below the server's limit of 51,200, and quick to replay."""
RECORDS_AT_ONCE = 100


@workflow.defn(name=INCIDENT_WORKFLOW)
class Incident:
    @workflow.init
    def __init__(self, opening: Opening) -> None:
        info = workflow.info()
        state = opening.state or IncidentState(
            incident=info.workflow_id, opening=info.first_execution_run_id, opened_at=workflow.now()
        )
        self._state = state
        self._outbox = Outbox(state)
        self._life = Life(state, self._outbox)
        self._arrivals: list[Arrival] = list(opening.arrivals.arrivals) if opening.arrivals else []
        self._answers: list[Answer] = []
        self._paying: dict[str, asyncio.Task[None]] = {}
        self._lanes: dict[str, asyncio.Lock] = {}
        self._recording: asyncio.Task[None] | None = None
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at: Appointment | None = None
        self._shown: tuple[object, ...] = ()
        self._awake = True

    @workflow.run
    async def run(self, opening: Opening) -> Closing:
        state, life = self._state, self._life
        while True:
            await workflow.wait_condition(lambda: self._awake)
            self._awake = False
            await self._hear()
            life.due(workflow.now())
            paged = self._pay()
            if state.state == "resolved" and not state.owed:
                life.closed(workflow.now())
            self._show()
            # The very step that sends a page must not wait for the audit log: records follow at the next.
            if not paged:
                await self._record()
            if state.state == "closed" and await self._is_complete():
                return Closing(by=state.resolved_by, alerts=state.alerts)
            if self._has_grown_old():
                workflow.continue_as_new(Opening(state=state))
            self._set_alarm(life.next())

    # ── What comes in ───────────────────────────────────────────────────────────────────────────────────

    @workflow.signal(name=ARRIVE_SIGNAL)
    def arrive(self, arrivals: Arrivals) -> None:
        self._arrivals.extend(arrivals.arrivals)
        self._awake = True

    @workflow.signal(name=ANSWER_SIGNAL)
    def answer(self, answer: Answer) -> None:
        self._answers.append(answer)
        self._awake = True

    @workflow.update
    async def acknowledge(self, answer: Answer) -> IncidentView:
        return await self._take(answer)

    @workflow.update
    async def resolve(self, answer: Answer) -> IncidentView:
        return await self._take(answer)

    @workflow.update
    async def annotate(self, answer: Answer) -> IncidentView:
        return await self._take(answer)

    @workflow.query(name=INCIDENT_QUERY)
    def incident(self) -> IncidentView:
        return view(self._state, self._life.next())

    async def _take(self, answer: Answer) -> IncidentView:
        """Carry out an update. Raises ApplicationError of type Over or Forbidden."""
        await workflow.wait_condition(lambda: self._state.decision is not None)
        state = self._state
        if state.over:
            raise ApplicationError(f"it was resolved by {state.resolved_by} already", type=OVER, non_retryable=True)
        if answer.act == "resolve" and not self._life.may_close(answer):
            assert state.decision is not None
            raise ApplicationError(
                "this model is regulated: only a person with the role "
                f"{state.decision.closed_by} may close its incidents",
                type=FORBIDDEN,
                non_retryable=True,
            )
        self._life.answered(answer, workflow.now())
        self._awake = True
        return self.incident()

    async def _hear(self) -> None:
        """Take in alerts and answers, in their order, until none is left."""
        while self._arrivals or self._answers:
            if self._arrivals:
                await self._hear_alerts()
            if self._state.decision is not None:
                answers, self._answers = self._answers, []
                for answer in answers:
                    self._life.answered(answer, workflow.now())
            elif not self._arrivals:
                return

    async def _hear_alerts(self) -> None:
        arrivals, self._arrivals = self._arrivals, []
        burning: list[Arrival] = []
        for arrival in filter(None, map(self._life.fresh, arrivals)):
            status = arrival.alert.status
            if status == "triggered" or (status == "no_data" and self._state.decision is None):
                burning.append(arrival)
                continue
            await self._classify(burning)
            burning = []
            if status == "cleared":
                self._life.cleared(arrival, workflow.now())
            else:
                self._life.no_data(arrival, workflow.now())
        await self._classify(burning)

    async def _classify(self, burning: list[Arrival]) -> None:
        if not burning:
            return
        state = self._state
        facts = IncidentFacts()
        if state.decision:
            age = (workflow.now() - state.opened_at).total_seconds()
            facts = IncidentFacts(alerts=state.alerts, age=age, tier=state.tier or "")
        alerts = tuple(arrival.alert.model_copy(update={"raw": {}}) for arrival in burning)
        decision = await calls.classify(Classification(alerts=alerts, incident=facts))
        without_raw = [
            arrival.model_copy(update={"alert": alert}) for arrival, alert in zip(burning, alerts, strict=True)
        ]
        self._life.arrived(without_raw, decision, workflow.now())

    # ── What goes out ───────────────────────────────────────────────────────────────────────────────────

    def _pay(self) -> bool:
        """Start every delivery that is owed and not on its way. True where a first message is among them."""
        urgent = False
        for owed in sorted(self._state.owed, key=lambda one: one.target.kind != "page"):
            if owed.key not in self._paying:
                urgent = urgent or owed.verb == "notify"
                self._paying[owed.key] = asyncio.create_task(self._deliver(owed))
        return urgent

    async def _deliver(self, owed: Owed) -> None:
        # One lane a destination: an acknowledgement or a resolution never overtakes the message it is about.
        lane = self._lanes.setdefault(owed.target.name, asyncio.Lock())
        async with lane:
            try:
                receipt = await calls.deliver(self._state, owed)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                reason, permanent = _reason(error)
                self._outbox.failed(owed, reason, workflow.now(), permanent=permanent)
            else:
                self._outbox.delivered(owed, receipt, workflow.now())
        del self._paying[owed.key]
        self._awake = True

    async def _record(self) -> None:
        """Bring the audit log up to date; where it cannot take it now, go on, and let it follow."""
        state = self._state
        if self._recording is not None or not state.unrecorded:
            return
        entries = state.unrecorded[:RECORDS_AT_ONCE]
        try:
            await calls.record(state, entries, patiently=False)
        except ActivityError:
            self._recording = asyncio.create_task(self._record_patiently(entries))
            return
        self._recorded(entries)

    async def _record_patiently(self, entries: list[Entry]) -> None:
        await calls.record(self._state, entries, patiently=True)
        self._recorded(entries)
        self._recording = None
        self._awake = True

    def _recorded(self, entries: list[Entry]) -> None:
        last = entries[-1].number
        self._state.unrecorded = [entry for entry in self._state.unrecorded if entry.number > last]

    async def _is_complete(self) -> bool:
        """Bring the log to its end. False where something came in meanwhile that has to be heard first."""
        self._set_alarm(None)
        while self._state.unrecorded:
            await workflow.wait_condition(lambda: self._recording is None)
            await self._record()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return not self._awake

    # ── Time, and what people see ───────────────────────────────────────────────────────────────────────

    def _set_alarm(self, appointment: Appointment | None) -> None:
        """One timer, for what is due next; left running where that has not changed."""
        if appointment == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = appointment
        if appointment is not None:
            self._alarm = asyncio.create_task(self._ring(appointment))

    async def _ring(self, appointment: Appointment) -> None:
        wait = appointment.at - workflow.now()
        if wait > timedelta(0):
            await workflow.sleep(wait, summary=timer_summary(self._state, appointment))
        self._alarm = self._alarm_at = None
        self._awake = True

    def _show(self) -> None:
        state = self._state
        decision, alert = state.decision, state.alert
        if decision is None or alert is None:
            return
        shown = (state.state, state.tier, decision.rule, decision.regulated)
        if shown != self._shown:
            changes: list[SearchAttributeUpdate[Any]] = [search.STATE.value_set(state.state)]
            if shown[1:] != self._shown[1:]:
                changes += [
                    search.TIER.value_set(decision.tier),
                    search.RULE.value_set(decision.rule),
                    search.TEAM.value_set(decision.team or "none"),
                    search.REGULATED.value_set(decision.regulated),
                ]
            workflow.upsert_search_attributes(changes)  # pyright: ignore[reportUnknownMemberType]  # the SDK's own
            self._shown = shown
        workflow.set_current_details(story(state, self._life.next()))

    def _has_grown_old(self) -> bool:
        info = workflow.info()
        if self._arrivals or self._answers or not workflow.all_handlers_finished():
            return False
        return info.is_continue_as_new_suggested() or info.get_current_history_length() > MAX_EVENTS


def _reason(error: ActivityError) -> tuple[str, bool]:
    """What to tell people, and whether trying again cannot help."""
    cause = error.cause
    if isinstance(cause, ActivityTimeoutError) and isinstance(cause.cause, ApplicationError):
        return cause.cause.message, False
    if isinstance(cause, ApplicationError):
        return cause.message, cause.non_retryable
    return "no worker or vendor answered in time", False
